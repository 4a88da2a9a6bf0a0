// Shared by the files of operators: checks of their arguments, and tiles for the kernels.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "choose.h"

namespace pyg_stgcn {

using at::Tensor;
using std::optional;

constexpr int64_t kWidth = 16;

// The kernels for this machine, or those that PYG_STGCN_KERNELS names.
InstructionSet instructions();
const Kernels& kernels();

// Features [persons, blocks, frames, channels, 16].
struct Features {
  int64_t persons, blocks, frames, channels;
  float* data;
  int64_t frame() const { return channels * kWidth; }
  int64_t block() const { return frames * frame(); }
  int64_t person() const { return blocks * block(); }
};

inline Features features(const Tensor& x, const char* name) {
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous(), name,
              ": expected a contiguous float32 tensor on the CPU");
  TORCH_CHECK(x.dim() == 5 && x.size(4) == kWidth, name,
              ": expected [persons, blocks, frames, channels, 16], got ", x.sizes());
  return {x.size(0), x.size(1), x.size(2), x.size(3), x.data_ptr<float>()};
}

inline const float* floats(const Tensor& x, int64_t numel, const char* name) {
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
                  x.numel() == numel,
              name, ": expected ", numel, " contiguous float32 on the CPU, got ", x.sizes());
  return x.const_data_ptr<float>();
}

inline const int32_t* integers(const Tensor& x, const char* name) {
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kInt && x.is_contiguous(), name,
              ": expected a contiguous int32 tensor on the CPU");
  return x.const_data_ptr<int32_t>();
}

inline void check_starts(const int32_t* starts, int64_t count, int64_t numel, const char* name) {
  TORCH_CHECK(count > 0 && starts[0] == 0 && starts[count - 1] == numel, name,
              ": does not begin with 0 and end with ", numel);
  for (int64_t i = 1; i < count; ++i)
    TORCH_CHECK(starts[i - 1] <= starts[i], name, ": decreases at ", i);
}

// The gradient of features, within a halo.
struct Grad {
  Features from;
  int64_t pad, frames;

  const float* at(int64_t person, int64_t block, int64_t frame) const {
    return from.data + person * from.person() + block * from.block() + (pad + frame) * from.frame();
  }
};

inline Grad check_grad(const Tensor& grad, int64_t pad, const Features& in, int64_t channels) {
  const Features g = features(grad, "grad");
  TORCH_CHECK(pad >= 0 && 2 * pad <= g.frames && g.persons == in.persons && g.blocks == in.blocks &&
                  g.channels == channels,
              "grad: ", grad.sizes(), " does not fit ", channels, " channels of ", in.persons,
              " persons");
  return {g, pad, g.frames - 2 * pad};
}

// Sparse rows without their values.
inline SparseRows rows_without_values(const Tensor& starts, const Tensor& offsets, int64_t groups,
                                      int64_t reach) {
  TORCH_CHECK(groups > 0, "groups: ", groups);
  const int64_t count = starts.numel();
  TORCH_CHECK(count > 0 && (count - 1) % groups == 0, "starts: ", count, " for ", groups, " groups");
  const SparseRows e{integers(starts, "starts"), integers(offsets, "offsets"), nullptr,
                  (count - 1) / groups, groups};
  check_starts(e.starts, count, offsets.numel(), "starts");
  int32_t least = 0, most = -kWidth;
  for (int64_t i = 0; i < offsets.numel(); ++i) {
    least = std::min(least, e.offsets[i]);
    most = std::max(most, e.offsets[i]);
  }
  TORCH_CHECK(least >= 0 && most + kWidth <= reach, "offsets: from ", least, " to ", most,
              ", outside of the ", reach, " floats of the input");
  return e;
}

inline SparseRows sparse_rows(const Tensor& starts, const Tensor& offsets, const Tensor& values,
                       int64_t groups, int64_t block, int64_t reach) {
  TORCH_CHECK(block == 1 || block == kBlock, "block: ", block);
  SparseRows e = rows_without_values(starts, offsets, groups, reach);
  e.values = floats(values, offsets.numel() * block, "values");
  return e;
}

