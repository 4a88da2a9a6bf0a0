// The choice of an instruction set at run time.
#pragma once

#include "kernels.h"

namespace pyg_stgcn {

enum class InstructionSet { plain, avx2, avx512 };

// The best one of this machine, or the one that is wished for by name, if the machine has it. No
// wish: null or "".
InstructionSet choose_instructions(const char* wish);
const Kernels* kernels_of(InstructionSet instructions);

}  // namespace pyg_stgcn
