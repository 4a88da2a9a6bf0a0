// The torch operators of batch norms in training.
//
// Threads share channels, never a sum: results do not depend on their number.

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "checks.h"
#include "gradients.h"

namespace pyg_stgcn {
namespace {

int64_t lanes_of(int64_t block, int64_t joints) {
  return std::max<int64_t>(std::min(kWidth, joints - block * kWidth), 0);
}

void check_joints(const Features& in, int64_t pad, int64_t joints) {
  TORCH_CHECK(pad >= 0 && 2 * pad < in.frames && joints > 0 && joints <= in.blocks * kWidth,
              "pad, joints: ", pad, ", ", joints, " for ", in.frames, " frames and ",
              in.blocks * kWidth, " lanes");
}

// All frames and channels of one block of joints of one person.
NormTile norm_tile(const Features& in, int64_t pad, int64_t joints, int64_t i) {
  NormTile work{};
  work.frames = in.frames - 2 * pad;
  work.end = in.channels;
  work.lanes = lanes_of(i % in.blocks, joints);
  work.x = in.data + i * in.block() + pad * in.frame();
  work.x_frame = in.frame();
  return work;
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
      NormTile work = norm_tile(in, pad, joints, i);
      work.begin = begin;
      work.end = end;
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
  // Around the first value: squares of values far from zero would cancel the variance.
  std::vector<float> center(in.channels);
  for (int64_t c = 0; c < in.channels; ++c) center[c] = in.data[pad * in.frame() + c * kWidth];
  std::vector<double> sum(in.channels), square(in.channels);
  norm_sums_into(
      gradient_kernels().norm_sums, in, pad, joints,
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
      NormTile work = norm_tile(in, x_pad, joints, i);
      work.center = from;
      work.factor = by;
      work.shift = plus;
      work.residual = added ? added->data + i * added->block() : nullptr;
      work.residual_frame = added ? added->frame() : 0;
      work.relu = relu;
      work.out = out.data + i * out.block() + pad * out.frame();
      work.out_frame = out.frame();
      gradient_kernels().norm_apply(work);
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
      gradient_kernels().norm_grad_sums, in, x_pad, joints,
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

// factor * gradient after ReLU + factor_x * (x - center) + shift; if `wanted`, also that gradient.
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
      NormTile work = norm_tile(in, x_pad, joints, i);
      work.center = from;
      work.factor = by;
      work.factor_x = by_x;
      work.shift = plus;
      g.fill(work, i);
      work.out = out.data + i * out.block() + x_pad * out.frame();
      work.out_frame = out.frame();
      if (pass) work.passed = pass + i * g.grad.from.block() + pad * g.grad.from.frame();
      gradient_kernels().norm_grad(work);
    }
  });
  return {result, passed};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
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
  m.impl("norm_stats", &norm_stats);
  m.impl("norm_apply", &norm_apply);
  m.impl("norm_grad_sums", &norm_grad_sums);
  m.impl("norm_grad", &norm_grad);
}

}  // namespace pyg_stgcn