// Balanced tiles: of 25 frames in tiles of at most 8, four of 6 or 7.
struct Tiles {
  int64_t frames, count;
  Tiles(int64_t frames, int64_t most) : frames(frames), count((frames + most - 1) / most) {}
  int64_t begin(int64_t tile) const { return frames * tile / count; }
};

inline void clear_halo(const Features& out, int64_t pad) {
  if (pad == 0) return;
  for (int64_t b = 0; b < out.persons * out.blocks; ++b) {
    float* block = out.data + b * out.block();
    std::memset(block, 0, sizeof(float) * pad * out.frame());
    std::memset(block + out.block() - pad * out.frame(), 0, sizeof(float) * pad * out.frame());
  }
}

inline Tensor make_features(const Tensor& like, int64_t blocks, int64_t frames, int64_t channels,
                     int64_t pad) {
  TORCH_CHECK(frames >= 0 && pad >= 0 && channels >= 0, "frames, pad, channels: ", frames, ", ",
              pad, ", ", channels);
  Tensor out = at::empty({like.size(0), blocks, frames + 2 * pad, channels, kWidth},
                         like.options().memory_format(at::MemoryFormat::Contiguous));
  clear_halo(features(out, "out"), pad);
  return out;
}

// A graph in ELL format without its factors.
inline EllGraph ell_without_factors(const Tensor& starts, const Tensor& sources, int64_t partitions,
                              int64_t blocks) {
  const int64_t lanes = blocks * kWidth, slots = sources.numel() / lanes;
  TORCH_CHECK(starts.numel() == partitions + 1 && sources.numel() == slots * lanes,
              "ell: ", starts.numel(), " starts, ", sources.numel(), " sources");
  const EllGraph t{integers(starts, "ell_starts"), integers(sources, "ell_sources"), nullptr};
  check_starts(t.starts, starts.numel(), slots, "ell_starts");
  return t;
}

inline EllGraph ell_graph(const Tensor& starts, const Tensor& sources, const Tensor& factors,
                       int64_t partitions, int64_t blocks) {
  if (starts.numel() == 0) return {nullptr, nullptr, nullptr};
  EllGraph t = ell_without_factors(starts, sources, partitions, blocks);
  t.factors = floats(factors, sources.numel(), "ell_factors");
  return t;
}

inline const int32_t* graph_begins(const Tensor& starts, const Tensor& graph, int64_t partitions,
                                   int64_t blocks) {
  TORCH_CHECK(graph.dim() == 2 && graph.size(1) == 2, "graph: expected [edges, 2]");
  TORCH_CHECK(starts.numel() == partitions * blocks + 1, "graph_starts: ", starts.numel());
  const int32_t* begins = integers(starts, "graph_starts");
  check_starts(begins, starts.numel(), graph.size(0), "graph_starts");
  return begins;
}

// The entries of a graph; every partition and channel has `floats` factors.
inline const GraphEntry* graph_edges(const Tensor& graph, int64_t blocks, int64_t floats) {
  static_assert(sizeof(GraphEntry) == 2 * sizeof(int32_t), "rows of the graph are its entries");
  const auto* edges = reinterpret_cast<const GraphEntry*>(integers(graph, "graph"));
  for (int64_t i = 0; i < graph.size(0); ++i)
    TORCH_CHECK(edges[i].source >= 0 && edges[i].source < blocks * kWidth &&
                    edges[i].factor >= 0 && edges[i].factor + kWidth <= floats,
                "graph: entry ", i, " is out of range");
  return edges;
}

// Whether the blocks of every partition have the same sources, and their factors side by side.
inline bool blocks_together(const int32_t* starts, const GraphEntry* edges, int64_t partitions,
                            int64_t blocks) {
  for (int64_t i = 0; i < partitions * blocks; ++i) {
    const int64_t h = i % blocks, first = starts[i - h], count = starts[i - h + 1] - first;
    if (starts[i + 1] - starts[i] != count) return false;
    for (int64_t e = 0; e < count; ++e) {
      const GraphEntry &own = edges[starts[i] + e], &other = edges[first + e];
      if (own.source != other.source || own.factor != other.factor + h * kWidth) return false;
    }
  }
  return true;
}

}  // namespace pyg_stgcn
