/* A process without Python that opens a model and classifies one clip; prints the milliseconds of the
 * opening and the peak of its memory in kilobytes.
 *
 * Usage: engine_process MODEL */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "stgcn.h"

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * now.tv_sec + 1e-6 * now.tv_nsec;
}

/* The peak of the resident memory since the program began, in kilobytes. */
static long peak(void) {
  char line[256];
  long found = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &found);
  if (status) fclose(status);
  return found;
}

int main(int count, char **arguments) {
  char message[512];
  if (count != 2) return 2;
  const double start = milliseconds();
  stgcn_model *model = stgcn_open(arguments[1], 1, message, sizeof message);
  const double opened = milliseconds() - start;
  if (!model) return puts(message), 1;
  const int frames = stgcn_clip_frames(model);
  const size_t values = (size_t)frames * (size_t)stgcn_num_joints(model) * 3;
  float *joints = malloc(values * sizeof(float));
  float *probabilities = malloc((size_t)stgcn_num_classes(model) * sizeof(float));
  for (size_t i = 0; i < values; ++i) joints[i] = (float)(i * 37 % 101) / 100 + 0.1f;
  if (stgcn_classify(model, joints, 1, frames, 3, 0, 0, 1, probabilities) < 0)
    return puts(stgcn_error(model)), 1;
  printf("%.3f %ld\n", opened, peak());
  free(joints);
  free(probabilities);
  stgcn_close(model);
  return 0;
}
