#include "memory.h"

#include <stdint.h>
#include <stdlib.h>

#include <new>

namespace stgcn {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

// calloc leaves the pages of large memory untouched until they are used.
float* new_floats(size_t count, bool cleared) {
  if (count > SIZE_MAX / sizeof(float) - 2 * kAlignment) throw std::bad_alloc();
  const size_t bytes = count * sizeof(float) + kAlignment + sizeof(void*);
  void* memory = cleared ? calloc(bytes, 1) : malloc(bytes);
  if (!memory) throw std::bad_alloc();
  const uintptr_t first = reinterpret_cast<uintptr_t>(memory) + sizeof(void*);
  const uintptr_t aligned = (first + kAlignment - 1) / kAlignment * kAlignment;
  // The beginning of the whole memory is noted before the floats.
  reinterpret_cast<void**>(aligned)[-1] = memory;
  return reinterpret_cast<float*>(aligned);
}

void free_floats(float* memory) {
  if (memory) free(reinterpret_cast<void**>(memory)[-1]);
}

}  // namespace stgcn
