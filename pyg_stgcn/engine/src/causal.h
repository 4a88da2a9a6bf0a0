// From the raw frames of a stream to the input of a model, frame by frame.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>

#include "program.h"

namespace stgcn {

// The input of a stream, frame by frame. Nothing depends on later frames, except that motion is one
// frame behind. In 3-D the first frame that shows a joint, or two, decides about origin, rotation and
// scale, and frames that show nobody are left out, as from clips.
class CausalPreparation {
 public:
  // height, width: the size of the image in pixels, in 2-D; 0 in 3-D. The program must outlive this.
  CausalPreparation(const Program& program, float height, float width);
  ~CausalPreparation();
  CausalPreparation(const CausalPreparation&) = delete;
  CausalPreparation& operator=(const CausalPreparation&) = delete;

  // Begins again, for another person.
  void reset();
  // Checks raw frames [frames, joints, channels] that follow, before any of them is added. Returns
  // false, and the reason in `message`, for those that the model cannot read.
  bool check(const float* joints, int64_t frames, int channels, char* message, size_t size);
  // Adds a raw frame [joints, channels] that has been checked. Returns 1 if a frame of the input came
  // up, which it writes to x [joints, program.channels], and 0 if none did. Returns -1, and the reason
  // in `message`, while the poses are in other units than those of the training.
  int push(const float* joints, int channels, float* x, char* message, size_t size);
  // Ends the sequence. Returns 1 and writes the last frame if motion waits for a following one,
  // else 0; -1 as above.
  int finish(float* x, char* message, size_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stgcn
