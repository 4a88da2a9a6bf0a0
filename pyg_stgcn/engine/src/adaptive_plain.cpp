// The adaptive kernels without special instructions; on ARM with NEON.
#include <string.h>

#include "adaptive_kernels.h"
#include "simd.h"

#include "adaptive_kernels.inc"

namespace stgcn {
const AdaptiveKernels* plain_adaptive() { return &kAdaptive; }

const AdaptiveKernels* adaptive_kernels(const char* name) {
  const AdaptiveKernels* found = nullptr;
  if (!strcmp(name, "avx512")) found = avx512_adaptive();
  if (!strcmp(name, "avx2")) found = avx2_adaptive();
  return found ? found : plain_adaptive();
}
}  // namespace stgcn
