// The file of a program: safetensors with a JSON header.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stgcn {

class File {
 public:
  enum class Type : uint8_t { float32, int32 };

  struct Tensor {
    std::string name;
    Type type;
    std::vector<int64_t> shape;
    int64_t size;  // values
    const void* data;
    bool taken = false;
  };

  // Reads a file, or copies its bytes, and checks its form and its checksum. Throws
  // std::runtime_error.
  static File open(const char* path);
  static File of_bytes(const void* bytes, size_t count);

  // The entry `program` of its metadata.
  const std::string& program() const { return program_; }
  // The tensor of a name, or null.
  Tensor* find(std::string_view name);
  // A tensor that has not been taken, or null.
  const Tensor* unknown() const;

 private:
  explicit File(size_t count);
  void read();

  struct Free {
    void operator()(char* memory) const;
  };
  std::unique_ptr<char, Free> bytes_;
  size_t count_;
  std::string program_;
  std::vector<Tensor> tensors_;  // by name
};

// Throws std::runtime_error with a reason why a file cannot be used, and the advice to write it again.
[[noreturn]] void refuse(const std::string& reason);

}  // namespace stgcn
