#include "json.h"

#include <stdexcept>
#include <string>

namespace stgcn {
namespace {

constexpr int kDepth = 64;
constexpr size_t kValues = 1 << 20;

// Bytes of the UTF-8 character that begins here; 0 if there is none.
int utf8_length(const char* at, const char* end) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(at[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const int length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || end - at < length) return 0;
  for (int i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Neither longer than needed, nor a surrogate, nor beyond the last character.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
  if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

char* put_utf8(uint32_t code, char* to) {
  const auto put = [&](uint32_t byte) { *to++ = static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return to;
}

}  // namespace

class Reader {
 public:
  Reader(Json& json, std::string_view source)
      : nodes_(json.nodes_),
        begin_(source.data()),
        at_(source.data()),
        end_(source.data() + source.size()),
        to_(json.texts_.get()) {}

  void read() {
    value(0);
    skip_spaces();
    if (at_ != end_) refuse("text after the end");
  }

 private:
  using Kind = Json::Kind;

  [[noreturn]] void refuse(const char* reason) const {
    throw std::runtime_error(std::string("no valid JSON: ") + reason + " at byte " +
                             std::to_string(at_ - begin_));
  }

  void skip_spaces() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  void want(char c, const char* reason) {
    if (!take(c)) refuse(reason);
  }

  size_t add(Kind kind) {
    if (nodes_.size() >= kValues) refuse("more than a million values");
    nodes_.push_back({kind, 0, 0, at_, nullptr, 0, nullptr});
    return nodes_.size() - 1;
  }

  void value(int depth) {
    if (depth > kDepth) refuse("nested too deeply");
    skip_spaces();
    if (at_ == end_) refuse("the text ends early");
    size_t node;
    if (*at_ == '{' || *at_ == '[') {
      const bool object = *at_ == '{';
      node = add(object ? Kind::object : Kind::list);
      ++at_;
      nodes_[node].count = items(depth, object);
    } else if (*at_ == '"') {
      node = text();
    } else if (*at_ == '-' || (*at_ >= '0' && *at_ <= '9')) {
      node = add(Kind::number);
      number(nodes_[node].number);
    } else {
      node = word();
    }
    nodes_[node].stop = at_;
    nodes_[node].end = uint32_t(nodes_.size());
  }

  uint32_t items(int depth, bool object) {
    const char close = object ? '}' : ']';
    skip_spaces();
    if (take(close)) return 0;
    for (uint32_t count = 1;; ++count) {
      if (object) {
        skip_spaces();
        if (at_ == end_ || *at_ != '"') refuse("the name of an entry is missing");
        const size_t name = text();
        nodes_[name].end = uint32_t(nodes_.size());
        skip_spaces();
        want(':', "':' is missing");
      }
      value(depth + 1);
      skip_spaces();
      if (take(close)) return count;
      want(',', "',' is missing");
    }
  }

  size_t word() {
    const std::string_view rest(at_, size_t(end_ - at_));
    const auto begins = [&](std::string_view name) { return rest.substr(0, name.size()) == name; };
    const bool yes = begins("true"), no = begins("false");
    if (!yes && !no && !begins("null")) refuse("an unknown word");
    const size_t node = add(yes || no ? Kind::boolean : Kind::null);
    nodes_[node].count = yes;
    at_ += no ? 5 : 4;
    return node;
  }

  // To the last digit or two of a double, whatever the language of the machine: no strtod.
  void number(double& result) {
    const bool negative = take('-');
    double mantissa = 0;
    int exponent = 0;
    if (!take('0')) digits(mantissa);
    if (take('.')) exponent = -digits(mantissa);
    if (take('e') || take('E')) {
      const bool down = take('-');
      if (!down) take('+');
      double value = 0;
      digits(value);
      if (value > 1000) value = 1000;
      exponent += down ? -int(value) : int(value);
    }
    result = mantissa;
    // 10^22 is the last power of ten that a double holds.
    const auto power = [](int exponent) {
      double value = 1;
      for (; exponent > 0; --exponent) value *= 10;
      return value;
    };
    for (; exponent > 22; exponent -= 22) result *= 1e22;
    for (; exponent < -22; exponent += 22) result /= 1e22;
    if (exponent > 0) result *= power(exponent);
    if (exponent < 0) result /= power(-exponent);
    if (!(result <= 1e300)) refuse("a number is too large");
    if (negative) result = -result;
  }
  // Appends digits to a number, and returns how many.
  int digits(double& number) {
    const char* begin = at_;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) number = number * 10 + (*at_ - '0');
    if (at_ == begin) refuse("a digit is missing");
    if (at_ - begin > 400) refuse("a number has too many digits");
    return int(at_ - begin);
  }

  size_t text() {
    const size_t node = add(Kind::text);
    ++at_;
    const char* begin = to_;
    for (;;) {
      if (at_ == end_) refuse("a text ends early");
      if (take('"')) break;
      if (take('\\')) {
        escape();
        continue;
      }
      if (static_cast<unsigned char>(*at_) < 0x20) refuse("a control character in a text");
      const int length = utf8_length(at_, end_);
      if (length == 0) refuse("a text is not UTF-8");
      for (int i = 0; i < length; ++i) *to_++ = *at_++;
    }
    nodes_[node].text = begin;
    nodes_[node].count = uint32_t(to_ - begin);
    nodes_[node].stop = at_;
    return node;
  }

  void escape() {
    static constexpr char kFrom[] = "\"\\/bfnrt", kTo[] = "\"\\/\b\f\n\r\t";
    if (at_ == end_) refuse("a text ends early");
    const char c = *at_++;
    if (c == 'u') {
      uint32_t code = hexadecimal();
      if (code >= 0xd800 && code < 0xdc00) {
        if (!take('\\') || !take('u')) refuse("half a character");
        const uint32_t low = hexadecimal();
        if (low < 0xdc00 || low > 0xdfff) refuse("half a character");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else if (code >= 0xdc00 && code < 0xe000) {
        refuse("half a character");
      }
      to_ = put_utf8(code, to_);
      return;
    }
    for (int i = 0; kFrom[i]; ++i) {
      if (kFrom[i] != c) continue;
      *to_++ = kTo[i];
      return;
    }
    refuse("an unknown escape");
  }
  uint32_t hexadecimal() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) refuse("a text ends early");
      const char c = *at_;
      if (c >= '0' && c <= '9') code = code * 16 + uint32_t(c - '0');
      else if (c >= 'a' && c <= 'f') code = code * 16 + uint32_t(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') code = code * 16 + uint32_t(c - 'A' + 10);
      else refuse("no hexadecimal digit");
    }
    return code;
  }

  std::vector<Json::Node>& nodes_;
  const char *begin_, *at_, *end_;
  char* to_;
};

// A text without its escapes is not longer than with them.
Json::Json(std::string_view source) : texts_(new char[source.size() + 1]) {
  nodes_.reserve(source.size() / 8 < kValues ? source.size() / 8 + 1 : kValues);
  Reader(*this, source).read();
}

Json::Kind Json::Value::kind() const { return json_->nodes_[index_].kind; }
bool Json::Value::boolean() const { return json_->nodes_[index_].count != 0; }
double Json::Value::number() const { return json_->nodes_[index_].number; }
std::string_view Json::Value::text() const {
  const Node& node = json_->nodes_[index_];
  return {node.text, node.count};
}
int64_t Json::Value::size() const { return json_->nodes_[index_].count; }
std::string_view Json::Value::source() const {
  const Node& node = json_->nodes_[index_];
  return {node.begin, size_t(node.stop - node.begin)};
}
bool Json::Value::whole(int64_t least, int64_t most, int64_t& number) const {
  if (kind() != Kind::number) return false;
  const double value = this->number();
  if (!(value >= double(least) && value <= double(most)) || value != double(int64_t(value)))
    return false;
  // Not 3.0: the files are written with whole numbers.
  for (const char c : source())
    if (c == '.' || c == 'e' || c == 'E') return false;
  number = int64_t(value);
  return true;
}

Json::Items::Items(Value list)
    : json_(list.json_), at_(list.index_ + 1), end_(json_->nodes_[list.index_].end) {}
bool Json::Items::next(Value& item) {
  if (at_ >= end_) return false;
  item = Value(json_, at_);
  at_ = json_->nodes_[at_].end;
  return true;
}

Json::Entries::Entries(Value object)
    : json_(object.json_), at_(object.index_ + 1), end_(json_->nodes_[object.index_].end) {}
bool Json::Entries::next(std::string_view& name, Value& value) {
  if (at_ >= end_) return false;
  name = Value(json_, at_).text();
  value = Value(json_, at_ + 1);
  at_ = json_->nodes_[at_ + 1].end;
  return true;
}

}  // namespace stgcn
