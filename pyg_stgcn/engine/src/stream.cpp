#include "stream.h"

#include <math.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "continual.h"
#include "refusals.h"

namespace stgcn {
namespace {

constexpr int64_t kMostWindow = 1 << 20;
// Frames from one answer of a sliding window to the next, as in evaluations.
constexpr int64_t kHop = 4;

int64_t in_range(int64_t number, int64_t standard, const char* name) {
  if (number < 0 || number > kMostWindow)
    throw std::runtime_error(std::string(name) + ": " + std::to_string(number) +
                             " frames are not in the range from 1 to " +
                             std::to_string(kMostWindow));
  return number == 0 ? standard : number;
}

}  // namespace

bool is_continual(const Program& program) {
  return std::all_of(program.networks.begin(), program.networks.end(), Continual::supports);
}

std::unique_ptr<Stream> open_stream(const Program& program, const pyg_stgcn::Kernels* kernels,
                                    const StreamOptions& options) {
  char message[256];
  if (!check_image_size(program.input, options.height, options.width, message, sizeof message))
    throw std::runtime_error(message);
  StreamOptions known = options;
  known.window = in_range(options.window, program.input.frames, "window");
  known.hop = in_range(options.hop, kHop, "hop");
  return (is_continual(program) ? open_exact_stream : open_sliding_stream)(program, kernels, known);
}

bool check_prepared(const Program& program, const float* x, int64_t frames, Message message) {
  const int64_t size = program.joints * program.channels;
  for (int64_t i = 0; i < frames * size; ++i)
    if (!isfinite(x[i]))
      return reject(message.text, message.size,
                    "x: channel %lld of joint %lld in frame %lld is not finite",
                    static_cast<long long>(i % program.channels),
                    static_cast<long long>(i % size / program.channels),
                    static_cast<long long>(i / size));
  return true;
}

}  // namespace stgcn
