// The kernels for NEON, and for any other machine.
#include "kernels.h"
#include "simd.h"

#include "kernels.inc"
#include "table.inc"

namespace pyg_stgcn {
#if defined(__ARM_NEON)
static const Kernels kKernels = table("neon");
#else
static const Kernels kKernels = table("plain");
#endif
const Kernels* plain_kernels() { return &kKernels; }
}  // namespace pyg_stgcn
