// Memory for floats that begins with a line of the cache.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>

namespace stgcn {

// Of a model, and of a stream, at most: a gigabyte.
constexpr int64_t kMostFloats = int64_t(1) << 28;

// Throws std::bad_alloc; zeros where `cleared`.
float* new_floats(size_t count, bool cleared = false);
void free_floats(float* memory);

struct FreeFloats {
  void operator()(float* memory) const { free_floats(memory); }
};
using FloatMemory = std::unique_ptr<float[], FreeFloats>;

}  // namespace stgcn
