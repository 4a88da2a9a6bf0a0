// A network on clips, one person at a time.
#pragma once

#include <stdint.h>

#include <vector>

#include "ops.h"
#include "program.h"

namespace stgcn {

// The input of a person: channel c of joint v in frame t is at data[v * joint + t * frame + c].
struct Person {
  const float* data = nullptr;
  int64_t joint = 0, frame = 0, frames = 0;
  int64_t position = 0;  // among the persons of the clip
};

class ClipNetwork {
 public:
  // The program must outlive this.
  ClipNetwork(const Program& program, const Network& network);

  // Floats of the memory that `run` needs.
  int64_t floats() const { return floats_; }
  // Prepares for clips of so many frames. Returns whether the layers fit together then.
  bool set_frames(int64_t frames);
  // Adds the features of a person, times a factor. The frames are those that have been set.
  void run(const Machine& machine, const Person& person, float* memory, float factor,
           float* features) const;

 private:
  void place_slots();
  bool takes_residual(const Instruction& op, int64_t number, const std::vector<int64_t>& last) const;
  int64_t floats_of(size_t slot) const;
  View view(float* memory, int32_t slot) const;
  void run(const Machine& machine, const Instruction& op, float* memory) const;
  void clear_halo(float* memory, int32_t slot) const;
  float fill_input(const Person& person, float* memory) const;
  void add_mean(float* memory, float factor, float spoilt, float* features) const;

  const Program* program_;
  const Network* network_;
  std::vector<int64_t> frames_;  // of every slot
  std::vector<int64_t> places_;  // of every slot in the memory, in floats
  int64_t scratch_ = 0, floats_ = 0;
};

}  // namespace stgcn
