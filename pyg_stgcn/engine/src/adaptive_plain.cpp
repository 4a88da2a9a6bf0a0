// The adaptive kernels without special instructions; on ARM with NEON.
#include "adaptive_kernels.h"
#include "simd.h"

#include "adaptive_kernels.inc"

namespace stgcn {
const AdaptiveKernels* plain_adaptive() { return &kAdaptive; }

const AdaptiveKernels* adaptive_kernels(const char* name) {
  const auto is = [&](const char* other) {
    const char* own = name;
    while (*own && *own == *other) ++own, ++other;
    return *own == *other;
  };
  const AdaptiveKernels* found = nullptr;
  if (is("avx512")) found = avx512_adaptive();
  if (is("avx2")) found = avx2_adaptive();
  return found ? found : plain_adaptive();
}
}  // namespace stgcn
