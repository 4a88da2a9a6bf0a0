// The torch operators of training: gradients of what is kept, and batch norms.
//
// Threads share rows or channels, never a sum: results do not depend on their number.

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "checks.h"

namespace pyg_stgcn {
namespace {

constexpr int64_t kChunks = 8;  // of channels, with sums of their own

struct Grad {
  Features from;
  int64_t pad, frames;

  const float* at(int64_t person, int64_t block, int64_t frame) const {
    return from.data + person * from.person() + block * from.block() + (pad + frame) * from.frame();
  }
};

Grad check_grad(const Tensor& grad, int64_t pad, const Features& in, int64_t channels) {
  const Features g = features(grad, "grad");
  TORCH_CHECK(pad >= 0 && 2 * pad <= g.frames && g.persons == in.persons && g.blocks == in.blocks &&
                  g.channels == channels,
              "grad: ", grad.sizes(), " does not fit ", channels, " channels of ", in.persons,
              " persons");
  return {g, pad, g.frames - 2 * pad};
}

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
  const Entries weight = places(starts, offsets, groups, std::max<int64_t>(seen, 0) * in.frame());
  const Tensor sums = at::zeros({offsets.numel(), kWidth}, x.options());
  const Tensor bias_sums = at::zeros({weight.rows, kWidth}, x.options());
  float *sum = sums.data_ptr<float>(), *bias_sum = bias_sums.data_ptr<float>();
  const Tiles tiles(g.frames, kernels().grad_frames);
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
      kernels().conv_weight_grad(work);
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

