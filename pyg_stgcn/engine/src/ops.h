// The operations of a program on some frames of one person.
//
// Clips and streams share them: a clip runs all frames of a layer at once, a stream those that can
// be computed with the frames that have arrived.
#pragma once

#include <stdint.h>

#include "kernels.h"
#include "program.h"
#include "team.h"

namespace stgcn {

// Frames of features: the value of lane l, channel c, frame t and block b is at
// data[b * block + t * frame + c * 16 + l].
struct View {
  float* data = nullptr;
  int64_t block = 0, frame = 0;
};

// What all operations need.
struct Machine {
  const pyg_stgcn::Kernels* kernels;
  Team* team;
};

// In all of these `in` is the view at the first input frame that output frame 0 reads (with its
// padding), `out` at output frame 0, and `frames` the number of output frames. All views are at
// channel 0: the channels of the instruction are added here. No residual: data is null.
void run_conv(const Machine& machine, const Instruction& op, int64_t blocks, View in, View residual,
              View out, int64_t frames);
// factors: those of a graph slot, or null.
void run_graph_conv(const Machine& machine, const Instruction& op, int64_t blocks, View in,
                    View residual, const float* factors, View out, int64_t frames);
// `in` is at the frame before the first.
void run_maximum(const Machine& machine, const Instruction& op, int64_t blocks, View in, View out,
                 int64_t frames);
void run_add(const Instruction& op, int64_t blocks, int64_t channels, View in, View residual,
             View out, int64_t frames);

}  // namespace stgcn
