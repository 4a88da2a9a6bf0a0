// The linear map of rows of features, one row after another as torch has them.

#include <ATen/Parallel.h>
#include <torch/library.h>

#include "checks.h"

namespace pyg_stgcn {
namespace {

// Blocks of sixteen rows of a tile: with fewer channels of more blocks in the nearest cache, sums
// would be read and written again for every group of channels.
constexpr int64_t kTile = 4;
// Multiply-adds of sixteen floats that are worth a thread.
constexpr int64_t kWorkOfThread = 1 << 14;

// Blocks of sixteen rows are transposed into the cache, mapped there, and transposed back.
Tensor linear(const Tensor& x, const Tensor& starts, const Tensor& offsets, const Tensor& values,
              const Tensor& bias, int64_t groups, int64_t block) {
  TORCH_CHECK(x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 2 &&
                  (x.size(1) <= 1 || x.stride(1) == 1),
              "x: expected float32 [rows, channels] on the CPU, the channels side by side");
  const int64_t rows = x.size(0), channels = x.size(1), row = x.stride(0);
  const SparseRows weight =
      sparse_rows(starts, offsets, values, groups, block, channels * kWidth);
  const int64_t outputs = weight.rows * block;
  const float* shift = floats(bias, outputs, "bias");
  Tensor result = at::empty({rows, outputs}, x.options());
  const float* from = x.const_data_ptr<float>();
  float* to = result.data_ptr<float>();
  const Kernels& own = kernels();
  const auto kernel = block == 1 ? own.conv : own.block_conv;
  const int64_t most = block == 1 ? std::min(own.conv_frames, kTile) : own.block_frames;
  const Tiles tiles((rows + kWidth - 1) / kWidth, most);
  const int64_t work = most * (offsets.numel() * block + channels + outputs);
  const int64_t grain = std::max<int64_t>(kWorkOfThread / std::max<int64_t>(work, 1), 1);

  at::parallel_for(0, tiles.count, grain, [&](int64_t begin, int64_t end) {
    const Tensor inputs = at::empty({most, channels, kWidth}, x.options());
    const Tensor sums = at::empty({most, outputs, kWidth}, x.options());
    float *in = inputs.data_ptr<float>(), *out = sums.data_ptr<float>();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = tiles.begin(i), frames = tiles.begin(i + 1) - first;
      for (int64_t f = 0; f < frames; ++f) {
        const int64_t at = (first + f) * kWidth, lanes = std::min(kWidth, rows - at);
        float* target = in + f * channels * kWidth;
        // Denormal numbers in lanes that nobody needs would be slow.
        if (lanes < kWidth) std::memset(target, 0, sizeof(float) * channels * kWidth);
        own.transpose({from + at * row, row, lanes, channels, target, kWidth});
      }
      kernel({weight, shift, in, channels * kWidth, out, outputs * kWidth, frames, {}});
      for (int64_t f = 0; f < frames; ++f) {
        const int64_t at = (first + f) * kWidth, lanes = std::min(kWidth, rows - at);
        own.transpose(
            {out + f * outputs * kWidth, kWidth, outputs, lanes, to + at * outputs, outputs});
      }
    }
  });
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
  m.def(
      "linear(Tensor x, Tensor starts, Tensor offsets, Tensor values, Tensor bias, int groups, "
      "int block) -> Tensor");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) { m.impl("linear", &linear); }

}  // namespace pyg_stgcn
