// The preprocessing of the engine without models, for tests.

#include <stdio.h>

#include <exception>

#include "causal.h"
#include "prepare.h"
#include "sample.h"

using namespace stgcn;

namespace {

struct Handle {
  Program program;
  Preparation* clip = nullptr;
  CausalPreparation* stream = nullptr;
};

}  // namespace

// numbers: joints, channels, frames, persons, seed, planar, scored, fractions, scale, align, root, then
// streams, trunk, spine, shoulders, bones and parents, each after its length.
extern "C" void* parts_open(const int64_t* n, float threshold, const float* mean,
                            const float* deviation, float height, float width, char* message,
                            size_t size) {
  Handle* handle = new Handle;
  Program& program = handle->program;
  Input& input = program.input;
  program.joints = *n++;
  program.channels = *n++;
  input.frames = *n++;
  input.persons = *n++;
  input.seed = *n++;
  input.planar = *n++;
  input.scored = *n++;
  input.fractions = *n++;
  input.scale = *n++;
  input.align = *n++;
  input.root = int32_t(*n++);
  for (int64_t count = *n++; count > 0; --count) input.streams.push_back(Input::Stream(*n++));
  for (auto* list :
       {&input.trunk, &input.spine, &input.shoulders, &input.bones, &input.parents})
    for (int64_t count = *n++; count > 0; --count) list->push_back(int32_t(*n++));
  input.score_threshold = threshold;
  const int64_t values = program.joints * program.channels;
  if (mean) input.mean = {mean, values}, input.std = {deviation, values};
  for (int64_t v = 0; v < program.joints; ++v)
    program.joint_names.push_back("joint " + std::to_string(v));
  try {
    check_input(program);
  } catch (const std::exception& error) {
    snprintf(message, size, "%s", error.what());
    delete handle;
    return nullptr;
  }
  handle->clip = new Preparation(program);
  handle->stream = new CausalPreparation(program, height, width);
  return handle;
}

extern "C" void parts_close(Handle* handle) {
  delete handle->clip;
  delete handle->stream;
  delete handle;
}

extern "C" int64_t parts_clip(Handle* handle, const float* joints, int64_t persons, int64_t frames,
                              int channels, float height, float width, int views, char* message,
                              size_t size) {
  const RawClip clip = {joints, persons, frames, channels, height, width};
  return handle->clip->open(clip, views, message, size) ? handle->clip->persons() : -1;
}

extern "C" void parts_fill(Handle* handle, int64_t person, int64_t view, float* x) {
  const int64_t channels = handle->program.channels;
  handle->clip->fill(person, view, x, handle->program.input.frames * channels, channels);
}

extern "C" int parts_push(Handle* handle, const float* joints, int channels, float* x, char* message,
                          size_t size) {
  if (!handle->stream->check(joints, 1, channels, message, size)) return -1;
  return handle->stream->push(joints, channels, x, message, size);
}

extern "C" int parts_finish(Handle* handle, float* x, char* message, size_t size) {
  return handle->stream->finish(x, message, size);
}

extern "C" void parts_sample(int64_t frames, int64_t length, int64_t views, uint32_t seed,
                             int64_t* out) {
  Sampler sampler(length, seed);
  sampler.open(frames, views);
  for (int64_t v = 0; v < views; ++v) {
    const int64_t* view = sampler.view(v);
    for (int64_t t = 0; t < length; ++t) out[v * length + t] = view[t];
  }
}
