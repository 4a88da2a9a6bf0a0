// The entries of JSON objects and the tensors of a file, with messages that name them.
#pragma once

#include <stdint.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "file.h"
#include "json.h"
#include "program.h"

namespace stgcn {

// A value from a file for a message, cut off if it is long.
std::string shown(std::string_view text);

// The entries of an object; `where` names it in messages. All must be asked for before `done`.
class Fields {
 public:
  Fields(Json::Value object, std::string where);

  int64_t whole(const char* name, int64_t least, int64_t most);
  double number(const char* name, double least, double most);
  bool boolean(const char* name);
  std::string text(const char* name);
  std::vector<int32_t> wholes(const char* name, int64_t least, int64_t most);
  std::vector<std::string> texts(const char* name);
  Json::Value value(const char* name, Json::Kind kind);
  bool has(std::string_view name) const;
  int64_t size() const { return object_.size(); }
  // Refuses entries that nobody has asked for.
  void done() const;

  const std::string& where() const { return where_; }

 private:
  [[noreturn]] void wrong(const char* name, Json::Value value, const std::string& wanted) const;
  // Whether there is an entry; refuses one that is there twice.
  bool find(std::string_view name, Json::Value& value) const;

  Json::Value object_;
  std::string where_;
  int64_t asked_ = 0;
};

// A tensor of a shape, -1 for any size; `name` is taken out of the file. Floats are finite.
Floats take_floats(File& file, const std::string& name, std::initializer_list<int64_t> shape);
// Of any shape.
Floats take_floats(File& file, const std::string& name);
Integers take_integers(File& file, const std::string& name);

}  // namespace stgcn
