#include "file.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <stdexcept>

#include "json.h"
#include "memory.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The numbers of a program are little-endian, and used as they lie in the file."
#endif

namespace stgcn {
namespace {

constexpr size_t kLargestFile = size_t(1) << 30;
constexpr size_t kLargestHeader = size_t(1) << 24;

using Value = Json::Value;
using Kind = Json::Kind;

// The CRC-32 of zlib, eight bytes at a time.
class Checksum {
 public:
  Checksum() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
      table_[0][i] = value;
    }
    for (int i = 0; i < 256; ++i)
      for (int step = 1; step < 8; ++step)
        table_[step][i] = table_[step - 1][i] >> 8 ^ table_[0][table_[step - 1][i] & 255];
  }

  void add(const char* bytes, size_t count) {
    const auto* at = reinterpret_cast<const unsigned char*>(bytes);
    uint32_t crc = ~value_;
    for (; count >= 8; count -= 8, at += 8) {
      const uint32_t low = crc ^ word(at), high = word(at + 4);
      crc = table_[7][low & 255] ^ table_[6][low >> 8 & 255] ^ table_[5][low >> 16 & 255] ^
            table_[4][low >> 24] ^ table_[3][high & 255] ^ table_[2][high >> 8 & 255] ^
            table_[1][high >> 16 & 255] ^ table_[0][high >> 24];
    }
    for (; count > 0; --count, ++at) crc = crc >> 8 ^ table_[0][(crc ^ *at) & 255];
    value_ = ~crc;
  }

  std::string text() const { return std::to_string(value_); }

 private:
  static uint32_t word(const unsigned char* at) {
    return uint32_t(at[0]) | uint32_t(at[1]) << 8 | uint32_t(at[2]) << 16 | uint32_t(at[3]) << 24;
  }
  uint32_t table_[8][256];
  uint32_t value_ = 0;
};

std::string_view text_entry(Value object, std::string_view wanted) {
  std::string_view name, found;
  Value value = object;
  Json::Entries entries(object);
  while (entries.next(name, value)) {
    if (name != wanted) continue;
    if (found.data()) refuse("the entry " + std::string(wanted) + " is there twice");
    if (value.kind() != Kind::text) refuse("the entry " + std::string(wanted) + " is no text");
    found = value.text();
  }
  return found;
}

// Bytes of a tensor in the data, from the first to before the last.
struct Range {
  int64_t begin = -1, end = -1;
};

// A tensor, without the place of its data.
File::Tensor read_tensor(std::string_view name, Value entry, Range& range) {
  File::Tensor tensor{std::string(name), File::Type::float32, {}, 1, nullptr, false};
  const auto wrong = [&](const char* what) {
    refuse("the tensor " + tensor.name.substr(0, 80) + " has no valid " + what);
  };
  const int64_t most = int64_t(kLargestFile);
  if (entry.kind() != Kind::object || entry.size() != 3) wrong("entry");
  int found = 0;
  std::string_view key;
  Value value = entry, item = entry;
  Json::Entries entries(entry);
  while (entries.next(key, value)) {
    if (key == "dtype") {
      found |= 1;
      if (value.kind() != Kind::text) wrong("dtype");
      if (value.text() == "I32") tensor.type = File::Type::int32;
      else if (value.text() != "F32") wrong("dtype, F32 or I32");
    } else if (key == "shape") {
      found |= 2;
      if (value.kind() != Kind::list || value.size() > 8) wrong("shape");
      Json::Items items(value);
      while (items.next(item)) {
        int64_t size = 0;
        if (!item.whole(0, most, size)) wrong("shape");
        tensor.shape.push_back(size);
        // Both factors are at most 2^30.
        tensor.size *= size;
        if (tensor.size > most) wrong("shape: it is too large");
      }
    } else if (key == "data_offsets") {
      found |= 4;
      if (value.kind() != Kind::list || value.size() != 2) wrong("data_offsets");
      Json::Items items(value);
      items.next(item);
      const bool whole = item.whole(0, most, range.begin);
      items.next(item);
      if (!whole || !item.whole(range.begin, most, range.end)) wrong("data_offsets");
    }
  }
  if (found != 7) wrong("entry");
  if (range.end - range.begin != 4 * tensor.size) wrong("data_offsets for its shape");
  return tensor;
}

}  // namespace

void refuse(const std::string& reason) {
  throw std::runtime_error(reason + "; write it again with 'pyg-stgcn export --format engine'");
}

void File::Free::operator()(char* memory) const { free_floats(reinterpret_cast<float*>(memory)); }

