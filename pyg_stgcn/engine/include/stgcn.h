/* The C interface of the inference engine: skeleton clips and streams to class probabilities.
 *
 * The engine needs a C++17 compiler and the C library, nothing else. It has no global state.
 * Handles are independent of each other: different threads may use different handles at the same
 * time, also streams of one model. One handle serves one thread at a time. All memory is allocated
 * while a handle is opened; the other functions allocate nothing.
 *
 * Poses are float32. In 3-D a joint is x, y, z and perhaps a confidence; in 2-D it is x and y in
 * pixels and perhaps a score from 0 to 1. A missing joint is zero, or has a score of zero.
 */
#ifndef STGCN_H
#define STGCN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define STGCN_API __declspec(dllexport)
#else
#define STGCN_API __attribute__((visibility("default")))
#endif

/* Version of this interface; grows when a function changes. */
#define STGCN_VERSION 1

typedef struct stgcn_model stgcn_model;
typedef struct stgcn_stream stgcn_stream;

/* Results of functions: STGCN_ERROR, or a value of zero or more. The message of an error is given by
 * stgcn_error and stgcn_stream_error. */
#define STGCN_ERROR (-1)

/* Opens the file of a program, or its bytes, which are copied.
 *
 * threads: threads of a clip, 1 to 1024; 0 is 1.
 * message: receives the reason if NULL is returned; cut off at `size` bytes. */
STGCN_API stgcn_model *stgcn_open(const char *path, int threads, char *message, size_t size);
STGCN_API stgcn_model *stgcn_open_bytes(const void *bytes, size_t count, int threads, char *message,
                                        size_t size);
/* Closes a model; close its streams first. NULL is allowed. */
STGCN_API void stgcn_close(stgcn_model *model);
/* The message of the last error of a model, "" without one, or for NULL; valid until the next
 * call. */
STGCN_API const char *stgcn_error(const stgcn_model *model);

STGCN_API int stgcn_version(void);
/* "avx512", "avx2", "neon" or "plain": chosen at run time, or by the environment variable
 * PYG_STGCN_KERNELS while the model is opened. */
STGCN_API const char *stgcn_kernels(const stgcn_model *model);
STGCN_API int stgcn_num_classes(const stgcn_model *model);
STGCN_API int stgcn_num_joints(const stgcn_model *model);
/* Channels of prepared input. */
STGCN_API int stgcn_num_channels(const stgcn_model *model);
STGCN_API int stgcn_num_features(const stgcn_model *model);
/* Frames of the clips of the training. */
STGCN_API int stgcn_clip_frames(const stgcn_model *model);
/* Whether the model reads 2-D joints in pixels, which need the size of the image. */
STGCN_API int stgcn_is_planar(const stgcn_model *model);
/* Whether streams are exact; those of other models run on a sliding window. */
STGCN_API int stgcn_is_continual(const stgcn_model *model);
/* Name of a class, UTF-8; NULL for a number out of range. */
STGCN_API const char *stgcn_class_name(const stgcn_model *model, int number);
/* The description in the file, JSON. */
STGCN_API const char *stgcn_about(const stgcn_model *model);

/* Classifies a raw clip.
 *
 * joints: [persons, frames, joints, channels], of any number of persons and frames
 * height, width: the size of the image in pixels, in 2-D; 0 in 3-D
 * views: samples of the frames, 1 or more, whose probabilities are averaged
 * probabilities: receives one per class
 *
 * Returns the number of persons with any joint; with 0 the probabilities are zeros. */
STGCN_API int stgcn_classify(stgcn_model *model, const float *joints, int64_t persons, int64_t frames,
                             int channels, float height, float width, int views,
                             float *probabilities);

/* Classifies prepared input.
 *
 * x: [persons * joints, frames, channels], as the backbones read it: from 1 frame to
 *   stgcn_clip_frames, of any number of persons
 * batch: the clip of every row, ascending, from 0 to clips - 1; NULL for one clip
 * logits: receives [clips, classes]; those of a clip with NaN or infinite input are NaN, those of a
 *   clip of nobody are the bias of the classifier
 *
 * Returns 0, or STGCN_ERROR. */
STGCN_API int stgcn_logits(stgcn_model *model, const float *x, const int64_t *batch, int64_t persons,
                           int64_t frames, int64_t clips, float *logits);
/* The same, up to the features of every person: it writes [persons, features]. */
STGCN_API int stgcn_features(stgcn_model *model, const float *x, const int64_t *batch,
                             int64_t persons, int64_t frames, float *features);

/* A stream: the frames of one person, one after another.
 *
 * window: frames of the input whose features are averaged; 0 for those of a clip of the training
 * hop: of models without exact streams, frames from one answer to the next; 0 for 4
 * height, width: the size of the image in pixels, in 2-D; 0 in 3-D
 * message: receives the reason if NULL is returned; cut off at `size` bytes
 *
 * It shares the weights of the model, which must stay open, and works on one thread. */
STGCN_API stgcn_stream *stgcn_stream_open(stgcn_model *model, int window, int hop, float height,
                                          float width, char *message, size_t size);
/* Closes a stream. NULL is allowed. */
STGCN_API void stgcn_stream_close(stgcn_stream *stream);
/* As stgcn_error, of a stream. */
STGCN_API const char *stgcn_stream_error(const stgcn_stream *stream);
/* Begins again, for another person. */
STGCN_API void stgcn_stream_reset(stgcn_stream *stream);
/* Frames from the newest one that has been pushed back to the newest one whose features are
 * complete. */
STGCN_API int stgcn_stream_delay(const stgcn_stream *stream);
/* Pushes raw frames [frames, joints, channels], 0 or more; of a frame without the person all joints
 * are zero.
 *
 * probabilities: receives those of the last answer that came up
 *
 * Returns the number of answers that came up, 0 if none, or STGCN_ERROR: the probabilities are then
 * not written. If a number is not finite, no frame of the call is taken. After frames in other units
 * than those of the training, reset the stream. */
STGCN_API int stgcn_stream_push(stgcn_stream *stream, const float *joints, int64_t frames,
                                int channels, float *probabilities);
/* Pushes prepared frames [frames, joints, channels], as the backbones read them. Raw and prepared
 * frames do not mix: reset the stream in between. Returns as stgcn_stream_push does. */
STGCN_API int stgcn_stream_push_prepared(stgcn_stream *stream, const float *x, int64_t frames,
                                         float *probabilities);
/* Ends the sequence: what a clip has after its last frame, zeros, follows. No frames are taken
 * afterwards, until the stream is reset. Returns as stgcn_stream_push does. */
STGCN_API int stgcn_stream_finish(stgcn_stream *stream, float *probabilities);
/* Writes the features of the last answer [features], the mean over the window. Returns 1, or 0 if
 * there is no answer yet. Average those of several persons, and call stgcn_classify_features, for one
 * answer about all. */
STGCN_API int stgcn_stream_features(const stgcn_stream *stream, float *features);
/* Classifies features. Returns 0, or STGCN_ERROR if they are not finite. */
STGCN_API int stgcn_classify_features(stgcn_model *model, const float *features,
                                      float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
