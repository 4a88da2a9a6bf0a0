// Exact continual inference: a network applied to a sequence of frames that never ends.
//
// Every slot is a queue of frames, and an instruction computes an output frame as soon as its input
// frames are there. Frames before the first are zeros, as in a clip. A frame is dropped when all
// instructions that read it have passed it. So every result is that of the network applied to the
// whole sequence, and residuals wait by themselves.
#pragma once

#include <stdint.h>

#include <vector>

#include "memory.h"
#include "ops.h"
#include "program.h"
#include "window.h"

namespace stgcn {

class Continual {
 public:
  // Whether each operation of a network looks at a few neighbouring frames only.
  static bool supports(const Network& network);

  // window: frames of the input whose features are averaged
  // Throws std::runtime_error if the layers do not fit together, or need too much memory.
  Continual(const Program& program, const Network& network, int64_t window);

  void reset();
  // Adds frames [frames, joints, channels]. Returns the number of frames of features that came up.
  int64_t push(const Machine& machine, const float* x, int64_t frames);
  // Ends the sequence: zeros follow it, in every layer as in a clip. Returns as push does.
  int64_t finish(const Machine& machine);

  const WindowSum& features() const { return features_; }
  // Frame j of the features is complete with frame j * stride + delay of the input.
  int64_t stride() const { return queues_[size_t(network_.result)].stride; }
  int64_t delay() const { return queues_[size_t(network_.result)].delay; }
  // Floats of memory.
  int64_t floats() const { return floats_; }

 private:
  // Frames [blocks, capacity, channels, 16], from frame `first` on. The first `end` frames are
  // complete; once the sequence has ended, zeros follow them.
  struct Queue {
    int64_t channels = 0, capacity = 0;
    float* data = nullptr;
    int64_t lead = 0, tail = 0;     // zeros that are read before the first frame and after the last
    // Frame j is complete with frame j * stride + delay of the input; parts of it are there earlier.
    int64_t stride = 0, delay = 0, earliest = 0;
    int64_t first = 0, end = 0, zeros = 0;
    std::vector<int32_t> writers, readers, adders;  // steps; adders read it as the residual
  };
  struct Step {
    const Instruction* op = nullptr;
    int64_t stride = 1, padding = 0, span = 1;
    int64_t done = 0;
    int64_t total = 0;  // output frames, once the sequence has ended
  };

  void connect();
  void connect(const Instruction& op, int32_t number);
  void place_queues();
  bool run(const Machine& machine);
  bool advance(const Machine& machine, Step& step);
  bool take_features();
  int64_t oldest_needed(const Queue& queue) const;
  int64_t newest(const Queue& queue) const;
  int64_t make_room(Queue& queue, int64_t from, int64_t wanted);
  void append_zeros(Queue& queue);
  void append_input(const float* x, int64_t frames);
  View view(const Queue& queue, int64_t frame) const;

  const Network& network_;
  int64_t joints_;
  std::vector<Queue> queues_;
  std::vector<Step> steps_;
  FloatMemory memory_;
  int64_t floats_ = 0;
  bool ended_ = false, cut_ = false;
  int64_t taken_ = 0;       // frames of features
  std::vector<float> row_;  // the features of a frame
  WindowSum features_;
};

}  // namespace stgcn
