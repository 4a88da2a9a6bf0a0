// The kernels of training for AVX-512.
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,fma,prefer-vector-width=512")
#endif
#define PYG_STGCN_AVX512
#include "gradients.h"
#include "simd.h"

#include "gradients.inc"

namespace pyg_stgcn {
static const GradientKernels kKernels = gradient_table();
const GradientKernels* avx512_gradients() { return &kKernels; }
}  // namespace pyg_stgcn
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "gradients.h"
namespace pyg_stgcn {
const GradientKernels* avx512_gradients() { return nullptr; }
}  // namespace pyg_stgcn
#endif
