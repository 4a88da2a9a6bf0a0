#include "fields.h"

#include <math.h>

#include <utility>

namespace stgcn {
namespace {

using Kind = Json::Kind;
using Value = Json::Value;

constexpr size_t kShown = 60;

const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {"null", "true or false", "a number",
                                           "a text", "a list",      "an object"};
  return kNames[int(kind)];
}

std::string shown_range(double least, double most) {
  const auto text = [](double value) {
    return value == floor(value) && fabs(value) < 1e15 ? std::to_string(int64_t(value))
                                                       : std::to_string(value);
  };
  return "from " + text(least) + " to " + text(most);
}

File::Tensor& take(File& file, const std::string& name, File::Type type) {
  File::Tensor* tensor = file.find(name);
  if (!tensor) refuse("the tensor " + name + " is missing");
  if (tensor->type != type)
    refuse("the tensor " + name + " is of another type than " +
           (type == File::Type::float32 ? "F32" : "I32"));
  tensor->taken = true;
  return *tensor;
}

std::string shown_shape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += size < 0 ? "any" : std::to_string(size);
  }
  return text + "]";
}

}  // namespace

std::string shown(std::string_view text) {
  if (text.size() <= kShown) return std::string(text);
  // Not within a character of UTF-8.
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

Fields::Fields(Value object, std::string where) : object_(object), where_(std::move(where)) {
  if (object.kind() != Kind::object)
    refuse(where_ + " is " + shown(object.source()) + ", not an object");
}

bool Fields::find(std::string_view name, Value& value) const {
  bool found = false;
  std::string_view key;
  Value other = object_;
  Json::Entries entries(object_);
  while (entries.next(key, other)) {
    if (key != name) continue;
    if (found) refuse(where_ + " has the entry " + std::string(name) + " twice");
    found = true;
    value = other;
  }
  return found;
}

bool Fields::has(std::string_view name) const {
  Value value = object_;
  return find(name, value);
}

void Fields::wrong(const char* name, Value value, const std::string& wanted) const {
  refuse(where_ + " has " + name + " " + shown(value.source()) + ", not " + wanted);
}

Value Fields::value(const char* name, Kind kind) {
  Value value = object_;
  if (!find(name, value)) refuse(where_ + " has no entry " + name);
  if (value.kind() != kind) wrong(name, value, name_of(kind));
  ++asked_;
  return value;
}

int64_t Fields::whole(const char* name, int64_t least, int64_t most) {
  const Value found = value(name, Kind::number);
  int64_t number = 0;
  if (!found.whole(least, most, number))
    wrong(name, found, "a whole number " + shown_range(double(least), double(most)));
  return number;
}

double Fields::number(const char* name, double least, double most) {
  const Value found = value(name, Kind::number);
  if (!(found.number() >= least && found.number() <= most))
    wrong(name, found, "a number " + shown_range(least, most));
  return found.number();
}

bool Fields::boolean(const char* name) { return value(name, Kind::boolean).boolean(); }

std::string Fields::text(const char* name) {
  const Value found = value(name, Kind::text);
  // Texts are given to C, where they end with a zero.
  if (found.text().find('\0') != std::string_view::npos) wrong(name, found, "without a zero in it");
  return std::string(found.text());
}

std::vector<int32_t> Fields::wholes(const char* name, int64_t least, int64_t most) {
  const Value list = value(name, Kind::list);
  std::vector<int32_t> numbers;
  numbers.reserve(size_t(list.size()));
  Value item = list;
  Json::Items items(list);
  while (items.next(item)) {
    int64_t number = 0;
    if (!item.whole(least, most, number))
      wrong(name, item, "a list of whole numbers " + shown_range(double(least), double(most)));
    numbers.push_back(int32_t(number));
  }
  return numbers;
}

std::vector<std::string> Fields::texts(const char* name) {
  const Value list = value(name, Kind::list);
  std::vector<std::string> found;
  found.reserve(size_t(list.size()));
  Value item = list;
  Json::Items items(list);
  while (items.next(item)) {
    if (item.kind() != Kind::text || item.text().find('\0') != std::string_view::npos)
      wrong(name, item, "a list of texts");
    found.emplace_back(item.text());
  }
  return found;
}

void Fields::done() const {
  if (asked_ == object_.size()) return;
  refuse(where_ + " has " + std::to_string(object_.size()) + " entries, not " +
         std::to_string(asked_) + ": " + shown(object_.source()));
}

Floats take_floats(File& file, const std::string& name) {
  const File::Tensor& tensor = take(file, name, File::Type::float32);
  const Floats floats{static_cast<const float*>(tensor.data), tensor.size};
  for (int64_t i = 0; i < floats.size; ++i) {
    if (!isfinite(floats.data[i]))
      refuse("the tensor " + name + " has a value that is no number, at " + std::to_string(i) +
             "; the training has diverged, so train again with a lower learning rate");
  }
  return floats;
}

Floats take_floats(File& file, const std::string& name, std::initializer_list<int64_t> shape) {
  const Floats floats = take_floats(file, name);
  const std::vector<int64_t>& found = file.find(name)->shape;
  bool fits = found.size() == shape.size();
  for (size_t i = 0; fits && i < found.size(); ++i)
    fits = shape.begin()[i] < 0 || shape.begin()[i] == found[i];
  if (!fits)
    refuse("the tensor " + name + " has the shape " + shown_shape(found) + ", not " +
           shown_shape(shape));
  return floats;
}

Integers take_integers(File& file, const std::string& name) {
  const File::Tensor& tensor = take(file, name, File::Type::int32);
  return {static_cast<const int32_t*>(tensor.data), tensor.size};
}

}  // namespace stgcn
