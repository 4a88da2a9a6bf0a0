// The torch operators that the adaptive backbones need beside convolutions.

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "checks.h"

namespace pyg_stgcn {
namespace {

// Halves at a time: one after the other would be a chain of sixteen additions.
float sum_of(float (&lane)[kWidth]) {
  for (int64_t half = kWidth / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

// Two maps of all joints, one after the other in the channels, multiplied and summed over frames.
Tensor pairs(const Tensor& x, int64_t pad, int64_t partitions, int64_t joints) {
  const Features in = features(x, "x");
  TORCH_CHECK(pad >= 0 && 2 * pad <= in.frames && partitions > 0 &&
                  in.channels % (2 * partitions) == 0 && joints >= 0 &&
                  joints <= in.blocks * kWidth && in.blocks <= kMaxBlocks,
              "pad, partitions, joints: ", pad, ", ", partitions, ", ", joints);
  Tensor result = at::empty({in.persons, partitions, joints, in.blocks * kWidth}, x.options());
  const int64_t channels = in.channels / (2 * partitions);
  float* out = result.data_ptr<float>();
  at::parallel_for(0, in.persons * partitions, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      PairTile work;
      work.a = in.data + i / partitions * in.person() + pad * in.frame() +
               i % partitions * channels * kWidth;
      work.b = work.a + partitions * channels * kWidth;
      work.block = in.block();
      work.frame = in.frame();
      work.frames = in.frames - 2 * pad;
      work.channels = channels;
      work.joints = joints;
      work.blocks = in.blocks;
      work.out = out + i * joints * in.blocks * kWidth;
      kernels().pairs(work);
    }
  });
  return result;
}

// The maximum over three frames, times a scale, plus a shift, ReLU.
void pool_into(const Tensor& x, int64_t x_pad, int64_t x_channel, const Tensor& scale,
               const Tensor& shift, int64_t stride, bool relu, const Tensor& result, int64_t pad,
               int64_t channel) {
  const Features in = features(x, "x"), out = features(result, "out");
  const int64_t channels = scale.numel(), frames = out.frames - 2 * pad;
  const float *factor = floats(scale, channels, "scale"), *term = floats(shift, channels, "shift");
  TORCH_CHECK(x_pad >= 1 && pad >= 0 && frames >= 0 && stride > 0 && x_channel >= 0 &&
                  x_channel + channels <= in.channels && channel >= 0 &&
                  channel + channels <= out.channels && out.persons == in.persons &&
                  out.blocks == in.blocks &&
                  (frames == 0 || x_pad + (frames - 1) * stride + 1 < in.frames),
              "out: ", result.sizes(), " does not fit the maxima of ", x.sizes());
  at::parallel_for(0, in.persons * in.blocks * frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = i % frames, b = i / frames;
      const float* source =
          in.data + b * in.block() + (x_pad + t * stride) * in.frame() + x_channel * kWidth;
      float* target = out.data + b * out.block() + (pad + t) * out.frame() + channel * kWidth;
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t l = 0; l < kWidth; ++l) {
          const float* place = source + c * kWidth + l;
          float most = std::max(std::max(place[0], place[-in.frame()]), place[in.frame()]);
          most = most * factor[c] + term[c];
          target[c * kWidth + l] = relu ? std::max(most, 0.0f) : most;
        }
      }
    }
  });
}

// Puts the mean over the joints into the lane after the last joint.
void mean_joint_(const Tensor& x, int64_t joints) {
  const Features in = features(x, "x");
  TORCH_CHECK(joints > 0 && joints < in.blocks * kWidth, "joints: ", joints, " and one more in ",
              in.blocks * kWidth, " lanes");
  std::vector<int32_t> counts(in.blocks * kWidth);
  std::fill_n(counts.begin(), joints, 1);
  at::parallel_for(0, in.persons * in.frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* frame = in.data + i / in.frames * in.person() + i % in.frames * in.frame();
      for (int64_t c = 0; c < in.channels; ++c) {
        float lane[kWidth] = {};
        for (int64_t b = 0; b < in.blocks; ++b) {
          const float* row = frame + b * in.block() + c * kWidth;
          // Not a product with zero: the other lanes hold any values.
          for (int64_t l = 0; l < kWidth; ++l) {
            const float value = row[l];
            lane[l] += counts[b * kWidth + l] ? value : 0.0f;
          }
        }
        frame[joints / kWidth * in.block() + c * kWidth + joints % kWidth] = sum_of(lane) / joints;
      }
    }
  });
}

