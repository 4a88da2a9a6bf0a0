// Exact streams: every layer of every network keeps the frames that it still needs.

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "causal.h"
#include "continual.h"
#include "memory.h"
#include "normalize.h"
#include "stream.h"
#include "team.h"

namespace stgcn {
namespace {

// Prepared frames that are collected before the networks see them.
constexpr int64_t kCollected = 8;

class ExactStream : public Stream {
 public:
  ExactStream(const Program& program, const pyg_stgcn::Kernels* kernels,
              const StreamOptions& options);

  void reset() override;
  int64_t delay() const override;
  int64_t push(const float* joints, int64_t frames, int channels, Message message) override;
  int64_t push_prepared(const float* x, int64_t frames, Message message) override;
  int64_t finish(Message message) override;
  bool features(float* features) const override;

 private:
  int64_t run(const float* x, int64_t frames);
  int64_t run_collected();
  bool is_complete() const;
  bool answers_at(int64_t frame) const;

  const Program& program_;
  Team team_{1};
  Machine machine_;
  CausalPreparation preparation_;
  std::vector<Continual> networks_;
  std::vector<float> collected_;
  int64_t waiting_ = 0;  // frames in `collected_`
  int64_t frames_ = 0;   // that the networks have seen
  bool prepared_ = false;
};

ExactStream::ExactStream(const Program& program, const pyg_stgcn::Kernels* kernels,
                         const StreamOptions& options)
    : program_(program),
      machine_{kernels, &team_},
      preparation_(program, options.height, options.width),
      collected_(size_t(kCollected * program.joints * program.channels)) {
  int64_t floats = 0;
  networks_.reserve(program.networks.size());
  for (const Network& network : program.networks) {
    networks_.emplace_back(program, network, options.window);
    floats += networks_.back().floats();
    if (floats > kMostFloats) throw std::runtime_error("a stream needs more than a gigabyte");
  }
}

void ExactStream::reset() {
  preparation_.reset();
  for (Continual& network : networks_) network.reset();
  waiting_ = frames_ = 0;
  prepared_ = false;
}

int64_t ExactStream::delay() const {
  int64_t delay = 0;
  for (const Continual& network : networks_) delay = std::max(delay, network.delay());
  return delay + (!prepared_ && has_motion(program_.input));
}

bool ExactStream::answers_at(int64_t frame) const {
  bool is_new = false;
  for (const Continual& network : networks_) {
    const int64_t since = frame - network.delay();
    if (since < 0) return false;
    is_new |= since % network.stride() == 0;
  }
  return is_new;
}

int64_t ExactStream::run(const float* x, int64_t frames) {
  for (Continual& network : networks_) network.push(machine_, x, frames);
  int64_t answers = 0;
  for (const int64_t end = frames_ + frames; frames_ < end; ++frames_)
    answers += answers_at(frames_);
  return answers;
}

int64_t ExactStream::run_collected() {
  const int64_t frames = waiting_;
  waiting_ = 0;
  return run(collected_.data(), frames);
}

int64_t ExactStream::push(const float* joints, int64_t frames, int channels, Message message) {
  const int64_t size = program_.joints * program_.channels;
  int64_t answers = 0;
  prepared_ = false;
  if (!preparation_.check(joints, frames, channels, message.text, message.size)) return -1;
  for (int64_t t = 0; t < frames; ++t) {
    const int made = preparation_.push(joints + t * program_.joints * channels, channels,
                                       collected_.data() + waiting_ * size, message.text,
                                       message.size);
    if (made > 0) ++waiting_;
    if (made < 0 || waiting_ == kCollected || t + 1 == frames) answers += run_collected();
    if (made < 0) return -1;
  }
  return answers;
}

int64_t ExactStream::push_prepared(const float* x, int64_t frames, Message message) {
  prepared_ = true;
  return check_prepared(program_, x, frames, message) ? run(x, frames) : -1;
}

bool ExactStream::is_complete() const {
  return std::all_of(networks_.begin(), networks_.end(),
                     [](const Continual& network) { return network.features().count() > 0; });
}

int64_t ExactStream::finish(Message message) {
  int64_t answers = 0;
  if (!prepared_) {
    const int made = preparation_.finish(collected_.data(), message.text, message.size);
    if (made < 0) return -1;
    waiting_ = made;
    answers = run_collected();
  }
  bool is_new = false;
  for (Continual& network : networks_) is_new |= network.finish(machine_) > 0;
  return answers + (is_new && is_complete());
}

bool ExactStream::features(float* features) const {
  if (!is_complete()) return false;
  std::fill_n(features, program_.features, 0.0f);
  for (size_t n = 0; n < networks_.size(); ++n)
    networks_[n].features().add_mean(program_.factors.data[n], features);
  return true;
}

}  // namespace

std::unique_ptr<Stream> open_exact_stream(const Program& program,
                                          const pyg_stgcn::Kernels* kernels,
                                          const StreamOptions& options) {
  return std::unique_ptr<Stream>(new ExactStream(program, kernels, options));
}

}  // namespace stgcn
