// The arguments of the kernels of training, and their table. Only the torch operators use them.
#pragma once

#include "choose.h"
#include "kernels.h"

namespace pyg_stgcn {

// The gradients of kept weights, for a tile of frames of one person, added to sixteen sums each, lane
// by lane. Only rows, or channels, from `begin` to before `end`; other threads do the others.
struct ConvGradTile {
  SparseRows weight;  // without values
  int64_t begin, end;
  const float* x;
  int64_t x_step;
  const float* grad;  // of the output
  int64_t grad_frame;
  int64_t frames;
  float* sums;       // [entries, 16]
  float* bias_sums;  // [rows, 16]
};

// For the weights the graph is the transposed one; for its edges it is the graph itself, and `sums`
// has sixteen for every entry, or for every block of targets of every slot.
struct GraphGradTile {
  SparseRows weight;
  int64_t partitions;
  int64_t blocks;
  int64_t begin, end;
  const int32_t* graph_starts;
  const GraphEntry* graph;
  EllGraph ell;
  const float* factors;
  int64_t factor_partition;
  const float* x;
  int64_t x_block;
  int64_t x_frame;
  const float* grad;
  int64_t grad_block;
  int64_t grad_frame;
  int64_t frames;
  float* sums;
  float* bias_sums;  // [channels, blocks * 16]; of the weights' gradient
};

// A batch norm: all frames of one person and one block of joints.
struct NormTile {
  int64_t frames;
  int64_t begin, end;  // channels
  int64_t lanes;       // joints in this block
  const float* x;
  int64_t x_frame;
  const float* center;   // [channels]; subtracted from x first
  const float* factor;   // [channels]; of x, and of the gradient that arrives
  const float* factor_x;  // [channels]; of x in the gradient
  const float* shift;    // [channels]
  const float* residual;  // or null
  int64_t residual_frame;
  bool relu;
  const float* grad;  // of the output
  const float* kept;  // the output, where ReLU follows: zero means a gradient of zero; or null
  int64_t grad_frame;
  float* out;
  int64_t out_frame;
  float* passed;  // the gradient after ReLU, or null; frames as in `grad`
  float* sums;    // [channels, 16], of x or the gradient
  float* products;  // [channels, 16], with x
};

struct GradientKernels {
  int64_t grad_frames;  // frames of a tile at most
  int64_t grad_sums;    // frames times blocks of a tile at most
  void (*conv_weight_grad)(const ConvGradTile&);
  void (*graph_weight_grad)(const GraphGradTile&);
  void (*graph_edge_grad)(const GraphGradTile&);
  void (*norm_sums)(const NormTile&);
  void (*norm_apply)(const NormTile&);
  void (*norm_grad_sums)(const NormTile&);
  void (*norm_grad)(const NormTile&);
};

const GradientKernels* avx512_gradients();  // null where they were not compiled
const GradientKernels* avx2_gradients();
const GradientKernels* plain_gradients();

// The kernels of training for this machine, or those that PYG_STGCN_KERNELS names.
const GradientKernels& gradient_kernels();

}  // namespace pyg_stgcn
