// A small reader of JSON: strict, UTF-8, with a limit of depth and size.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string_view>
#include <vector>

namespace stgcn {

class Json {
 public:
  enum class Kind : uint8_t { null, boolean, number, text, list, object };

  // A value; valid as long as the Json is.
  class Value {
   public:
    Kind kind() const;
    // These are to be asked for values of their kind only.
    bool boolean() const;
    double number() const;
    std::string_view text() const;
    // Items of a list, entries of an object.
    int64_t size() const;
    // The text of the file that this value is.
    std::string_view source() const;
    // Whether this is a whole number from least to most, which is then `number`.
    bool whole(int64_t least, int64_t most, int64_t& number) const;

   private:
    friend class Json;
    Value(const Json* json, size_t index) : json_(json), index_(index) {}
    const Json* json_;
    size_t index_;
  };

  // The items of a list, one after another.
  class Items {
   public:
    explicit Items(Value list);
    bool next(Value& item);

   private:
    const Json* json_;
    size_t at_, end_;
  };

  // The entries of an object, one after another.
  class Entries {
   public:
    explicit Entries(Value object);
    bool next(std::string_view& name, Value& value);

   private:
    const Json* json_;
    size_t at_, end_;
  };

  // Reads a text, which must stay in place. Throws std::runtime_error if it is not JSON, nested more
  // than 64 times, or has more than a million values.
  explicit Json(std::string_view source);
  Value root() const { return {this, 0}; }

 private:
  friend class Reader;
  struct Node {
    Kind kind;
    uint32_t end;         // the node after this value
    uint32_t count;       // items, entries or bytes of the text
    const char* begin;    // of its source
    const char* stop;
    double number;
    const char* text;
  };
  std::vector<Node> nodes_;
  std::unique_ptr<char[]> texts_;
};

}  // namespace stgcn
