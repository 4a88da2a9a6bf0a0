// The kernels of training for AVX2.
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define PYG_STGCN_AVX2
#include "gradients.h"
#include "simd.h"

#include "gradients.inc"

namespace pyg_stgcn {
static const GradientKernels kKernels = gradient_table();
const GradientKernels* avx2_gradients() { return &kKernels; }
}  // namespace pyg_stgcn
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "gradients.h"
namespace pyg_stgcn {
const GradientKernels* avx2_gradients() { return nullptr; }
}  // namespace pyg_stgcn
#endif