File::File(size_t count)
    : bytes_(reinterpret_cast<char*>(new_floats(count / sizeof(float) + 1))), count_(count) {}

File File::open(const char* path) {
  struct Close {
    void operator()(FILE* file) const { fclose(file); }
  };
  const std::unique_ptr<FILE, Close> file(fopen(path, "rb"));
  const auto unreadable = [&](const char* reason) {
    throw std::runtime_error(std::string(path).substr(0, 200) + ": " + reason);
  };
  if (!file) unreadable("cannot be opened; check the path");
  if (fseek(file.get(), 0, SEEK_END) != 0) unreadable("cannot be read; name a file");
  const long count = ftell(file.get());
  if (count < 0 || fseek(file.get(), 0, SEEK_SET) != 0) unreadable("cannot be read; name a file");
  // The length of a folder is the largest number that there is.
  if (size_t(count) > kLargestFile) unreadable("is a folder, or too large for a model; name a file");
  File result{size_t(count)};
  if (fread(result.bytes_.get(), 1, result.count_, file.get()) != result.count_)
    unreadable("cannot be read");
  try {
    result.read();
  } catch (const std::runtime_error& error) {
    unreadable(error.what());
  }
  return result;
}

File File::of_bytes(const void* bytes, size_t count) {
  if (count > kLargestFile) refuse("the file is too large for a model");
  File result(count);
  if (count > 0) memcpy(result.bytes_.get(), bytes, count);
  result.read();
  return result;
}

void File::read() {
  const char* begin = bytes_.get();
  uint64_t size = 0;
  for (size_t i = 0; i < 8 && i < count_; ++i) size |= uint64_t(uint8_t(begin[i])) << 8 * i;
  if (count_ < 8 || size > count_ - 8 || size > kLargestHeader)
    refuse("no file of safetensors, or cut off: the header does not fit into " +
           std::to_string(count_) + " bytes");
  const Json header({begin + 8, size_t(size)});
  const char* data = begin + 8 + size;
  const int64_t data_size = int64_t(count_ - 8 - size_t(size));
  if (header.root().kind() != Kind::object) refuse("the header is no object");

  std::vector<std::pair<Range, size_t>> ranges;
  std::string_view name;
  Value value = header.root(), metadata = value;
  bool described = false;
  Json::Entries entries(header.root());
  while (entries.next(name, value)) {
    if (name == "__metadata__") {
      if (described || value.kind() != Kind::object) refuse("the metadata are no single object");
      described = true;
      metadata = value;
      continue;
    }
    Range range;
    tensors_.push_back(read_tensor(name, value, range));
    ranges.push_back({range, tensors_.size() - 1});
  }
  if (!described || text_entry(metadata, "format") != "pyg_stgcn.program")
    refuse("safetensors, but not the program of a model");
  const std::string version(text_entry(metadata, "version"));
  if (version != "1")
    refuse("written in version '" + version.substr(0, 20) +
           "' of the format, not 1; update pyg-stgcn, or");
  program_ = text_entry(metadata, "program");

  // The tensors lie one after another, from the beginning of the data to the end.
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return a.first.begin != b.first.begin ? a.first.begin < b.first.begin
                                          : a.first.end < b.first.end;
  });
  int64_t place = 0;
  for (const auto& [range, number] : ranges) {
    Tensor& tensor = tensors_[number];
    if (range.begin != place || range.end > data_size)
      refuse("the tensor " + tensor.name.substr(0, 80) +
             " overlaps with another, leaves a gap, or is cut off");
    place = range.end;
    tensor.data = data + range.begin;
  }
  if (place != data_size) refuse("there are bytes after the last tensor");
  if ((data - begin) % 4 != 0) refuse("the tensors are not aligned to 4 bytes");

  Checksum checksum;
  checksum.add(program_.data(), program_.size());
  checksum.add(data, size_t(data_size));
  if (text_entry(metadata, "crc32") != checksum.text()) refuse("damaged: the checksum differs");

  std::sort(tensors_.begin(), tensors_.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  for (size_t i = 1; i < tensors_.size(); ++i)
    if (tensors_[i - 1].name == tensors_[i].name)
      refuse("the tensor " + tensors_[i].name.substr(0, 80) + " is there twice");
}

File::Tensor* File::find(std::string_view name) {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const Tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

const File::Tensor* File::unknown() const {
  for (const Tensor& tensor : tensors_)
    if (!tensor.taken) return &tensor;
  return nullptr;
}

}  // namespace stgcn
