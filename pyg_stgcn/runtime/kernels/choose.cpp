#include "choose.h"

#include <string.h>

namespace pyg_stgcn {

InstructionSet choose_instructions(const char* wish) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  const bool any = !wish || !*wish;
  const bool best = any || !strcmp(wish, "avx512");
  if (best && avx512_kernels() && __builtin_cpu_supports("avx512f")) return InstructionSet::avx512;
  if ((best || !strcmp(wish, "avx2")) && avx2_kernels() && __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("fma"))
    return InstructionSet::avx2;
#endif
  (void)wish;
  return InstructionSet::plain;
}

const Kernels* kernels_of(InstructionSet instructions) {
  if (instructions == InstructionSet::avx512) return avx512_kernels();
  if (instructions == InstructionSet::avx2) return avx2_kernels();
  return plain_kernels();
}

}  // namespace pyg_stgcn
