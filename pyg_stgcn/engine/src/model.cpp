#include "model.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "choose.h"
#include "stgcn.h"

namespace stgcn {
namespace {

constexpr int kMostThreads = 1024;

int checked_threads(int threads) {
  if (threads < 0 || threads > kMostThreads)
    throw std::runtime_error("threads: " + std::to_string(threads) + " is not from 1 to " +
                             std::to_string(kMostThreads));
  return threads;
}

}  // namespace

Classifier::Classifier(const Program& program)
    : program_(program), logits_(size_t(program.classes)) {}

void Classifier::logits(const float* features, float* logits) const {
  const int64_t count = program_.features;
  const float* weight = program_.head_weight.data;
  for (int64_t c = 0; c < program_.classes; ++c, weight += count) {
    // Several sums, which do not wait for each other.
    float sums[kWidth] = {};
    int64_t i = 0;
    for (; i + kWidth <= count; i += kWidth)
      for (int64_t l = 0; l < kWidth; ++l) sums[l] += weight[i + l] * features[i + l];
    float total = program_.head_bias.data[c];
    for (; i < count; ++i) total += weight[i] * features[i];
    for (const float sum : sums) total += sum;
    logits[c] = total;
  }
}

bool Classifier::add_probabilities(const float* features, double* probabilities) {
  logits(features, logits_.data());
  const float largest = *std::max_element(logits_.begin(), logits_.end());
  const auto power = [&](float logit) {
    return exp((double(logit) - double(largest)) / double(program_.temperature));
  };
  double total = 0;
  for (const float logit : logits_) total += power(logit);
  if (!isfinite(total)) return false;
  for (const float logit : logits_) *probabilities++ += power(logit) / total;
  return true;
}

}  // namespace stgcn

stgcn_model::stgcn_model(stgcn::File opened, int threads)
    : file(std::move(opened)),
      program(stgcn::read_program(file)),
      kernels(pyg_stgcn::kernels_of(
          pyg_stgcn::choose_instructions(getenv("PYG_STGCN_KERNELS")))),
      team(stgcn::checked_threads(threads)),
      preparation(program),
      classifier(program),
      person(size_t(program.features)),
      features(size_t(program.features)),
      probabilities(size_t(program.classes)) {
  int64_t floats = 0;
  networks.reserve(program.networks.size());
  for (const stgcn::Network& network : program.networks) {
    networks.emplace_back(program, network);
    floats = std::max(floats, networks.back().floats());
  }
  memory.reset(stgcn::new_floats(size_t(floats), true));
  input.reset(
      stgcn::new_floats(size_t(program.joints * program.input.frames * program.channels)));
}

int stgcn_model::fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(message, sizeof message, format, values);
  va_end(values);
  return STGCN_ERROR;
}

bool stgcn_model::set_frames(int64_t frames) {
  bool fits = frames >= 1 && frames <= program.input.frames;
  if (!fits)
    fail("x: %lld frames are not from 1 to %lld, those of a clip of the training",
         static_cast<long long>(frames), static_cast<long long>(program.input.frames));
  for (stgcn::ClipNetwork& network : networks) {
    if (!fits) break;
    fits = network.set_frames(frames);
    if (!fits)
      fail("x: %lld frames are too few for the layers of the model",
           static_cast<long long>(frames));
  }
  return fits;
}

void stgcn_model::run(const stgcn::Person& who, float* found) {
  std::fill_n(found, program.features, 0.0f);
  for (size_t n = 0; n < networks.size(); ++n)
    networks[n].run({kernels, &team}, who, memory.get(), program.factors.data[n], found);
}
