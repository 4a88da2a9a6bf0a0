// The torch operators: checks of their arguments, tiles for the kernels, and threads.

#include <ATen/Parallel.h>
#include <Python.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "checks.h"

namespace pyg_stgcn {

InstructionSet instructions() {
  static const InstructionSet chosen = choose_instructions(std::getenv("PYG_STGCN_KERNELS"));
  return chosen;
}

const Kernels& kernels() { return *kernels_of(instructions()); }

namespace {

std::string kernels_name() { return kernels().name; }

struct Residual {
  const float* data = nullptr;
  int64_t person = 0, block = 0, frame = 0;

  const float* at(int64_t p, int64_t b, int64_t t) const {
    return data ? data + p * person + b * block + t * frame : nullptr;
  }
};

Residual check_residual(const optional<Tensor>& residual, const Features& out, int64_t frames,
                        int64_t rows) {
  if (!residual) return {};
  const Features r = features(*residual, "residual");
  TORCH_CHECK(r.persons == out.persons && r.blocks == out.blocks && r.channels == rows &&
                  r.frames == frames,
              "residual: ", residual->sizes(), " does not fit ", rows, " channels of ", frames,
              " frames");
  return {r.data, r.person(), r.block(), r.frame()};
}

Tensor pack(const Tensor& x, int64_t pad) {
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4,
              "x: expected float32 [persons, frames, joints, channels] on the CPU");
  const int64_t frames = x.size(1), joints = x.size(2), channels = x.size(3);
  const int64_t blocks = (joints + kWidth - 1) / kWidth;
  Tensor result = make_features(x, blocks, frames, channels, pad);
  const Features out = features(result, "out");
  const float* from = x.const_data_ptr<float>();
  const int64_t by_person = x.stride(0), by_frame = x.stride(1), by_joint = x.stride(2),
                by_channel = x.stride(3);
  at::parallel_for(0, out.persons * blocks * frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t person = i / (blocks * frames), block = i / frames % blocks, t = i % frames;
      const float* source = from + person * by_person + t * by_frame + block * kWidth * by_joint;
      float* target =
          out.data + person * out.person() + block * out.block() + (pad + t) * out.frame();
      const int64_t lanes = std::min(kWidth, joints - block * kWidth);
      if (by_channel == 1 && lanes == kWidth) {
        kernels().transpose({source, by_joint, kWidth, channels, target, kWidth});
        continue;
      }
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t l = 0; l < lanes; ++l)
          target[c * kWidth + l] = source[l * by_joint + c * by_channel];
        for (int64_t l = lanes; l < kWidth; ++l) target[c * kWidth + l] = 0;
      }
    }
  });
  return result;
}

Tensor unpack(const Tensor& x, int64_t pad, int64_t joints) {
  const Features in = features(x, "x");
  TORCH_CHECK(pad >= 0 && 2 * pad <= in.frames && joints >= 0 && joints <= in.blocks * kWidth,
              "pad, joints: ", pad, ", ", joints);
  const int64_t frames = in.frames - 2 * pad;
  Tensor result = at::empty({in.persons, frames, joints, in.channels}, x.options());
  float* out = result.data_ptr<float>();
  at::parallel_for(0, in.persons * frames, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* source =
          in.data + i / frames * in.person() + (pad + i % frames) * in.frame();
      float* target = out + i * joints * in.channels;
      for (int64_t v = 0; v < joints; v += kWidth)
        kernels().transpose({source + v / kWidth * in.block(), kWidth, in.channels,
                             std::min(kWidth, joints - v), target + v * in.channels, in.channels});
    }
  });
  return result;
}

struct ConvCall {
  Features in, out;
  SparseRows weight;
  const float* bias;
  int64_t block, stride, frames, pad, channel;
  bool relu;
};