  void at(int64_t person, int64_t frame, int64_t end) {
    tile.x = in.data + person * in.person() + frame * in.frame();
    tile.grad = grad.at(person, 0, frame);
    tile.frames = end - frame;
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
  const Entries weight = places(starts, offsets, 1, in.frame());
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

Tiles graph_tiles(const Features& in) {
  return Tiles(in.frames, std::max<int64_t>(kernels().grad_sums / in.blocks, 1));
}

// Gradients of the weights and of the bias of every channel and joint; the graph is transposed.
std::tuple<Tensor, Tensor> graph_weight_grad(
    const Tensor& x, const Tensor& grad, const Tensor& starts, const Tensor& offsets,
    const Tensor& graph_starts, const Tensor& graph, const Tensor& factors,
    const Tensor& term_starts, const Tensor& term_sources, const Tensor& term_factors,
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
  base.tile.terms = graph_terms(term_starts, term_sources, term_factors, partitions, in.blocks);
  const int64_t channels = base.grad.from.channels;
  const Tensor sums = at::zeros({offsets.numel(), kWidth}, x.options());
  Tensor bias = at::zeros({channels, in.blocks * kWidth}, x.options());
  base.tile.sums = sums.data_ptr<float>();
  base.tile.bias_sums = bias.data_ptr<float>();
  const Tiles tiles = graph_tiles(in);
  at::parallel_for(0, channels, 4, [&](int64_t begin, int64_t end) {
    GraphWork work = base;
    work.tile.begin = begin;
    work.tile.end = end;
    for (int64_t person = 0; person < in.persons; ++person) {
      for (int64_t tile = 0; tile < tiles.count; ++tile) {
        work.at(person, tiles.begin(tile), tiles.begin(tile + 1));
        kernels().graph_weight_grad(work.tile);
      }
    }
  });
  Tensor values = at::empty({offsets.numel()}, x.options());
  sum_lanes(base.tile.sums, offsets.numel(), values.data_ptr<float>());
  return {values, bias};
}

// Gradients of the factors: of the terms, where there are any, else of the entries.
Tensor graph_edge_grad(const Tensor& x, const Tensor& grad, const Tensor& starts,
                       const Tensor& offsets, const Tensor& values, const Tensor& graph_starts,
                       const Tensor& graph, const Tensor& term_starts, const Tensor& term_sources,
                       int64_t partitions) {
  GraphWork base =
      graph_work(x, grad, starts, offsets, graph_starts, graph, partitions);
  const Features& in = base.in;
  base.tile.weight.values = floats(values, offsets.numel(), "values");
  const int64_t lanes = in.blocks * kWidth;
  base.tile.graph = graph_edges(graph, in.blocks, lanes * lanes);
  // Machines that do not pick joints take the entries.
  const bool terms = kernels().picks && in.blocks <= 2 && term_starts.numel() > 0;
  if (terms) {
    const int64_t count = term_sources.numel() / lanes;
    TORCH_CHECK(term_starts.numel() == partitions + 1 && term_sources.numel() == count * lanes,
                "terms: ", term_starts.numel(), " starts, ", term_sources.numel(), " sources");
    base.tile.terms = {integers(term_starts, "term_starts"), integers(term_sources, "term_sources"),
                       nullptr};
    check_starts(base.tile.terms.starts, term_starts.numel(), count, "term_starts");
  }
  const int64_t count = terms ? term_sources.numel() / kWidth : graph.size(0);
  const Tensor sums = at::zeros({kChunks, count, kWidth}, x.options());
  const int64_t channels = base.grad.from.channels;
  const Tiles tiles = graph_tiles(in);
  at::parallel_for(0, kChunks, 1, [&](int64_t begin, int64_t end) {
    GraphWork work = base;
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      work.tile.begin = channels * chunk / kChunks;
      work.tile.end = channels * (chunk + 1) / kChunks;
      work.tile.sums = sums.data_ptr<float>() + chunk * count * kWidth;
      for (int64_t person = 0; person < in.persons; ++person) {
        for (int64_t tile = 0; tile < tiles.count; ++tile) {
          work.at(person, tiles.begin(tile), tiles.begin(tile + 1));
          kernels().graph_edge_grad(work.tile);
        }
      }
    }
  });
  return sums.sum(0);
}

int64_t lanes_of(int64_t block, int64_t joints) {
  return std::max<int64_t>(std::min(kWidth, joints - block * kWidth), 0);
}

void check_joints(const Features& in, int64_t pad, int64_t joints) {
  TORCH_CHECK(pad >= 0 && 2 * pad < in.frames && joints > 0 && joints <= in.blocks * kWidth,
              "pad, joints: ", pad, ", ", joints, " for ", in.frames, " frames and ",
              in.blocks * kWidth, " lanes");
}

// Sums over all persons, frames and joints by `kernel`, in double precision from person to person.
template <class Fill>
void norm_sums_into(void (*kernel)(const NormTile&), const Features& in, int64_t pad,
                    int64_t joints, Fill fill, std::vector<double>& sum,
                    std::vector<double>& product) {
  at::parallel_for(0, in.channels, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> sums(in.frame()), products(in.frame());
    for (int64_t i = 0; i < in.persons * in.blocks; ++i) {
      std::fill(sums.begin() + begin * kWidth, sums.begin() + end * kWidth, 0.0f);
      std::fill(products.begin() + begin * kWidth, products.begin() + end * kWidth, 0.0f);
      NormTile work{};
      work.frames = in.frames - 2 * pad;
      work.begin = begin;
      work.end = end;
      work.lanes = lanes_of(i % in.blocks, joints);
      work.x = in.data + i * in.block() + pad * in.frame();
      work.x_frame = in.frame();
      work.sums = sums.data();
      work.products = products.data();
      fill(work, i);
      kernel(work);
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t l = 0; l < work.lanes; ++l) {
          sum[c] += sums[c * kWidth + l];
          product[c] += products[c * kWidth + l];
        }
      }
    }
  });
}

// Mean and variance of the channels over persons, frames and joints.
std::tuple<Tensor, Tensor> norm_stats(const Tensor& x, int64_t pad, int64_t joints) {
  const Features in = features(x, "x");
  check_joints(in, pad, joints);
  TORCH_CHECK(in.persons > 0, "x: has no persons");
  // Around the first value: squares of values far from zero would leave nothing of the variance.
  std::vector<float> center(in.channels);
  for (int64_t c = 0; c < in.channels; ++c) center[c] = in.data[pad * in.frame() + c * kWidth];
  std::vector<double> sum(in.channels), square(in.channels);
  norm_sums_into(
      kernels().norm_sums, in, pad, joints,
      [&](NormTile& work, int64_t) { work.center = center.data(); }, sum, square);
  Tensor mean = at::empty({in.channels}, x.options()), variance = at::empty_like(mean);
  const double count = double(in.persons * joints) * double(in.frames - 2 * pad);
  for (int64_t c = 0; c < in.channels; ++c) {
    const double shift = sum[c] / count;
    mean.data_ptr<float>()[c] = float(center[c] + shift);
    variance.data_ptr<float>()[c] = float(std::max(square[c] / count - shift * shift, 0.0));
  }
  return {mean, variance};
}

