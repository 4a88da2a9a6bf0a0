// A model that has been opened, with all the memory that it needs.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <exception>
#include <vector>

#include "file.h"
#include "memory.h"
#include "network.h"
#include "ops.h"
#include "prepare.h"
#include "program.h"
#include "team.h"

namespace stgcn {

// Runs `work`, which opens something, and returns its result; null, and the reason in `message`, if
// it throws.
template <class Work>
auto guarded(char* message, size_t size, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    snprintf(message, size, "there is not enough memory");
  } catch (const std::exception& error) {
    snprintf(message, size, "%s", error.what());
  }
  return nullptr;
}

// The weights themselves are finite: a file with others is not opened.
constexpr char kNotFinite[] =
    "the features are not finite: the coordinates are too large, or the training has diverged; give "
    "coordinates in the units of the training, or train again with a lower learning rate";

class Classifier {
 public:
  // The program must outlive this.
  explicit Classifier(const Program& program);
  void logits(const float* features, float* logits) const;
  // Adds the probabilities of the features of a clip. Returns whether they are numbers.
  bool add_probabilities(const float* features, double* probabilities);

 private:
  const Program& program_;
  std::vector<float> logits_;
};

}  // namespace stgcn

// One thread at a time uses it; `program` and `kernels` do not change, and streams share them.
struct stgcn_model {
  // Throws std::runtime_error.
  stgcn_model(stgcn::File opened, int threads);
  stgcn_model(const stgcn_model&) = delete;
  stgcn_model& operator=(const stgcn_model&) = delete;

  // Writes a message for stgcn_error, and returns STGCN_ERROR.
  int fail(const char* format, ...)
#if defined(__GNUC__)
      __attribute__((format(printf, 2, 3)))
#endif
      ;
  // Prepares for clips of so many frames. Returns whether the layers fit together then; if not,
  // there is a message.
  bool set_frames(int64_t frames);
  // Writes the features of a person. The frames have been set.
  void run(const stgcn::Person& person, float* features);

  stgcn::File file;
  stgcn::Program program;
  const pyg_stgcn::Kernels* kernels;
  stgcn::Team team;
  std::vector<stgcn::ClipNetwork> networks;
  stgcn::FloatMemory memory;
  stgcn::Preparation preparation;
  stgcn::Classifier classifier;
  stgcn::FloatMemory input;     // of a person, [joints, frames, channels]
  std::vector<float> person;    // their features
  std::vector<float> features;  // of a clip
  std::vector<double> probabilities;
  char message[512] = "";
};