ConvCall check_conv(const Tensor& x, const Tensor& starts, const Tensor& offsets,
                    const Tensor& values, const Tensor& bias, int64_t groups, int64_t block,
                    int64_t stride, int64_t frames, bool relu, const Tensor& result, int64_t pad,
                    int64_t channel) {
  const Features in = features(x, "x"), out = features(result, "out");
  const int64_t seen = in.frames - (frames - 1) * stride;
  TORCH_CHECK(stride > 0 && frames >= 0 && (frames == 0 || seen > 0), "stride, frames: ", stride,
              ", ", frames, " in an input of ", in.frames, " frames");
  const SparseRows weight =
      sparse_rows(starts, offsets, values, groups, block, std::max<int64_t>(seen, 0) * in.frame());
  const int64_t rows = weight.rows * block;
  TORCH_CHECK(pad >= 0 && out.frames == frames + 2 * pad && channel >= 0 &&
                  channel + rows <= out.channels && out.persons == in.persons &&
                  out.blocks == in.blocks,
              "out: ", result.sizes(), " does not fit ", rows, " channels from ", channel, " of ",
              frames, " frames");
  TORCH_CHECK(!out.data || out.data != in.data, "out: is the input");
  return {in, out, weight, floats(bias, rows, "bias"), block, stride, frames, pad, channel, relu};
}

void run_conv(const ConvCall& c, const Residual& residual) {
  const Features &in = c.in, &out = c.out;
  const Tiles tiles(c.frames, c.block == 1 ? kernels().conv_frames : kernels().block_frames);
  const auto kernel = c.block == 1 ? kernels().conv : kernels().block_conv;

  // The tiles of a block of frames have overlapping inputs: one thread does neighbouring tiles.
  at::parallel_for(0, in.persons * in.blocks * tiles.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = i % tiles.count, b = i / tiles.count % in.blocks;
      const int64_t person = i / tiles.count / in.blocks, t = tiles.begin(tile);
      ConvTile work;
      work.weight = c.weight;
      work.bias = c.bias;
      work.x = in.data + person * in.person() + b * in.block() + t * c.stride * in.frame();
      work.x_step = c.stride * in.frame();
      work.out = out.data + person * out.person() + b * out.block() + (c.pad + t) * out.frame() +
                 c.channel * kWidth;
      work.out_frame = out.frame();
      work.frames = tiles.begin(tile + 1) - t;
      work.epilogue = {residual.at(person, b, t), residual.frame, c.relu};
      kernel(work);
    }
  });
}

void conv_into(const Tensor& x, const Tensor& starts, const Tensor& offsets, const Tensor& values,
               const Tensor& bias, int64_t groups, int64_t block, int64_t stride,
               int64_t frames, bool relu, const Tensor& result, int64_t pad, int64_t channel,
               bool add) {
  const ConvCall call = check_conv(x, starts, offsets, values, bias, groups, block, stride, frames,
                                   relu, result, pad, channel);
  const Features& out = call.out;
  Residual own;
  if (add) own = {out.data + pad * out.frame() + channel * kWidth, out.person(), out.block(),
                  out.frame()};
  run_conv(call, own);
}

Tensor conv(const Tensor& x, const Tensor& starts, const Tensor& offsets, const Tensor& values,
            const Tensor& bias, int64_t groups, int64_t block, int64_t stride,
            int64_t frames, bool relu, const optional<Tensor>& residual, int64_t pad,
            int64_t channels) {
  Tensor result = make_features(x, features(x, "x").blocks, frames, channels, pad);
  const ConvCall call = check_conv(x, starts, offsets, values, bias, groups, block, stride, frames,
                                   relu, result, pad, 0);
  run_conv(call, check_residual(residual, call.out, frames, call.weight.rows * block));
  return result;
}

