// One adaptive operation of the engine, for tests.

#include <math.h>
#include <stdio.h>

#include <exception>
#include <vector>

#include "adaptive.h"

using namespace stgcn;

// The instruction sets of this machine: bit 0 AVX2, bit 1 AVX-512.
extern "C" int parts_supported() {
#if defined(__x86_64__)
  return (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0) |
         (__builtin_cpu_supports("avx512f") ? 2 : 0);
#else
  return 0;
#endif
}

// numbers: operation, joints, blocks, channels, frames, halo, partitions, channels of the operation,
// floats of the graph, threads. Returns 0, or 1 for a refusal.
extern "C" int parts_run(const int64_t* numbers, const char* instruction_set, const float** arrays,
                         const int64_t* sizes, float* x, float* graph, char* message, size_t size) {
  const int64_t joints = numbers[1], frames = numbers[4], halo = numbers[5];
  Network network;
  network.blocks = numbers[2];
  network.slots.resize(2);
  network.slots[0].channels = numbers[3];
  network.slots[0].halo = halo;
  network.slots[1].floats = numbers[8];
  Instruction op;
  op.op = Op(numbers[0]);
  const bool makes_graph = numbers[8] > 0;
  (makes_graph ? op.in : op.at) = 0;
  if (makes_graph) op.out = 1;
  op.partitions = numbers[6];
  op.channels = numbers[7];
  if (op.op == Op::spread_joint) {
    op.factor = {arrays[0], sizes[0]};
    op.scale = {arrays[1], sizes[1]};
    op.shift = {arrays[2], sizes[2]};
  }
  for (int i = 0; i < 8; ++i) op.weights[i] = {arrays[i], sizes[i]};
  try {
    check_adaptive(network, op, joints);
  } catch (const std::exception& error) {
    snprintf(message, size, "%s", error.what());
    return 1;
  }
  // The products of pairs are plain ones; the name chooses the adaptive kernels.
  pyg_stgcn::Kernels kernels = *pyg_stgcn::plain_kernels();
  kernels.name = instruction_set;
  Team team(static_cast<int>(numbers[9]));
  std::vector<float> scratch(size_t(adaptive_scratch(network, op, joints, frames)), NAN);
  const int64_t frame = numbers[3] * kWidth;
  const Machine machine{&kernels, &team};
  View view;
  view.data = x + halo * frame;
  view.block = (frames + 2 * halo) * frame;
  view.frame = frame;
  run_adaptive(machine, network, op, joints, view, frames, graph, scratch.data());
  return 0;
}
