#include "ops.h"

#include <utility>

namespace stgcn {
namespace {

using pyg_stgcn::ConvTile;
using pyg_stgcn::GraphTile;
using pyg_stgcn::Kernels;

// Balanced tiles: of 25 frames in tiles of at most 8, four of 6 or 7.
struct Tiles {
  int64_t frames, count;
  Tiles(int64_t frames, int64_t most) : frames(frames), count((frames + most - 1) / most) {}
  int64_t begin(int64_t tile) const { return frames * tile / count; }
  int64_t size(int64_t tile) const { return begin(tile + 1) - begin(tile); }
};

// As std::max: a NaN on the left stays.
inline float larger(float a, float b) { return a < b ? b : a; }

pyg_stgcn::SparseRows sparse_rows(const Rows& rows) {
  return {rows.starts.data, rows.offsets.data, rows.values.data, rows.rows, rows.groups};
}

}  // namespace

void run_conv(const Machine& machine, const Instruction& op, int64_t blocks, View in, View residual,
              View out, int64_t frames) {
  const Kernels& kernels = *machine.kernels;
  const bool single = op.weight.block == 1;
  const auto kernel = single ? kernels.conv : kernels.block_conv;
  in.frame *= op.stride;
  // A kernel reads the weights once for all frames of a tile. Of few frames, as in streams, the blocks
  // of joints go together instead.
  if (frames < blocks) {
    std::swap(frames, blocks);
    for (View* view : {&in, &residual, &out}) std::swap(view->block, view->frame);
  }
  const Tiles tiles(frames, single ? kernels.conv_frames : kernels.block_frames);
  // The tiles of a block of joints have overlapping inputs: one thread does neighbouring tiles.
  machine.team->run(blocks * tiles.count, [&](int64_t begin, int64_t end) {
    ConvTile work;
    work.weight = sparse_rows(op.weight);
    work.bias = op.bias.data;
    work.x_step = in.frame;
    work.out_frame = out.frame;
    work.epilogue = {nullptr, residual.frame, op.relu};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = i % tiles.count, b = i / tiles.count, t = tiles.begin(tile);
      work.x = in.data + b * in.block + t * in.frame;
      work.out = out.data + b * out.block + t * out.frame + op.channel * kWidth;
      work.frames = tiles.size(tile);
      if (residual.data)
        work.epilogue.residual = residual.data + b * residual.block + t * residual.frame;
      kernel(work);
    }
  });
}

void run_graph_conv(const Machine& machine, const Instruction& op, int64_t blocks, View in,
                    View residual, const float* factors, View out, int64_t frames) {
  const Kernels& kernels = *machine.kernels;
  const Tiles tiles(frames, kernels.graph_sums / blocks);
  machine.team->run(tiles.count, [&](int64_t begin, int64_t end) {
    GraphTile work;
    work.weight = sparse_rows(op.weight);
    work.map_relu = op.map_relu;
    work.partitions = op.partitions;
    work.blocks = blocks;
    work.bias = op.bias.data;
    work.row_bias = op.row_bias.data;
    work.graph_starts = op.graph_starts.data;
    // Pairs of whole numbers, as in the file.
    work.graph = reinterpret_cast<const pyg_stgcn::GraphEntry*>(op.edges.data);
    work.together = op.together;
    // Another graph has no ELL format.
    work.ell = {nullptr, nullptr, nullptr};
    if (!factors && op.ell_starts.size)
      work.ell = {op.ell_starts.data, op.ell_sources.data, op.ell_factors.data};
    work.factors = factors ? factors : op.factors.data;
    work.factor_partition = op.factor_partition;
    work.factor_channel = op.factor_channel;
    work.x_block = in.block;
    work.x_frame = in.frame;
    work.out_block = out.block;
    work.out_frame = out.frame;
    work.epilogue = {nullptr, residual.frame, op.relu};
    work.residual_block = residual.block;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t t = tiles.begin(tile);
      work.x = in.data + t * in.frame;
      work.out = out.data + t * out.frame;
      work.frames = tiles.size(tile);
      if (residual.data) work.epilogue.residual = residual.data + t * residual.frame;
      kernels.graph_conv(work);
    }
  });
}

void run_maximum(const Machine& machine, const Instruction& op, int64_t blocks, View in, View out,
                 int64_t frames) {
  for (int64_t b = 0; b < blocks; ++b)
    machine.kernels->maximum({in.data + b * in.block + op.in_channel * kWidth, in.frame,
                              op.stride * in.frame, op.scale.data, op.shift.data,
                              out.data + b * out.block + op.channel * kWidth, out.frame, frames,
                              op.scale.size, op.relu});
}

void run_add(const Instruction& op, int64_t blocks, int64_t channels, View in, View residual,
             View out, int64_t frames) {
  for (int64_t i = 0; i < blocks * frames; ++i) {
    const int64_t b = i / frames, t = i % frames;
    const float* left = in.data + b * in.block + t * in.frame;
    const float* right = residual.data + b * residual.block + t * residual.frame;
    float* to = out.data + b * out.block + t * out.frame;
    for (int64_t l = 0; l < channels * kWidth; ++l) {
      const float value = left[l] + right[l];
      to[l] = op.relu ? larger(value, 0) : value;
    }
  }
}

}  // namespace stgcn