// ReLU(factor * (x - center) + shift + residual); zeros in the lanes after the last joint.
Tensor norm_apply(const Tensor& x, int64_t x_pad, int64_t joints, const Tensor& center,
                  const Tensor& factor, const Tensor& shift, const optional<Tensor>& residual,
                  bool relu, int64_t pad) {
  const Features in = features(x, "x");
  check_joints(in, x_pad, joints);
  const int64_t frames = in.frames - 2 * x_pad;
  const float* from = floats(center, in.channels, "center");
  const float* by = floats(factor, in.channels, "factor");
  const float* plus = floats(shift, in.channels, "shift");
  optional<Features> added;
  if (residual) {
    added = features(*residual, "residual");
    TORCH_CHECK(added->persons == in.persons && added->blocks == in.blocks &&
                    added->frames == frames && added->channels == in.channels,
                "residual: ", residual->sizes(), " does not fit ", x.sizes());
  }
  Tensor result = make_features(x, in.blocks, frames, in.channels, pad);
  const Features out = features(result, "out");
  at::parallel_for(0, in.persons * in.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      NormTile work{};
      work.frames = frames;
      work.end = in.channels;
      work.lanes = lanes_of(i % in.blocks, joints);
      work.x = in.data + i * in.block() + x_pad * in.frame();
      work.x_frame = in.frame();
      work.center = from;
      work.factor = by;
      work.shift = plus;
      work.residual = added ? added->data + i * added->block() : nullptr;
      work.residual_frame = added ? added->frame() : 0;
      work.relu = relu;
      work.out = out.data + i * out.block() + pad * out.frame();
      work.out_frame = out.frame();
      kernels().norm_apply(work);
    }
  });
  return result;
}

struct NormGrad {
  Grad grad;
  optional<Features> kept;

  void fill(NormTile& work, int64_t i) const {
    work.grad = grad.from.data + i * grad.from.block() + grad.pad * grad.from.frame();
    work.grad_frame = grad.from.frame();
    if (kept) work.kept = kept->data + i * kept->block() + grad.pad * kept->frame();
  }
};

NormGrad check_norm_grad(const Tensor& grad, const optional<Tensor>& kept, int64_t pad,
                         const Features& in, int64_t x_pad) {
  NormGrad g{check_grad(grad, pad, in, in.channels), {}};
  TORCH_CHECK(g.grad.frames == in.frames - 2 * x_pad, "grad: has ", g.grad.frames, " frames, x ",
              in.frames - 2 * x_pad);
  if (kept) {
    g.kept = features(*kept, "kept");
    TORCH_CHECK(kept->sizes() == grad.sizes(), "kept: ", kept->sizes(), " does not fit ",
                grad.sizes());
  }
  return g;
}

// Sums of the gradient after ReLU, and of its product with x less the center.
std::tuple<Tensor, Tensor> norm_grad_sums(const Tensor& grad, const optional<Tensor>& kept,
                                          int64_t pad, const Tensor& x, int64_t x_pad,
                                          int64_t joints, const Tensor& center) {
  const Features in = features(x, "x");
  check_joints(in, x_pad, joints);
  const NormGrad g = check_norm_grad(grad, kept, pad, in, x_pad);
  const float* from = floats(center, in.channels, "center");
  std::vector<double> sum(in.channels), product(in.channels);
  norm_sums_into(
      kernels().norm_grad_sums, in, x_pad, joints,
      [&](NormTile& work, int64_t i) {
        work.center = from;
        g.fill(work, i);
      },
      sum, product);
  Tensor sums = at::empty({in.channels}, x.options()), products = at::empty_like(sums);
  for (int64_t c = 0; c < in.channels; ++c) {
    sums.data_ptr<float>()[c] = float(sum[c]);
    products.data_ptr<float>()[c] = float(product[c]);
  }
  return {sums, products};
}

