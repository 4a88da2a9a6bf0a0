// Opens mutated files of programs, and classifies clips and streams with those that are accepted.
//
//   mutate FIRST COUNT FILE...
//
// Mutation n is the same in every call with the same files. Sanitizers end the program at a fault.

#include <stdint.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#include <sys/time.h>

#include "stgcn.h"

namespace {

using Rng = std::mt19937;

int64_t mutation = 0;

// Of the processor, for a mutation.
constexpr long kSeconds = 30;
constexpr int kFrames = 256;

void name_mutation() {
  std::printf("mutation %lld\n", (long long)mutation);
  std::fflush(stdout);
}

int below(Rng& rng, int64_t limit) { return limit > 0 ? int(rng() % uint64_t(limit)) : 0; }

bool often(Rng& rng) { return below(rng, 10) > 0; }

struct File {
  std::string header, data;  // JSON and tensors
};

File split(const std::string& content) {
  uint64_t size = 0;
  for (int i = 7; i >= 0; --i) size = size << 8 | uint8_t(content[i]);
  return {content.substr(8, size), content.substr(8 + size)};
}

std::string read(const char* path) {
  std::string content;
  std::FILE* file = std::fopen(path, "rb");
  if (!file) std::exit((std::fprintf(stderr, "%s: cannot be opened\n", path), 2));
  char part[4096];
  while (const size_t count = std::fread(part, 1, sizeof part, file)) content.append(part, count);
  std::fclose(file);
  return content;
}

// ---- The checksum, so that mutations come further than it ----

uint32_t crc32(const std::string& text, uint32_t crc) {
  crc = ~crc;
  for (const char c : text) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

void correct_checksum(File& file) {
  const std::string program = "\"program\":\"", checksum = "\"crc32\":\"";
  const size_t begin = file.header.find(program), old = file.header.find(checksum);
  if (begin == std::string::npos || old == std::string::npos) return;
  std::string text;
  for (size_t i = begin + program.size(); i < file.header.size() && file.header[i] != '"'; ++i) {
    if (file.header[i] == '\\' && i + 1 < file.header.size()) ++i;
    text += file.header[i];
  }
  const size_t first = old + checksum.size(), last = file.header.find('"', first);
  if (last == std::string::npos) return;
  const std::string value = std::to_string(crc32(file.data, crc32(text, 0)));
  file.header.replace(first, last - first, value);
}

// ---- Mutations ----

void flip_bits(Rng& rng, std::string& text) {
  for (int n = 1 + below(rng, 4); n > 0 && !text.empty(); --n)
    text[below(rng, text.size())] ^= char(1 << below(rng, 8));
}

void splice(Rng& rng, std::string& text, const std::string& other) {
  const size_t at = below(rng, text.size() + 1), from = below(rng, other.size() + 1);
  const size_t length = 1 + below(rng, often(rng) ? 16 : 400);
  const size_t cut = below(rng, 3) ? length : below(rng, 20);
  text.replace(at, std::min(cut, text.size() - at), other.substr(from, length));
}

// The place and length of a random number in the header.
std::pair<size_t, size_t> find_number(Rng& rng, const std::string& text) {
  size_t at = text.find_first_of("0123456789", below(rng, text.size() + 1));
  if (at == std::string::npos) at = text.find_first_of("0123456789");
  if (at == std::string::npos) return {0, 0};
  const size_t end = text.find_first_not_of("0123456789", at);
  return {at, (end == std::string::npos ? text.size() : end) - at};
}

void change_number(Rng& rng, std::string& text) {
  static const char* const others[] = {
      "0", "1", "-1", "2", "3", "8", "16", "48", "255", "4096", "65536", "2147483647", "2147483648",
      "4294967296", "9223372036854775807", "9223372036854775808", "1e30", "-1e999", "0.5", "null",
      "true", "[]", "{}", "[[[[[[[[", "\\\"a\\\"", "", "-", "1e", "01"};
  const auto [at, length] = find_number(rng, text);
  if (!length) return;
  std::string value = others[below(rng, sizeof others / sizeof *others)];
  if (below(rng, 2)) {
    const long long old = std::strtoll(text.substr(at, std::min<size_t>(length, 9)).c_str(), nullptr, 10);
    const long long near[] = {old - 1, old + 1, 2 * old, old + 16, old * 16, -old};
    value = std::to_string(near[below(rng, 6)]);
  }
  text.replace(at, length, value);
}

void swap_numbers(Rng& rng, std::string& text) {
  auto one = find_number(rng, text), other = find_number(rng, text);
  if (one.first > other.first) std::swap(one, other);
  if (one.first == other.first || !one.second) return;
  const std::string a = text.substr(one.first, one.second);
  const std::string b = text.substr(other.first, other.second);
  text.replace(other.first, other.second, a);
  text.replace(one.first, one.second, b);
}

void change_word(Rng& rng, std::string& text) {
  static const char* const words[] = {
      "conv", "graph_conv", "maximum", "add", "mean_joint", "spread_joint", "similarity",
      "channel_graph", "group_graph", "attention", "F32", "I32", "F64", "I64", "joint", "bone",
      "joint-motion", "bone-motion", "channels", "halo", "floats", "in", "out", "residual", "graph",
      "stride", "span", "padding", "block", "groups", "values", "bias", "starts", "offsets",
      "graph_starts", "edges", "ell_starts", "ell_sources", "factors", "true", "false", "at"};
  const int count = sizeof words / sizeof *words;
  for (int tries = 0; tries < 20; ++tries) {
    const std::string word = words[below(rng, count)];
    size_t at = text.find(word, below(rng, text.size() + 1));
    if (at == std::string::npos) continue;
    text.replace(at, word.size(), words[below(rng, count)]);
    return;
  }
}

// Removes or repeats an entry, from a comma or bracket to the next.
void change_entry(Rng& rng, std::string& text) {
  const size_t begin = text.find_first_of(",[{", below(rng, text.size() + 1));
  if (begin == std::string::npos) return;
  const size_t end = text.find_first_of(below(rng, 2) ? ",]}" : "]}", begin + 1);
  if (end == std::string::npos) return;
  const std::string part = text.substr(begin, end - begin);
  if (below(rng, 2))
    text.insert(end, part);
  else
    text.erase(begin, part.size());
}

void change_value(Rng& rng, std::string& data) {
  static const uint32_t others[] = {0, 1, 2, 15, 16, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1u << 20,
                                    0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1u << 31 | 1};
  if (data.size() < 4) return;
  const size_t at = 4 * size_t(below(rng, data.size() / 4));
  uint32_t value;
  std::memcpy(&value, &data[at], 4);
  const uint32_t near[] = {value + 1, value - 1, value + 16, value - 16, value * 2, ~value};
  value = below(rng, 2) ? near[below(rng, 6)] : others[below(rng, 14)];
  std::memcpy(&data[at], &value, 4);
}

std::string mutate(Rng& rng, File file, const File& other) {
  for (int n = 1 + below(rng, 3) * below(rng, 2); n > 0; --n) {
    switch (below(rng, 12)) {
      case 0: flip_bits(rng, below(rng, 2) ? file.header : file.data); break;
      case 1: splice(rng, file.header, other.header); break;
      case 2: splice(rng, file.data, other.data); break;
      case 3: swap_numbers(rng, file.header); break;
      case 4: change_word(rng, file.header); break;
      case 5: change_entry(rng, file.header); break;
      case 6: case 7: case 8: change_value(rng, file.data); break;
      default: change_number(rng, file.header);
    }
  }
  if (often(rng)) correct_checksum(file);
  uint64_t size = file.header.size();
  if (often(rng)) {
    file.header.append((64 - (8 + size) % 64) % 64, ' ');
    size = file.header.size();
  } else if (below(rng, 2)) {
    size += uint64_t(below(rng, 200)) - 100;
  }
  std::string content(8, '\0');
  for (int i = 0; i < 8; ++i) content[i] = char(size >> 8 * i);
  content += file.header + file.data;
  if (!often(rng)) content.resize(below(rng, content.size()));
  return content;
}

// ---- Use ----

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("mutation %lld: %s\n", (long long)mutation, what);
  std::abort();
}

void expect_probabilities(const std::vector<float>& found) {
  double sum = 0;
  for (const float value : found) sum += value;
  expect(std::fabs(sum - 1) < 1e-3, "the probabilities do not have the sum of one");
}

std::vector<float> noise(Rng& rng, int64_t count, float size) {
  std::vector<float> found(count);
  for (float& value : found) value = size * (float(rng() % 2001) / 1000 - 1);
  return found;
}

int accepted = 0, answered = 0;

void use_clip(Rng& rng, stgcn_model* model) {
  const int joints = stgcn_num_joints(model), classes = stgcn_num_classes(model);
  const bool planar = stgcn_is_planar(model);
  const int channels = planar ? 2 : 3, persons = 1 + below(rng, 3), frames = 1 + below(rng, 20);
  const float side = planar ? 200.f : 0.f;
  std::vector<float> found(classes);
  const auto clip = noise(rng, int64_t(persons) * frames * joints * channels, planar ? 100.f : 1.f);
  const int result = stgcn_classify(model, clip.data(), persons, frames, channels, side, side,
                                    1 + below(rng, 2), found.data());
  if (result > 0) {
    ++answered;
    expect_probabilities(found);
  }
  if (result < 0) expect(*stgcn_error(model), "an error has no message");
  const int length = 1 + below(rng, std::min(stgcn_clip_frames(model), 16));
  const auto x = noise(rng, int64_t(persons) * joints * length * stgcn_num_channels(model), 1);
  std::vector<float> features(int64_t(persons) * stgcn_num_features(model));
  stgcn_logits(model, x.data(), nullptr, persons, length, 1, found.data());
  stgcn_features(model, x.data(), nullptr, persons, length, features.data());
}

void use_stream(Rng& rng, stgcn_model* model) {
  const bool planar = stgcn_is_planar(model);
  const int joints = stgcn_num_joints(model), channels = planar ? 3 : 4;
  const float side = planar ? 200.f : 0.f;
  char message[256] = "";
  stgcn_stream* stream =
      stgcn_stream_open(model, below(rng, 20), below(rng, 3), side, side, message, sizeof message);
  if (!stream) return expect(*message, "an error of a stream has no message");
  std::vector<float> found(stgcn_num_classes(model)), features(stgcn_num_features(model));
  for (int round = 0; round < 2; ++round) {
    for (int n = 0; n < 6; ++n) {
      const int frames = 1 + below(rng, 5);
      const auto joint = noise(rng, int64_t(frames) * joints * channels, planar ? 100.f : 1.f);
      const int result = stgcn_stream_push(stream, joint.data(), frames, channels, found.data());
      if (result > 0) expect_probabilities(found);
      if (result < 0) expect(*stgcn_stream_error(stream), "an error has no message");
    }
    if (stgcn_stream_features(stream, features.data()) > 0)
      stgcn_classify_features(model, features.data(), found.data());
    if (stgcn_stream_finish(stream, found.data()) > 0) expect_probabilities(found);
    stgcn_stream_reset(stream);
  }
  stgcn_stream_close(stream);
}

void use(Rng& rng, const std::string& content) {
  // A copy without spare room, so that a sanitizer sees what is read after its end.
  const std::unique_ptr<char[]> bytes(new char[content.size()]);
  std::memcpy(bytes.get(), content.data(), content.size());
  char message[256] = "";
  stgcn_model* model =
      stgcn_open_bytes(bytes.get(), content.size(), 1, message, sizeof message);
  if (!model) return expect(*message, "an error has no message");
  ++accepted;
  // Long clips are slow by right.
  if (stgcn_clip_frames(model) <= kFrames) {
    use_clip(rng, model);
    use_stream(rng, model);
  }
  stgcn_close(model);
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) return 2;
  std::vector<File> files;
  for (int i = 3; i < count; ++i) files.push_back(split(read(words[i])));
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(name_mutation);
#endif
  std::signal(SIGVTALRM, [](int) {
    name_mutation();
    std::_Exit(3);
  });
  const int64_t first = std::atoll(words[1]), last = first + std::atoll(words[2]);
  for (mutation = first; mutation < last; ++mutation) {
    Rng rng{uint32_t(mutation)};
    const itimerval limit = {{0, 0}, {kSeconds, 0}};
    setitimer(ITIMER_VIRTUAL, &limit, nullptr);
    const File& file = files[below(rng, files.size())];
    use(rng, mutate(rng, file, files[below(rng, files.size())]));
  }
  std::printf("%lld mutations, %d opened, %d clips classified\n", (long long)(last - first), accepted,
              answered);
  return 0;
}
