// The kernels of training for NEON, and for any other machine.
#include "gradients.h"
#include "simd.h"

#include "gradients.inc"

namespace pyg_stgcn {
static const GradientKernels kKernels = gradient_table();
const GradientKernels* plain_gradients() { return &kKernels; }
}  // namespace pyg_stgcn
