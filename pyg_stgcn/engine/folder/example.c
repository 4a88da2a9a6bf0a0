/* Classifies a clip of poses with the engine: all at once, or frame by frame.
 *
 *   example MODEL CLIP.npy [--image-size HEIGHTxWIDTH] [--views N] [--stream] [--window N]
 *
 * CLIP.npy: [persons, frames, joints, channels] or [frames, joints, channels], float32 or float64,
 * as numpy.save writes it. Models of 2-D joints need the size of the image in pixels.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stgcn.h"

static void fail(const char *what, const char *reason) {
  fprintf(stderr, "error: %s: %s\n", what, reason);
  exit(1);
}

static void *allocate(size_t count, size_t size) {
  void *found = calloc(count ? count : 1, size);
  if (!found) fail("memory", "there is not enough");
  return found;
}

/* ---- Arrays of NumPy ---- */

typedef struct {
  int64_t shape[4]; /* persons, frames, joints, channels */
  float *values;
} Clip;

/* The text after an entry of the header such as 'shape': */
static const char *entry(const char *path, const char *header, const char *name) {
  const char *found = strstr(header, name);
  if (!found) fail(path, "the header of the array is damaged");
  found += strlen(name);
  while (*found == ' ' || *found == ':') ++found;
  return found;
}

/* Reads a tuple of three or four numbers, and gives their product. */
static int64_t read_shape(const char *path, const char *text, int64_t shape[4]) {
  int64_t sizes[4], count = 1;
  int axes = 0;
  if (*text++ != '(') fail(path, "the shape of the array is damaged");
  while (*text != ')') {
    int64_t size = 0;
    if (axes == 4) fail(path, "has more than four axes; save [persons, frames, joints, channels]");
    if (*text < '0' || *text > '9') fail(path, "the shape of the array is damaged");
    for (; *text >= '0' && *text <= '9'; ++text) {
      size = size * 10 + (*text - '0');
      if (size > INT32_MAX) fail(path, "is too large");
    }
    sizes[axes++] = size;
    count *= size;
    if (count > INT32_MAX) fail(path, "is too large");
    while (*text == ',' || *text == ' ') ++text;
  }
  if (axes < 3) fail(path, "has less than three axes; save [persons, frames, joints, channels]");
  shape[0] = axes == 4 ? sizes[0] : 1;
  memcpy(shape + (axes == 4 ? 0 : 1), sizes, axes * sizeof *sizes);
  return count;
}

/* A number of an array, whatever the byte order of the file and of this machine. */
static float number(const unsigned char *bytes, int size, int big) {
  uint64_t bits = 0;
  for (int i = 0; i < size; ++i) bits = bits << 8 | bytes[big ? i : size - 1 - i];
  if (size == 8) {
    double value;
    memcpy(&value, &bits, 8);
    return (float)value;
  }
  const uint32_t low = (uint32_t)bits;
  float value;
  memcpy(&value, &low, 4);
  return value;
}

static Clip read_clip(const char *path) {
  FILE *file = fopen(path, "rb");
  unsigned char start[12];
  if (!file) fail(path, "cannot be opened");
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0)
    fail(path, "is not an array of numpy.save");
  uint32_t length = start[8] | (uint32_t)start[9] << 8;
  if (start[6] == 2 || start[6] == 3) {
    if (fread(start + 10, 1, 2, file) != 2) fail(path, "ends within its header");
    length |= (uint32_t)start[10] << 16 | (uint32_t)start[11] << 24;
  } else if (start[6] != 1) {
    fail(path, "has an unknown version of the format; write it with numpy.save");
  }
  if (length > 65536) fail(path, "the header of the array is damaged");
  char *header = allocate(length + 1, 1);
  if (fread(header, 1, length, file) != length) fail(path, "ends within its header");

  const char *kind = entry(path, header, "'descr'");
  const int big = !strncmp(kind, "'>", 2);
  const int size = big || !strncmp(kind, "'<", 2) ? (!strncmp(kind + 2, "f8'", 3) ? 8 : 4) : 0;
  if (!size || (size == 4 && strncmp(kind + 2, "f4'", 3) != 0))
    fail(path, "is neither float32 nor float64; save array.astype('float32')");
  if (strncmp(entry(path, header, "'fortran_order'"), "False", 5) != 0)
    fail(path, "is in Fortran order; save numpy.ascontiguousarray(array)");
  Clip clip;
  const int64_t count = read_shape(path, entry(path, header, "'shape'"), clip.shape);
  free(header);

  unsigned char bytes[8];
  clip.values = allocate((size_t)count, sizeof(float));
  for (int64_t i = 0; i < count; ++i) {
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size) fail(path, "ends within its numbers");
    clip.values[i] = number(bytes, size, big);
  }
  fclose(file);
  return clip;
}

