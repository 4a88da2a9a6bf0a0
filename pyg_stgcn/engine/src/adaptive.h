// The operations of a program that read all frames of a person: the graphs and gates of adaptive
// backbones. And the mean over the joints, which needs one frame only.
#pragma once

#include <stdint.h>

#include "ops.h"
#include "program.h"

namespace stgcn {

// Whether an operation is one of these.
bool is_adaptive(Op op);

// Throws std::runtime_error if the arrays of an adaptive operation do not fit to its slots, to the
// `joints` of the program and the `blocks` of the network.
void check_adaptive(const Network& network, const Instruction& op, int64_t joints);

// Floats of scratch memory for an operation on at most so many frames; aligned to 64 bytes.
int64_t adaptive_scratch(const Network& network, const Instruction& op, int64_t joints,
                         int64_t frames);

// Runs an adaptive operation on all frames of one person. `x` is at the first frame of the slot `in`,
// or `at`, without its halo. graph: the factors of the slot `out`, of those operations that make a
// graph.
void run_adaptive(const Machine& machine, const Network& network, const Instruction& op,
                  int64_t joints, View x, int64_t frames, float* graph, float* scratch);

}  // namespace stgcn
