// The torch operators of training: gradients of the kept weights.
//
// Threads share rows or channels, never a sum: results do not depend on their number.

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "checks.h"
#include "gradients.h"

namespace pyg_stgcn {

const GradientKernels& gradient_kernels() {
  switch (instructions()) {
    case InstructionSet::avx512: return *avx512_gradients();
    case InstructionSet::avx2: return *avx2_gradients();
    default: return *plain_gradients();
  }
}

namespace {

constexpr int64_t kChunks = 8;  // of channels, with sums of their own

// Sums of the sixteen lanes.
void sum_lanes(const float* sums, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int64_t l = 0; l < kWidth; ++l) sum += sums[i * kWidth + l];
    out[i] = sum;
  }
}

// Gradients of the weights and of the bias.
std::tuple<Tensor, Tensor> conv_weight_grad(const Tensor& x, const Tensor& grad,
                                            const Tensor& starts, const Tensor& offsets,
                                            int64_t groups, int64_t stride, int64_t pad) {
  const Features in = features(x, "x");
  TORCH_CHECK(groups > 0, "groups: ", groups);
  const Grad g = check_grad(grad, pad, in, (starts.numel() - 1) / groups);
  const int64_t seen = in.frames - (g.frames - 1) * stride;
  TORCH_CHECK(stride > 0 && (g.frames == 0 || seen > 0), "stride: ", stride, " for ", g.frames,
              " of ", in.frames, " frames");
  const SparseRows weight =
      rows_without_values(starts, offsets, groups, std::max<int64_t>(seen, 0) * in.frame());
  const Tensor sums = at::zeros({offsets.numel(), kWidth}, x.options());
  const Tensor bias_sums = at::zeros({weight.rows, kWidth}, x.options());
  float *sum = sums.data_ptr<float>(), *bias_sum = bias_sums.data_ptr<float>();
  const Tiles tiles(g.frames, gradient_kernels().grad_frames);
  at::parallel_for(0, weight.rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < in.persons * in.blocks * tiles.count; ++i) {
      const int64_t tile = i % tiles.count, b = i / tiles.count % in.blocks;
      const int64_t person = i / tiles.count / in.blocks, t = tiles.begin(tile);
      ConvGradTile work;
      work.weight = weight;
      work.begin = begin;
      work.end = end;
      work.x = in.data + person * in.person() + b * in.block() + t * stride * in.frame();
      work.x_step = stride * in.frame();
      work.grad = g.at(person, b, t);
      work.grad_frame = g.from.frame();
      work.frames = tiles.begin(tile + 1) - t;
      work.sums = sum;
      work.bias_sums = bias_sum;
      gradient_kernels().conv_weight_grad(work);
    }
  });
  Tensor values = at::empty({offsets.numel()}, x.options());
  Tensor bias = at::empty({weight.rows}, x.options());
  sum_lanes(sum, offsets.numel(), values.data_ptr<float>());
  sum_lanes(bias_sum, weight.rows, bias.data_ptr<float>());
  return {values, bias};
}

struct GraphWork {
  Features in;
  Grad grad;
  GraphGradTile tile;

  // All persons and frames, one tile after the other.
  void run(void (*kernel)(const GraphGradTile&)) {
    const Tiles tiles(in.frames, std::max<int64_t>(gradient_kernels().grad_sums / in.blocks, 1));
    for (int64_t i = 0; i < in.persons * tiles.count; ++i) {
      const int64_t person = i / tiles.count, t = tiles.begin(i % tiles.count);
      tile.x = in.data + person * in.person() + t * in.frame();
      tile.grad = grad.at(person, 0, t);
      tile.frames = tiles.begin(i % tiles.count + 1) - t;
      kernel(tile);
    }
  }
};

GraphWork graph_work(const Tensor& x, const Tensor& grad, const Tensor& starts,
                     const Tensor& offsets, const Tensor& graph_starts, const Tensor& graph,
                     int64_t partitions) {
  GraphWork work;
  work.in = features(x, "x");
  const Features& in = work.in;
  TORCH_CHECK(in.blocks >= 1 && in.blocks <= kMaxBlocks, "x: has ", in.blocks,
              " blocks of joints, more than ", kMaxBlocks);
  const SparseRows weight = rows_without_values(starts, offsets, 1, in.frame());
  TORCH_CHECK(partitions > 0 && weight.rows % partitions == 0, "partitions: ", partitions);
  work.grad = check_grad(grad, 0, in, weight.rows / partitions);
  TORCH_CHECK(work.grad.frames == in.frames, "grad: has ", work.grad.frames, " frames, x ",
              in.frames);
  GraphGradTile& t = work.tile;
  t = {};
  t.weight = weight;
  t.partitions = partitions;
  t.blocks = in.blocks;
  t.graph_starts = graph_begins(graph_starts, graph, partitions, in.blocks);
  t.x_block = in.block();
  t.x_frame = in.frame();
  t.grad_block = work.grad.from.block();
  t.grad_frame = work.grad.from.frame();
  return work;
}

