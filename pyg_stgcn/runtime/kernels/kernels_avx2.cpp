// The kernels for AVX2.
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define PYG_STGCN_AVX2
#include "kernels.h"
#include "simd.h"

#include "kernels.inc"
#include "table.inc"

namespace pyg_stgcn {
static const Kernels kKernels = table("avx2");
const Kernels* avx2_kernels() { return &kKernels; }
}  // namespace pyg_stgcn
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "kernels.h"
namespace pyg_stgcn {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace pyg_stgcn
#endif
