// What the kernels of every instruction set are given, and the table of them.
//
// Features lie as [persons, blocks, frames, channels, 16]: sixteen joints side by side in a block,
// so that a frame, a tap of a convolution and a channel are distances between whole vectors. There
// are frames of zeros before the first and after the last.
//
// These files know nothing of torch, and include nothing with inline functions: what is compiled
// here for one instruction set must not be picked by the linker for another.
#pragma once

#include <stdint.h>

namespace pyg_stgcn {

// Sparse weights, cut into groups of columns whose inputs fit into the cache together: row r of
// group g has the entries starts[g * rows + r] up to the next start.
struct Entries {
  const int32_t* starts;
  const int32_t* offsets;  // floats from the first input of an output frame
  const float* values;     // one per offset; of blocks, one per offset and row of the block
  int64_t rows;            // of blocks, rows of blocks
  int64_t groups;
};

struct After {
  bool relu_first;        // before the residual
  const float* residual;  // or null
  int64_t residual_frame;
  bool relu;
};

// A tile of frames of one person and one block of joints.
struct ConvTile {
  Entries weight;
  const float* bias;     // [rows]
  const float* x;        // the input that offset 0 of the first output frame means
  int64_t x_step;        // floats from what one output frame sees to what the next one sees
  float* out;
  int64_t out_frame;
  int64_t frames;
  After after;
};

struct GraphEntry {
  int32_t source;  // joint
  int32_t factor;  // floats from the first factor of the graph: sixteen, one per target joint
};

// A graph in another form, where targets have few sources each: the n-th source of every target, and
// what it counts. For machines that pick joints out of registers; others, and graphs of more than two
// blocks of joints, take the entries.
struct GraphTerms {
  const int32_t* starts;   // [partitions + 1]; null where there are none
  const int32_t* sources;  // [terms, blocks * 16]
  const float* factors;    // [terms, blocks * 16]
};

// A tile of frames of one person, all blocks of joints:
// out[o] = bias[o] + sum_k (row_bias[o, k] + weight[o, k] x) graph[k]
struct GraphTile {
  Entries weight;         // rows o * partitions + k, one group
  int64_t partitions;
  int64_t blocks;
  const float* bias;      // [rows / partitions, blocks * 16]
  const float* row_bias;  // [rows]
  const int32_t* graph_starts;  // [partitions * blocks + 1]
  const GraphEntry* graph;
  GraphTerms terms;
  const float* factors;
  int64_t factor_partition;  // floats from one partition, and one channel, to the next
  int64_t factor_channel;
  const float* x;
  int64_t x_block;
  int64_t x_frame;
  float* out;
  int64_t out_block;
  int64_t out_frame;
  int64_t frames;
  After after;
  int64_t residual_block;
};

// out[v, w] = sum over frames and channels of a[v] * b[w], for one person and partition.
struct PairTile {
  const float* a;
  const float* b;
  int64_t block;
  int64_t frame;
  int64_t frames;
  int64_t channels;
  int64_t joints;
  int64_t blocks;
  float* out;  // [joints, blocks * 16]
};

struct Kernels {
  const char* name;
  int64_t conv_frames;         // frames of a tile at most
  int64_t block_frames;
  int64_t graph_sums;          // frames times blocks of a tile at most
  void (*conv)(const ConvTile&);
  void (*block_conv)(const ConvTile&);
  void (*graph_conv)(const GraphTile&);
  void (*pairs)(const PairTile&);
};

constexpr int kBlock = 8;      // output channels of a block pattern's block
constexpr int kMaxBlocks = 3;  // blocks of joints

const Kernels* avx512_kernels();  // null where they were not compiled
const Kernels* avx2_kernels();
const Kernels* plain_kernels();

}  // namespace pyg_stgcn
