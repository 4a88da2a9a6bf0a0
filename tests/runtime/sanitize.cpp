// Runs every kernel on inputs that end where their memory does, and compares with plain loops.

#include <stdint.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "gradients.h"

using namespace pyg_stgcn;

namespace {

std::mt19937 rng(0);

std::vector<float> noise(int64_t n) {
  std::vector<float> values(n);
  for (float& v : values) v = int(rng() % 2001) / 1000.0f - 1;
  return values;
}

int failures = 0;

void expect(const char* what, const char* kernels, double found, double expected) {
  if (std::fabs(found - expected) <= 1e-4 * (1 + std::fabs(expected))) return;
  std::printf("%s of %s: %g instead of %g\n", what, kernels, found, expected);
  ++failures;
}

struct Weights {
  std::vector<int32_t> starts{0}, offsets;
  std::vector<float> values;
};

// Random weights in groups of columns; a place is an input channel of a frame.
Weights weights(int rows, int block, int frames, int channels, int group) {
  Weights w;
  for (int begin = 0; begin < channels; begin += group)
    for (int r = 0; r < rows; ++r) {
      for (int f = 0; f < frames; ++f)
        for (int c = begin; c < std::min(channels, begin + group); ++c)
          if (rng() % 3 == 0) {
            w.offsets.push_back((f * channels + c) * 16);
            for (int i = 0; i < block; ++i) w.values.push_back(noise(1)[0]);
          }
      w.starts.push_back(int32_t(w.offsets.size()));
    }
  return w;
}

void check_conv(const Kernels& kernels, int block, int frames, int stride, bool in_place) {
  const int channels = 5, span = 3, group = 2, groups = 3, rows = 3;
  const Weights w = weights(rows, block, span, channels, group);
  const int out_channels = rows * block, step = channels * 16 * stride;
  const auto x = noise(((frames - 1) * stride + span) * channels * 16);
  const auto bias = noise(out_channels), residual = noise(frames * out_channels * 16);
  std::vector<float> out(frames * out_channels * 16);
  if (in_place) out = residual;
  ConvTile t{};
  t.weight = {w.starts.data(), w.offsets.data(), w.values.data(), rows, groups};
  t.bias = bias.data();
  t.x = x.data();
  t.x_step = step;
  t.out = out.data();
  t.out_frame = out_channels * 16;
  t.frames = frames;
  t.epilogue = {in_place ? out.data() : residual.data(), out_channels * 16, true};
  (block == 1 ? kernels.conv : kernels.block_conv)(t);
  for (int f = 0; f < frames; ++f)
    for (int r = 0; r < out_channels; ++r)
      for (int l = 0; l < 16; ++l) {
        double sum = bias[r];
        for (int g = 0; g < groups; ++g)
          for (int e = w.starts[g * rows + r / block]; e < w.starts[g * rows + r / block + 1]; ++e)
            sum += double(w.values[e * block + r % block]) * x[w.offsets[e] + f * step + l];
        const int place = (f * out_channels + r) * 16 + l;
        sum += residual[place];
        expect(block == 1 ? "conv" : "block_conv", kernels.name, out[place], sum > 0 ? sum : 0);
      }
}

void check_graph(const Kernels& kernels, int frames, int blocks, bool use_ell, bool together,
                 bool map_relu) {
  const int channels = 3, rows = 4, partitions = 2, lanes = blocks * 16;
  const Weights w = weights(rows * partitions, 1, 1, channels, channels);
  const auto x = noise(blocks * frames * channels * 16);
  const auto bias = noise(rows * lanes), row_bias = noise(rows * partitions);
  const int joints = lanes - 1, sources = 2;
  std::vector<float> graph(partitions * joints * lanes);
  std::vector<int32_t> ell_starts{0}, ell_sources, graph_starts{0};
  std::vector<float> ell_factors;
  for (int k = 0; k < partitions; ++k) {
    for (int n = 0; n < sources; ++n)
      for (int l = 0; l < lanes; ++l) {
        ell_sources.push_back(int32_t((l * 7 + n + k) % joints));
        ell_factors.push_back(noise(1)[0]);
        graph[(k * joints + ell_sources.back()) * lanes + l] += ell_factors.back();
      }
    ell_starts.push_back(sources * (k + 1));
  }
  std::vector<GraphEntry> entries;
  for (int k = 0; k < partitions; ++k)
    for (int b = 0; b < blocks; ++b) {
      for (int v = 0; v < joints; ++v) entries.push_back({v, (v * blocks + b) * 16});
      graph_starts.push_back(int32_t(entries.size()));
    }
  std::vector<float> out(blocks * frames * rows * 16);
  GraphTile t{};
  t.weight = {w.starts.data(), w.offsets.data(), w.values.data(), rows * partitions, 1};
  t.partitions = partitions;
  t.blocks = blocks;
  t.bias = bias.data();
  t.row_bias = row_bias.data();
  t.graph_starts = graph_starts.data();
  t.graph = entries.data();
  t.together = together;
  t.map_relu = map_relu;
  if (use_ell) t.ell = {ell_starts.data(), ell_sources.data(), ell_factors.data()};
  t.factors = graph.data();
  t.factor_partition = joints * lanes;
  t.x = x.data();
  t.x_block = frames * channels * 16;
  t.x_frame = channels * 16;
  t.out = out.data();
  t.out_block = frames * rows * 16;
  t.out_frame = rows * 16;
  t.frames = frames;
  kernels.graph_conv(t);
  for (int f = 0; f < frames; ++f)
    for (int o = 0; o < rows; ++o)
      for (int target = 0; target < lanes; ++target) {
        double sum = bias[o * lanes + target];
        for (int k = 0; k < partitions; ++k)
          for (int v = 0; v < joints; ++v) {
            const int row = o * partitions + k;
            double part = row_bias[row];
            for (int e = w.starts[row]; e < w.starts[row + 1]; ++e)
              part += double(w.values[e]) *
                      x[v / 16 * t.x_block + f * t.x_frame + w.offsets[e] + v % 16];
            if (map_relu && part < 0) part = 0;
            sum += part * graph[(k * joints + v) * lanes + target];
          }
        expect("graph_conv", kernels.name,
               out[target / 16 * t.out_block + f * t.out_frame + o * 16 + target % 16], sum);
      }
}

void check_pairs(const Kernels& kernels, int blocks) {
  const int frames = 3, channels = 2, joints = blocks * 16 - 3;
  const auto a = noise(blocks * frames * channels * 16), b = noise(blocks * frames * channels * 16);
  std::vector<float> out(joints * blocks * 16);
  PairTile t{a.data(), b.data(), frames * channels * 16, channels * 16, frames, channels,
             joints,   blocks,   out.data()};
  kernels.pairs(t);
  for (int v = 0; v < joints; ++v)
    for (int target = 0; target < blocks * 16; ++target) {
      double sum = 0;
      for (int i = 0; i < frames * channels; ++i)
        sum += double(a[v / 16 * t.block + i * 16 + v % 16]) *
               b[target / 16 * t.block + i * 16 + target % 16];
      expect("pairs", kernels.name, out[v * blocks * 16 + target], sum);
    }
}

void check_transpose(const Kernels& kernels, int rows, int columns) {
  const int from_row = columns + 3, to_row = rows + 1;
  const auto from = noise((rows - 1) * from_row + columns);
  std::vector<float> to((columns - 1) * to_row + rows);
  kernels.transpose({from.data(), from_row, rows, columns, to.data(), to_row});
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      expect("transpose", kernels.name, to[c * to_row + r], from[r * from_row + c]);
}

void check_conv_grad(const Kernels& kernels, const GradientKernels& gradients, int frames,
                     int stride) {
  const int channels = 5, span = 3, group = 2, groups = 3, rows = 3;
  const Weights w = weights(rows, 1, span, channels, group);
  const int step = channels * 16 * stride, entries = int(w.offsets.size());
  const auto x = noise(((frames - 1) * stride + span) * channels * 16);
  const auto grad = noise(frames * rows * 16);
  std::vector<float> sums(entries * 16), bias_sums(rows * 16);
  ConvGradTile t{};
  t.weight = {w.starts.data(), w.offsets.data(), nullptr, rows, groups};
  t.end = rows;
  t.x = x.data();
  t.x_step = step;
  t.grad = grad.data();
  t.grad_frame = rows * 16;
  t.frames = frames;
  t.sums = sums.data();
  t.bias_sums = bias_sums.data();
  gradients.conv_weight_grad(t);
  for (int l = 0; l < 16; ++l)
    for (int r = 0; r < rows; ++r) {
      double bias = 0;
      for (int f = 0; f < frames; ++f) bias += grad[(f * rows + r) * 16 + l];
      expect("conv_weight_grad", kernels.name, bias_sums[r * 16 + l], bias);
      for (int g = 0; g < groups; ++g)
        for (int e = w.starts[g * rows + r]; e < w.starts[g * rows + r + 1]; ++e) {
          double sum = 0;
          for (int f = 0; f < frames; ++f)
            sum += double(grad[(f * rows + r) * 16 + l]) * x[w.offsets[e] + f * step + l];
          expect("conv_weight_grad", kernels.name, sums[e * 16 + l], sum);
        }
    }
}

// Both gradients of a graph convolution whose graph is a cycle: one slot of an ELL graph, and the
// same graph as entries.
void check_graph_grad(const Kernels& kernels, const GradientKernels& gradients, int frames,
                      int blocks, bool use_ell) {
  const int channels = 3, rows = 4, partitions = 2, lanes = blocks * 16;
  const Weights w = weights(rows * partitions, 1, 1, channels, channels);
  const int entries = int(w.offsets.size());
  const auto x = noise(blocks * frames * channels * 16), grad = noise(blocks * frames * rows * 16);
  const auto ell_factors = noise(partitions * lanes);
  std::vector<int32_t> ell_starts{0}, ell_sources, graph_starts{0};
  std::vector<float> graph(partitions * lanes * lanes);
  std::vector<GraphEntry> edges;
  for (int k = 0; k < partitions; ++k) {
    ell_starts.push_back(k + 1);
    for (int l = 0; l < lanes; ++l) {
      ell_sources.push_back((l + 3 + k) % lanes);
      graph[(k * lanes + ell_sources.back()) * lanes + l] = ell_factors[k * lanes + l];
    }
    for (int b = 0; b < blocks; ++b) {
      for (int v = 0; v < lanes; ++v) edges.push_back({v, (v * blocks + b) * 16});
      graph_starts.push_back(int32_t(edges.size()));
    }
  }
  std::vector<float> sums(entries * 16), bias_sums(rows * lanes), edge_sums(edges.size() * 16);
  GraphGradTile t{};
  t.weight = {w.starts.data(), w.offsets.data(), w.values.data(), rows * partitions, 1};
  t.partitions = partitions;
  t.blocks = blocks;
  t.end = rows;
  t.graph_starts = graph_starts.data();
  t.graph = edges.data();
  if (use_ell) t.ell = {ell_starts.data(), ell_sources.data(), ell_factors.data()};
  t.factors = graph.data();
  t.factor_partition = lanes * lanes;
  t.x = x.data();
  t.x_block = frames * channels * 16;
  t.x_frame = channels * 16;
  t.grad = grad.data();
  t.grad_block = frames * rows * 16;
  t.grad_frame = rows * 16;
  t.frames = frames;
  t.sums = sums.data();
  t.bias_sums = bias_sums.data();
  gradients.graph_weight_grad(t);
  t.sums = edge_sums.data();
  gradients.graph_edge_grad(t);
  const auto grad_at = [&](int o, int f, int v) {
    return double(grad[v / 16 * t.grad_block + f * t.grad_frame + o * 16 + v % 16]);
  };
  const auto x_at = [&](int e, int f, int v) {
    return double(x[v / 16 * t.x_block + f * t.x_frame + w.offsets[e] + v % 16]);
  };
  for (int o = 0; o < rows; ++o)
    for (int v = 0; v < lanes; ++v) {
      double bias = 0;
      for (int f = 0; f < frames; ++f) bias += grad_at(o, f, v);
      expect("graph_weight_grad", kernels.name, bias_sums[o * lanes + v], bias);
    }
  for (int row = 0; row < rows * partitions; ++row)
    for (int e = w.starts[row]; e < w.starts[row + 1]; ++e) {
      double found = 0, sum = 0;
      for (int l = 0; l < 16; ++l) found += sums[e * 16 + l];
      for (int f = 0; f < frames; ++f)
        for (int v = 0; v < lanes; ++v) {
          const int k = row % partitions, from = ell_sources[k * lanes + v];
          sum += ell_factors[k * lanes + v] * grad_at(row / partitions, f, from) * x_at(e, f, v);
        }
      expect("graph_weight_grad", kernels.name, found, sum);
    }
  for (int k = 0; k < partitions; ++k)
    for (int v = 0; v < lanes; ++v)
      for (int target = 0; target < lanes; ++target) {
        const bool by_slot = use_ell && kernels.permutes;
        if (by_slot && v != ell_sources[k * lanes + target]) continue;
        double sum = 0;
        for (int o = 0; o < rows; ++o)
          for (int e = w.starts[o * partitions + k]; e < w.starts[o * partitions + k + 1]; ++e)
            for (int f = 0; f < frames; ++f)
              sum += w.values[e] * x_at(e, f, v) * grad_at(o, f, target);
        const int entry = (k * blocks + target / 16) * lanes + v;
        const int place = by_slot ? k * lanes + target : entry * 16 + target % 16;
        expect("graph_edge_grad", kernels.name, edge_sums[place], sum);
      }
}

void check_norms(const Kernels& kernels, const GradientKernels& gradients, int joints,
                 bool all) {
  const int frames = 3, channels = 4, step = channels * 16, size = frames * step;
  const auto x = noise(size), residual = noise(size), grad = noise(size), kept = noise(size);
  const auto center = noise(channels), factor = noise(channels), factor_x = noise(channels);
  const auto shift = noise(channels);
  std::vector<float> out(size), passed(size), sums(step), products(step);
  NormTile t{};
  t.frames = frames;
  t.end = channels;
  t.lanes = joints;
  t.x = x.data();
  t.center = center.data();
  t.factor = factor.data();
  t.factor_x = factor_x.data();
  t.shift = shift.data();
  t.residual = all ? residual.data() : nullptr;
  t.relu = all;
  t.grad = grad.data();
  t.kept = all ? kept.data() : nullptr;
  t.x_frame = t.residual_frame = t.grad_frame = t.out_frame = step;
  t.out = out.data();
  t.passed = all ? passed.data() : nullptr;
  t.sums = sums.data();
  t.products = products.data();
  gradients.norm_apply(t);
  for (int i = 0; i < size; ++i) {
    const int c = i / 16 % channels;
    double value = (double(x[i]) - center[c]) * factor[c] + shift[c] + (all ? residual[i] : 0);
    if (all && value < 0) value = 0;
    expect("norm_apply", kernels.name, out[i], i % 16 < joints ? value : 0);
  }
  gradients.norm_sums(t);
  std::vector<double> expected(step), squares(step), grads(step), with_x(step);
  gradients.norm_grad(t);
  for (int i = 0; i < size; ++i) {
    const int c = i / 16 % channels;
    const double through = i % 16 < joints && (!all || kept[i] > 0) ? grad[i] : 0;
    const double value = factor[c] * through + factor_x[c] * (x[i] - center[c]) + shift[c];
    expect("norm_grad", kernels.name, out[i], i % 16 < joints ? value : 0);
    if (all) expect("norm_grad", kernels.name, passed[i], through);
    expected[i % step] += x[i] - center[c];
    squares[i % step] += (x[i] - center[c]) * (x[i] - center[c]);
    grads[i % step] += through;
    with_x[i % step] += through * (x[i] - center[c]);
  }
  for (int i = 0; i < step; ++i) {
    expect("norm_sums", kernels.name, sums[i], expected[i]);
    expect("norm_sums", kernels.name, products[i], squares[i]);
    sums[i] = products[i] = 0;
  }
  gradients.norm_grad_sums(t);
  for (int i = 0; i < step; ++i) {
    expect("norm_grad_sums", kernels.name, sums[i], grads[i]);
    expect("norm_grad_sums", kernels.name, products[i], with_x[i]);
  }
}

void check(const Kernels* kernels, const GradientKernels* gradients, bool supported) {
  if (!kernels || !supported) return;
  std::printf("%s\n", kernels->name);
  for (int frames = 1; frames <= kernels->conv_frames; ++frames)
    for (int stride = 1; stride <= 2; ++stride)
      for (bool in_place : {false, true}) check_conv(*kernels, 1, frames, stride, in_place);
  for (int frames = 1; frames <= kernels->block_frames; ++frames)
    for (bool in_place : {false, true}) check_conv(*kernels, kBlock, frames, 1, in_place);
  for (int rows : {1, 7, 16, 33})
    for (int columns : {1, 16, 20}) check_transpose(*kernels, rows, columns);
  for (int blocks = 1; blocks <= kMaxBlocks; ++blocks) {
    for (int frames = 1; frames <= kernels->graph_sums / blocks; ++frames)
      for (bool together : {false, true})
        for (bool map_relu : {false, true}) {
          check_graph(*kernels, frames, blocks, false, together, map_relu);
          if (blocks <= 2) check_graph(*kernels, frames, blocks, true, together, map_relu);
        }
    check_pairs(*kernels, blocks);
    for (int frames = 1; frames == 1 || frames <= gradients->grad_sums / blocks; ++frames)
      for (bool use_ell : {false, true})
        if (!use_ell || blocks <= 2)
          check_graph_grad(*kernels, *gradients, frames, blocks, use_ell);
  }
  for (int frames = 1; frames <= gradients->grad_frames; ++frames)
    for (int stride = 1; stride <= 2; ++stride)
      check_conv_grad(*kernels, *gradients, frames, stride);
  for (int joints : {1, 9, 16})
    for (bool all : {false, true}) check_norms(*kernels, *gradients, joints, all);
}

}  // namespace

int main() {
#if defined(__x86_64__)
  check(avx512_kernels(), avx512_gradients(), __builtin_cpu_supports("avx512f"));
  check(avx2_kernels(), avx2_gradients(),
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
  check(plain_kernels(), plain_gradients(), true);
  return failures != 0;
}