// x[v] <- ReLU(scale * (x[v] + factor[v] * x[joints]) + shift)
void spread_joint_(const Tensor& x, int64_t joints, const Tensor& factor, const Tensor& scale,
                   const Tensor& shift) {
  const Features in = features(x, "x");
  TORCH_CHECK(joints > 0 && joints < in.blocks * kWidth, "joints: ", joints);
  const float* by_joint = floats(factor, in.blocks * kWidth, "factor");
  const float *s = floats(scale, in.channels, "scale"), *d = floats(shift, in.channels, "shift");
  at::parallel_for(0, in.persons * in.frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* frame = in.data + i / in.frames * in.person() + i % in.frames * in.frame();
      for (int64_t c = 0; c < in.channels; ++c) {
        const float mean = frame[joints / kWidth * in.block() + c * kWidth + joints % kWidth];
        for (int64_t b = 0; b < in.blocks; ++b) {
          float* row = frame + b * in.block() + c * kWidth;
          for (int64_t l = 0; l < kWidth; ++l)
            row[l] = std::max(s[c] * (row[l] + by_joint[b * kWidth + l] * mean) + d[c], 0.0f);
        }
      }
    }
  });
}

// Sums over the joints with a weight for each joint of each person: [persons, frames, channels].
Tensor joint_sum(const Tensor& x, int64_t pad, const Tensor& weight) {
  const Features in = features(x, "x");
  const int64_t frames = in.frames - 2 * pad;
  TORCH_CHECK(pad >= 0 && frames >= 0, "pad: ", pad);
  const float* by_joint = floats(weight, in.persons * in.blocks * kWidth, "weight");
  Tensor result = at::empty({in.persons, frames, in.channels}, x.options());
  float* out = result.data_ptr<float>();
  at::parallel_for(0, in.persons * frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t person = i / frames;
      const float* frame = in.data + person * in.person() + (pad + i % frames) * in.frame();
      const float* w = by_joint + person * in.blocks * kWidth;
      for (int64_t c = 0; c < in.channels; ++c) {
        float lane[kWidth] = {};
        for (int64_t b = 0; b < in.blocks; ++b)
          for (int64_t l = 0; l < kWidth; ++l)
            lane[l] += w[b * kWidth + l] * frame[b * in.block() + c * kWidth + l];
        out[i * in.channels + c] = sum_of(lane);
      }
    }
  });
  return result;
}

// x[p, t, c, v] <- x * joint[p, v] * frame[p, t] * channel[p, c]
void gate_(const Tensor& x, int64_t pad, const Tensor& joint, const Tensor& frame,
           const Tensor& channel) {
  const Features in = features(x, "x");
  const int64_t frames = in.frames - 2 * pad;
  TORCH_CHECK(pad >= 0 && frames >= 0, "pad: ", pad);
  const float* by_joint = floats(joint, in.persons * in.blocks * kWidth, "joint");
  const float* by_frame = floats(frame, in.persons * frames, "frame");
  const float* by_channel = floats(channel, in.persons * in.channels, "channel");
  at::parallel_for(0, in.persons * in.blocks * frames, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = i % frames, b = i / frames, person = b / in.blocks;
      float* row = in.data + b * in.block() + (pad + t) * in.frame();
      const float* w = by_joint + b * kWidth;
      for (int64_t c = 0; c < in.channels; ++c) {
        const float both = by_frame[person * frames + t] * by_channel[person * in.channels + c];
        for (int64_t l = 0; l < kWidth; ++l) row[c * kWidth + l] *= w[l] * both;
      }
    }
  });
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
  m.def("pairs(Tensor x, int pad, int partitions, int joints) -> Tensor");
  m.def(
      "pool_into(Tensor x, int x_pad, int x_channel, Tensor scale, Tensor shift, int stride, "
      "bool relu, Tensor(a!) out, int pad, int channel) -> ()");
  m.def("mean_joint_(Tensor(a!) x, int joints) -> ()");
  m.def(
      "spread_joint_(Tensor(a!) x, int joints, Tensor factor, Tensor scale, Tensor shift) -> ()");
  m.def("joint_sum(Tensor x, int pad, Tensor weight) -> Tensor");
  m.def("gate_(Tensor(a!) x, int pad, Tensor joint, Tensor frame, Tensor channel) -> ()");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) {
  m.impl("pairs", &pairs);
  m.impl("pool_into", &pool_into);
  m.impl("mean_joint_", &mean_joint_);
  m.impl("spread_joint_", &spread_joint_);
  m.impl("joint_sum", &joint_sum);
  m.impl("gate_", &gate_);
}

}  // namespace pyg_stgcn
