// The arguments of the kernels, the same for every instruction set, and the table of kernels.
//
// Features lie as [persons, blocks, frames, channels, 16]: sixteen joints side by side in a block,
// so that a frame, a tap of a convolution and a channel are distances between whole vectors. There
// are frames of zeros before the first and after the last.
//
// These files do not depend on torch, and include no headers with inline functions: the linker must
// not choose code that was compiled here for one instruction set for another.
#pragma once

#include <stdint.h>

namespace pyg_stgcn {

// Sparse weights, cut into groups of columns whose inputs fit into the cache together: row r of
// group g has the entries starts[g * rows + r] up to the next start.
struct SparseRows {
  const int32_t* starts;
  const int32_t* offsets;  // floats from the first input of an output frame
  const float* values;     // one per offset; of blocks, one per offset and row of the block
  int64_t rows;            // of blocks, rows of blocks
  int64_t groups;
};

// The end of a row of sums: a residual, and ReLU. The residual may be the output itself: it is read
// before anything is written in its place.
struct Epilogue {
  const float* residual;  // or null
  int64_t residual_frame;
  bool relu;
};

// A tile of frames of one person and one block of joints.
struct ConvTile {
  SparseRows weight;
  const float* bias;     // [rows]
  const float* x;        // the input at offset 0 of the first output frame
  int64_t x_step;        // floats from the inputs of one output frame to those of the next
  float* out;
  int64_t out_frame;
  int64_t frames;
  Epilogue epilogue;
};

// A matrix, and the place of its transpose: to[c][r] = from[r][c].
struct Transpose {
  const float* from;
  int64_t from_row;  // floats from one row to the next
  int64_t rows;
  int64_t columns;
  float* to;
  int64_t to_row;
};

struct GraphEntry {
  int32_t source;  // joint
  int32_t factor;  // floats from the first factor of the graph: sixteen, one per target joint
};

// A graph in ELL format, for targets with few sources each: slot n holds the n-th source of every
// target and its factor. For machines that permute the joints in registers; others, and graphs of
// more than two blocks of joints, use the entries.
struct EllGraph {
  const int32_t* starts;   // [partitions + 1]; null where there are none
  const int32_t* sources;  // [slots, blocks * 16]
  const float* factors;    // [slots, blocks * 16]
};

// A tile of frames of one person, all blocks of joints:
// out[o] = bias[o] + sum_k (row_bias[o, k] + weight[o, k] x) graph[k]
struct GraphTile {
  SparseRows weight;      // rows o * partitions + k, one group
  bool map_relu;          // between the map and the graph
  int64_t partitions;
  int64_t blocks;
  const float* bias;      // [rows / partitions, blocks * 16]
  const float* row_bias;  // [rows]
  const int32_t* graph_starts;  // [partitions * blocks + 1]
  const GraphEntry* graph;
  bool together;  // whether the blocks of a partition have the same sources, factors side by side
  EllGraph ell;
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
  Epilogue epilogue;
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

// The maximum over three frames, scaled and shifted, of some channels of a block of joints.
struct MaximumTile {
  const float* x;  // the frame before that of the first output frame
  int64_t x_frame;
  int64_t x_step;  // floats from the inputs of one output frame to those of the next
  const float* scale;
  const float* shift;
  float* out;
  int64_t out_frame;
  int64_t frames;
  int64_t channels;
  bool relu;
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
  void (*maximum)(const MaximumTile&);
  void (*transpose)(const Transpose&);
  bool permutes;        // whether graphs may be given in ELL format
};

constexpr int kBlock = 8;      // output channels of a block
constexpr int kMaxBlocks = 3;  // blocks of joints

const Kernels* avx512_kernels();  // null where they were not compiled
const Kernels* avx2_kernels();
const Kernels* plain_kernels();

}  // namespace pyg_stgcn