// factor * gradient after ReLU + factor_x * (x - center) + shift, and that gradient itself where it is wanted.
std::tuple<Tensor, Tensor> norm_grad(const Tensor& grad, const optional<Tensor>& kept, int64_t pad,
                                     const Tensor& x, int64_t x_pad, int64_t joints,
                                     const Tensor& center, const Tensor& factor,
                                     const Tensor& factor_x, const Tensor& shift, bool wanted) {
  const Features in = features(x, "x");
  check_joints(in, x_pad, joints);
  const NormGrad g = check_norm_grad(grad, kept, pad, in, x_pad);
  const float* from = floats(center, in.channels, "center");
  const float* by = floats(factor, in.channels, "factor");
  const float* by_x = floats(factor_x, in.channels, "factor_x");
  const float* plus = floats(shift, in.channels, "shift");
  Tensor result = make_features(x, in.blocks, g.grad.frames, in.channels, x_pad);
  Tensor passed = wanted ? make_features(x, in.blocks, g.grad.frames, in.channels, pad)
                         : at::empty({0}, x.options());
  const Features out = features(result, "out");
  float* pass = wanted ? passed.data_ptr<float>() : nullptr;
  at::parallel_for(0, in.persons * in.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      NormTile work{};
      work.frames = g.grad.frames;
      work.end = in.channels;
      work.lanes = lanes_of(i % in.blocks, joints);
      work.x = in.data + i * in.block() + x_pad * in.frame();
      work.x_frame = in.frame();
      work.center = from;
      work.factor = by;
      work.factor_x = by_x;
      work.shift = plus;
      g.fill(work, i);
      work.out = out.data + i * out.block() + x_pad * out.frame();
      work.out_frame = out.frame();
      if (pass) work.passed = pass + i * g.grad.from.block() + pad * g.grad.from.frame();
      kernels().norm_grad(work);
    }
  });
  return {result, passed};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
  m.def("picks_joints(int blocks) -> bool",
        [](int64_t blocks) { return kernels().picks && blocks <= 2; });
  m.def(
      "conv_weight_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, int groups, "
      "int stride, int pad) -> (Tensor, Tensor)");
  m.def(
      "graph_weight_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, "
      "Tensor graph_starts, Tensor graph, Tensor factors, Tensor term_starts, "
      "Tensor term_sources, Tensor term_factors, int partitions) -> (Tensor, Tensor)");
  m.def(
      "graph_edge_grad(Tensor x, Tensor grad, Tensor starts, Tensor offsets, Tensor values, "
      "Tensor graph_starts, Tensor graph, Tensor term_starts, Tensor term_sources, "
      "int partitions) -> Tensor");
  m.def("norm_stats(Tensor x, int pad, int joints) -> (Tensor, Tensor)");
  m.def(
      "norm_apply(Tensor x, int x_pad, int joints, Tensor center, Tensor factor, Tensor shift, "
      "Tensor? residual, bool relu, int pad) -> Tensor");
  m.def(
      "norm_grad_sums(Tensor grad, Tensor? kept, int pad, Tensor x, int x_pad, int joints, "
      "Tensor center) -> (Tensor, Tensor)");
  m.def(
      "norm_grad(Tensor grad, Tensor? kept, int pad, Tensor x, int x_pad, int joints, "
      "Tensor center, Tensor factor, Tensor factor_x, Tensor shift, bool wanted) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) {
  m.impl("conv_weight_grad", &conv_weight_grad);
  m.impl("graph_weight_grad", &graph_weight_grad);
  m.impl("graph_edge_grad", &graph_edge_grad);
  m.impl("norm_stats", &norm_stats);
  m.impl("norm_apply", &norm_apply);
  m.impl("norm_grad_sums", &norm_grad_sums);
  m.impl("norm_grad", &norm_grad);
}

}  // namespace pyg_stgcn