// Gradients of the weights and of the bias of every channel and joint; the graph is transposed.
std::tuple<Tensor, Tensor> graph_weight_grad(
    const Tensor& x, const Tensor& grad, const Tensor& starts, const Tensor& offsets,
    const Tensor& graph_starts, const Tensor& graph, const Tensor& factors,
    const Tensor& ell_starts, const Tensor& ell_sources, const Tensor& ell_factors,
    int64_t partitions) {
  GraphWork base =
      graph_work(x, grad, starts, offsets, graph_starts, graph, partitions);
  const Features& in = base.in;
  TORCH_CHECK(factors.dim() == 4 && factors.size(0) == 1 && factors.size(1) == partitions &&
                  factors.size(2) == 1,
              "factors: expected [1, partitions, 1, floats], got ", factors.sizes());
  base.tile.factors = floats(factors, factors.numel(), "factors");
  base.tile.factor_partition = factors.size(3);
  base.tile.graph = graph_edges(graph, in.blocks, factors.size(3));
  base.tile.ell = ell_graph(ell_starts, ell_sources, ell_factors, partitions, in.blocks);
  const int64_t channels = base.grad.from.channels;
  const Tensor sums = at::zeros({offsets.numel(), kWidth}, x.options());
  Tensor bias = at::zeros({channels, in.blocks * kWidth}, x.options());
  base.tile.sums = sums.data_ptr<float>();
  base.tile.bias_sums = bias.data_ptr<float>();
  at::parallel_for(0, channels, 4, [&](int64_t begin, int64_t end) {
    GraphWork work = base;
    work.tile.begin = begin;
    work.tile.end = end;
    work.run(gradient_kernels().graph_weight_grad);
  });
  Tensor values = at::empty({offsets.numel()}, x.options());
  sum_lanes(base.tile.sums, offsets.numel(), values.data_ptr<float>());
  return {values, bias};
}

// Gradients of the factors: of the ELL graph, where there is one, else of the entries.
Tensor graph_edge_grad(const Tensor& x, const Tensor& grad, const Tensor& starts,
                       const Tensor& offsets, const Tensor& values, const Tensor& graph_starts,
                       const Tensor& graph, const Tensor& ell_starts, const Tensor& ell_sources,
                       int64_t partitions) {
  GraphWork base =
      graph_work(x, grad, starts, offsets, graph_starts, graph, partitions);
  const Features& in = base.in;
  base.tile.weight.values = floats(values, offsets.numel(), "values");
  const int64_t lanes = in.blocks * kWidth;
  base.tile.graph = graph_edges(graph, in.blocks, lanes * lanes);
  // Machines that cannot permute joints use the entries.
  const bool use_ell = kernels().permutes && in.blocks <= 2 && ell_starts.numel() > 0;
  if (use_ell) base.tile.ell = ell_without_factors(ell_starts, ell_sources, partitions, in.blocks);
  const int64_t count = use_ell ? ell_sources.numel() / kWidth : graph.size(0);
  const Tensor sums = at::zeros({kChunks, count, kWidth}, x.options());
  const int64_t channels = base.grad.from.channels;
  at::parallel_for(0, kChunks, 1, [&](int64_t begin, int64_t end) {
    GraphWork work = base;
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      work.tile.begin = channels * chunk / kChunks;
      work.tile.end = channels * (chunk + 1) / kChunks;
      work.tile.sums = sums.data_ptr<float>() + chunk * count * kWidth;
      work.run(gradient_kernels().graph_edge_grad);
    }
  });
  return sums.sum(0);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
  m.def("picks_joints(int blocks) -> bool",
        [](int64_t blocks) { return kernels().permutes && blocks <= 2; });
  m.def(
      "conv_weight_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, int groups, "
      "int stride, int pad) -> (Tensor, Tensor)");
  m.def(
      "graph_weight_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, "
      "Tensor graph_starts, Tensor graph, Tensor factors, Tensor ell_starts, "
      "Tensor ell_sources, Tensor ell_factors, int partitions) -> (Tensor, Tensor)");
  m.def(
      "graph_edge_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, Tensor values, "
      "Tensor graph_starts, Tensor graph, Tensor ell_starts, Tensor ell_sources, "
      "int partitions) -> Tensor");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) {
  m.impl("conv_weight_grad", &conv_weight_grad);
  m.impl("graph_weight_grad", &graph_weight_grad);
  m.impl("graph_edge_grad", &graph_edge_grad);
}

}  // namespace pyg_stgcn
