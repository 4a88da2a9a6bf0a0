// The kernels for AVX-512.
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,fma,prefer-vector-width=512")
#endif
#define PYG_STGCN_AVX512
#include "kernels.h"
#include "simd.h"

#include "kernels.inc"
#include "table.inc"

namespace pyg_stgcn {
static const Kernels kKernels = table("avx512");
const Kernels* avx512_kernels() { return &kKernels; }
}  // namespace pyg_stgcn
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "kernels.h"
namespace pyg_stgcn {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace pyg_stgcn
#endif