/* ---- Answers ---- */

static void print_all(const stgcn_model *model, const float *probabilities) {
  const int classes = stgcn_num_classes(model);
  char *printed = allocate((size_t)classes, 1);
  for (int rank = 0; rank < classes; ++rank) {
    int best = -1;
    for (int i = 0; i < classes; ++i)
      if (!printed[i] && (best < 0 || probabilities[i] > probabilities[best])) best = i;
    printed[best] = 1;
    printf("%.6f  %s\n", probabilities[best], stgcn_class_name(model, best));
  }
  free(printed);
}

static void print_best(const stgcn_model *model, const float *probabilities) {
  int best = 0;
  for (int i = 1; i < stgcn_num_classes(model); ++i)
    if (probabilities[i] > probabilities[best]) best = i;
  printf("%.6f  %s\n", probabilities[best], stgcn_class_name(model, best));
}

static void classify(stgcn_model *model, const Clip *clip, float height, float width, int views) {
  float *probabilities = allocate((size_t)stgcn_num_classes(model), sizeof(float));
  const int persons = stgcn_classify(model, clip->values, clip->shape[0], clip->shape[1],
                                     (int)clip->shape[3], height, width, views, probabilities);
  if (persons < 0) fail("the clip", stgcn_error(model));
  if (persons == 0) printf("nobody is in the clip\n");
  if (persons > 0) print_all(model, probabilities);
  free(probabilities);
}

/* Every person is a stream; the engine answers while the frames arrive. */
static void watch(stgcn_model *model, const Clip *clip, float height, float width, int window) {
  char message[512];
  stgcn_stream *stream = stgcn_stream_open(model, window, 0, height, width, message, sizeof message);
  if (!stream) fail("the stream", message);
  float *probabilities = allocate((size_t)stgcn_num_classes(model), sizeof(float));
  const int64_t frame = clip->shape[2] * clip->shape[3];
  for (int64_t person = 0; person < clip->shape[0]; ++person) {
    stgcn_stream_reset(stream);
    for (int64_t t = 0; t < clip->shape[1]; ++t) {
      const float *joints = clip->values + (person * clip->shape[1] + t) * frame;
      const int found =
          stgcn_stream_push(stream, joints, 1, (int)clip->shape[3], probabilities);
      if (found < 0) fail("a frame", stgcn_stream_error(stream));
      if (found > 0) {
        printf("person %d  frame %d  ", (int)person, (int)t);
        print_best(model, probabilities);
      }
    }
    const int found = stgcn_stream_finish(stream, probabilities);
    if (found < 0) fail("the end", stgcn_stream_error(stream));
    if (found > 0) {
      printf("person %d  end  ", (int)person);
      print_best(model, probabilities);
    }
  }
  free(probabilities);
  stgcn_stream_close(stream);
}

static int whole_number(const char *text) {
  char *end;
  const long found = text ? strtol(text, &end, 10) : 0;
  if (!text || *end || found < 1 || found > 100000) fail(text ? text : "option", "is no number");
  return (int)found;
}

int main(int count, char **words) {
  float height = 0, width = 0;
  int views = 1, streaming = 0, window = 0;
  if (count < 3) {
    fprintf(stderr, "usage: %s MODEL CLIP.npy [--image-size HEIGHTxWIDTH] [--views N] [--stream] "
            "[--window N]\n", words[0]);
    return 2;
  }
  for (int i = 3; i < count; ++i) {
    if (!strcmp(words[i], "--stream")) {
      streaming = 1;
    } else if (!strcmp(words[i], "--views")) {
      views = whole_number(words[++i]);
    } else if (!strcmp(words[i], "--window")) {
      window = whole_number(words[++i]);
    } else if (!strcmp(words[i], "--image-size")) {
      const char *size = words[++i];
      if (!size || sscanf(size, "%fx%f", &height, &width) != 2)
        fail("--image-size", "is not HEIGHTxWIDTH");
    } else {
      fail(words[i], "there is no such option");
    }
  }
  char message[512];
  stgcn_model *model = stgcn_open(words[1], 1, message, sizeof message);
  if (!model) fail(words[1], message);
  const Clip clip = read_clip(words[2]);
  if (clip.shape[2] != stgcn_num_joints(model)) fail(words[2], "has other joints than the model");
  if (streaming)
    watch(model, &clip, height, width, window);
  else
    classify(model, &clip, height, width, views);
  free(clip.values);
  stgcn_close(model);
  return 0;
}