Tensor graph_conv(const Tensor& x, const Tensor& starts, const Tensor& offsets,
                  const Tensor& values, const Tensor& bias, const Tensor& row_bias,
                  const Tensor& graph_starts, const Tensor& graph, const Tensor& factors,
                  const Tensor& ell_starts, const Tensor& ell_sources,
                  const Tensor& ell_factors, int64_t partitions, bool map_relu, int64_t pad,
                  const optional<Tensor>& residual, bool relu) {
  const Features in = features(x, "x");
  TORCH_CHECK(in.blocks >= 1 && in.blocks <= kMaxBlocks, "x: has ", in.blocks,
              " blocks of joints, more than ", kMaxBlocks);
  const int64_t frames = in.frames;
  const SparseRows weight = sparse_rows(starts, offsets, values, 1, 1, in.frame());
  TORCH_CHECK(partitions > 0 && weight.rows % partitions == 0, "partitions: ", partitions);
  const int64_t rows = weight.rows / partitions;
  const float* shift = floats(bias, rows * in.blocks * kWidth, "bias");
  const float* row_shift = floats(row_bias, weight.rows, "row_bias");

  const int32_t* graph_begin = graph_begins(graph_starts, graph, partitions, in.blocks);
  TORCH_CHECK(factors.dim() == 4 && (factors.size(0) == 1 || factors.size(0) == in.persons) &&
                  (factors.size(1) == 1 || factors.size(1) == partitions) &&
                  (factors.size(2) == 1 || factors.size(2) == rows),
              "factors: expected [1 or persons, 1 or partitions, 1 or channels, floats], got ",
              factors.sizes());
  const float* factor = floats(factors, factors.numel(), "factors");
  const int64_t by_channel = factors.size(3), by_partition = factors.size(2) * by_channel;
  const int64_t by_person = factors.size(1) * by_partition;
  const GraphEntry* edges = graph_edges(graph, in.blocks, by_channel);
  const bool together = blocks_together(graph_begin, edges, partitions, in.blocks);
  const EllGraph ell =
      ell_graph(ell_starts, ell_sources, ell_factors, partitions, in.blocks);

  Tensor result = make_features(x, in.blocks, frames, rows, pad);
  const Features out = features(result, "out");
  const Residual res = check_residual(residual, out, frames, rows);
  const Tiles tiles(frames, kernels().graph_sums / in.blocks);
  at::parallel_for(0, in.persons * tiles.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = i % tiles.count, person = i / tiles.count, t = tiles.begin(tile);
      GraphTile work;
      work.weight = weight;
      work.map_relu = map_relu;
      work.partitions = partitions;
      work.blocks = in.blocks;
      work.bias = shift;
      work.row_bias = row_shift;
      work.graph_starts = graph_begin;
      work.graph = edges;
      work.together = together;
      work.ell = ell;
      work.factors = factor + (factors.size(0) == 1 ? 0 : person * by_person);
      work.factor_partition = factors.size(1) == 1 ? 0 : by_partition;
      work.factor_channel = factors.size(2) == 1 ? 0 : by_channel;
      work.x = in.data + person * in.person() + t * in.frame();
      work.x_block = in.block();
      work.x_frame = in.frame();
      work.out = out.data + person * out.person() + (pad + t) * out.frame();
      work.out_block = out.block();
      work.out_frame = out.frame();
      work.frames = tiles.begin(tile + 1) - t;
      work.epilogue = {res.at(person, 0, t), res.frame, relu};
      work.residual_block = res.block;
      kernels().graph_conv(work);
    }
  });
  return result;
}

}  // namespace

TORCH_LIBRARY(pyg_stgcn, m) {
  m.def("kernels_name() -> str", &kernels_name);
  m.def("pack(Tensor x, int pad) -> Tensor");
  m.def("unpack(Tensor x, int pad, int joints) -> Tensor");
  m.def(
      "conv(Tensor x, Tensor starts, Tensor offsets, Tensor values, Tensor bias, int groups, "
      "int block, int stride, SymInt frames, bool relu, Tensor? residual, int pad, int channels) "
      "-> Tensor");
  m.def(
      "conv_into(Tensor x, Tensor starts, Tensor offsets, Tensor values, Tensor bias, int groups, "
      "int block, int stride, SymInt frames, bool relu, Tensor(a!) out, int pad, int channel, "
      "bool add) -> ()");
  m.def(
      "graph_conv(Tensor x, Tensor starts, Tensor offsets, Tensor values, Tensor bias, "
      "Tensor row_bias, Tensor graph_starts, Tensor graph, Tensor factors, Tensor ell_starts, "
      "Tensor ell_sources, Tensor ell_factors, int partitions, bool map_relu, "
      "int pad, Tensor? residual, bool relu) -> Tensor");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) {
  m.impl("pack", &pack);
  m.impl("unpack", &unpack);
  m.impl("conv", &conv);
  m.impl("conv_into", &conv_into);
  m.impl("graph_conv", &graph_conv);
}

}  // namespace pyg_stgcn

// Importing the extension registers the operators.
extern "C" PyObject* PyInit__native() {
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, nullptr,
                                   nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&definition);
}
