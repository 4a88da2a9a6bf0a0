// The adaptive kernels for AVX2.
#include "adaptive_kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define PYG_STGCN_AVX2
#include "simd.h"

#include "adaptive_kernels.inc"

namespace stgcn {
const AdaptiveKernels* avx2_adaptive() { return &kAdaptive; }
}  // namespace stgcn
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
namespace stgcn {
const AdaptiveKernels* avx2_adaptive() { return nullptr; }
}  // namespace stgcn
#endif
