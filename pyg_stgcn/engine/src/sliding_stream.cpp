// Streams of networks that see whole clips: a window of frames that slides, a clip at every answer.

#include <string.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory.h"
#include "network.h"
#include "prepare.h"
#include "refusals.h"
#include "stream.h"
#include "team.h"

namespace stgcn {
namespace {

// Channels of a raw joint at most.
constexpr int64_t kRawChannels = 4;

class SlidingStream : public Stream {
 public:
  SlidingStream(const Program& program, const pyg_stgcn::Kernels* kernels,
                const StreamOptions& options);

  void reset() override;
  int64_t delay() const override { return 0; }
  int64_t push(const float* joints, int64_t frames, int channels, Message message) override;
  int64_t push_prepared(const float* x, int64_t frames, Message message) override;
  int64_t finish(Message message) override;
  bool features(float* features) const override;

 private:
  int64_t add(const float* frames, int64_t count, Message message);
  void append(const float* frames, int64_t count);
  int64_t held() const { return std::min(seen_, options_.window); }
  int64_t answer(Message message);
  int64_t answer_raw(int64_t frames, Message message);
  int64_t answer_prepared(int64_t frames, Message message);
  bool run(const Person& person, float factor, Message message);

  const Program& program_;
  const StreamOptions options_;
  Team team_{1};
  Machine machine_;
  Preparation preparation_;
  std::vector<ClipNetwork> networks_;
  FloatMemory memory_;
  std::vector<float> input_;    // of a person, [joints, frames, channels]
  std::vector<float> window_;   // of twice as many frames: they move seldom
  int64_t end_ = 0;             // frames in it
  int64_t seen_ = 0, answered_ = 0;  // frames: all, and those before the last answer
  int channels_ = 0;            // of a joint in the window; 0 before the first frame
  bool prepared_ = false;
  std::vector<float> features_;
  bool any_ = false;            // whether they are those of an answer
};

SlidingStream::SlidingStream(const Program& program, const pyg_stgcn::Kernels* kernels,
                             const StreamOptions& options)
    : program_(program),
      options_(options),
      machine_{kernels, &team_},
      preparation_(program),
      input_(size_t(program.joints * program.input.frames * program.channels)),
      features_(size_t(program.features)) {
  int64_t floats = 0;
  for (const Network& network : program.networks) {
    networks_.emplace_back(program, network);
    floats = std::max(floats, networks_.back().floats());
  }
  memory_.reset(new_floats(size_t(floats)));
  const int64_t frame = program.joints * std::max(kRawChannels, program.channels);
  if (2 * options.window > kMostFloats / frame)
    throw std::runtime_error("a window of " + std::to_string(options.window) +
                             " frames needs more than a gigabyte");
  window_.resize(size_t(2 * options.window * frame));
}

void SlidingStream::reset() {
  end_ = seen_ = answered_ = 0;
  channels_ = 0;
  any_ = false;
}

int64_t SlidingStream::push(const float* joints, int64_t frames, int channels, Message message) {
  const RawClip clip = {joints, 1, frames, channels, options_.height, options_.width};
  if (!check_channels(program_.input, channels, message.text, message.size) ||
      !check_finite(program_, clip, seen_, message.text, message.size))
    return -1;
  if (channels_ != 0 && channels_ != channels) {
    reject(message.text, message.size, "frames: joints of %d channels after joints of %d", channels,
           channels_);
    return -1;
  }
  prepared_ = false;
  channels_ = channels;
  return add(joints, frames, message);
}

int64_t SlidingStream::push_prepared(const float* x, int64_t frames, Message message) {
  if (!check_prepared(program_, x, frames, message)) return -1;
  if (options_.window > program_.input.frames) {
    reject(message.text, message.size,
           "x: this model sees windows of at most %lld prepared frames, not %lld; open the stream "
           "with a shorter window, or push raw frames",
           static_cast<long long>(program_.input.frames), static_cast<long long>(options_.window));
    return -1;
  }
  prepared_ = true;
  channels_ = int(program_.channels);
  return add(x, frames, message);
}

// The answers before the last one are not computed: nobody can see them.
int64_t SlidingStream::add(const float* frames, int64_t count, Message message) {
  const int64_t total = seen_ + count, first = options_.window, hop = options_.hop;
  // Answers after so many frames.
  const auto answers = [&](int64_t number) {
    return number < first ? 0 : (number - first) / hop + 1;
  };
  const int64_t due = answers(total) - answers(seen_);
  const int64_t before = due > 0 ? first + (answers(total) - 1) * hop - seen_ : 0;
  append(frames, before);
  const int64_t found = due > 0 ? answer(message) : 0;
  append(frames + before * program_.joints * channels_, count - before);
  return found > 0 ? due : found;
}

void SlidingStream::append(const float* frames, int64_t count) {
  if (count == 0) return;
  const int64_t size = program_.joints * channels_;
  seen_ += count;
  // Only those in the window stay.
  if (count > options_.window) {
    frames += (count - options_.window) * size;
    count = options_.window;
  }
  if (end_ + count > 2 * options_.window) {
    const int64_t kept = std::min(end_, options_.window - count);
    memmove(window_.data(), window_.data() + (end_ - kept) * size,
            size_t(kept * size) * sizeof(float));
    end_ = kept;
  }
  memcpy(window_.data() + end_ * size, frames, size_t(count * size) * sizeof(float));
  end_ += count;
}

// Returns the number of persons that the window shows, or -1.
int64_t SlidingStream::answer(Message message) {
  answered_ = seen_;
  std::fill(features_.begin(), features_.end(), 0.0f);
  const int64_t persons =
      prepared_ ? answer_prepared(held(), message) : answer_raw(held(), message);
  any_ = persons > 0;
  return persons;
}

int64_t SlidingStream::answer_raw(int64_t frames, Message message) {
  const float* first = window_.data() + (end_ - frames) * program_.joints * channels_;
  const RawClip clip = {first, 1, frames, channels_, options_.height, options_.width};
  if (!preparation_.open(clip, 1, message.text, message.size)) return -1;
  const int64_t persons = preparation_.persons(), length = program_.input.frames;
  for (int64_t p = 0; p < persons; ++p) {
    preparation_.fill(p, 0, input_.data(), length * program_.channels, program_.channels);
    const Person person = {input_.data(), length * program_.channels, program_.channels, length, p};
    if (!run(person, 1 / float(persons), message)) return -1;
  }
  return persons;
}

int64_t SlidingStream::answer_prepared(int64_t frames, Message message) {
  const int64_t size = program_.joints * program_.channels;
  const float* first = window_.data() + (end_ - frames) * size;
  return run({first, program_.channels, size, frames, 0}, 1, message) ? 1 : -1;
}

bool SlidingStream::run(const Person& person, float factor, Message message) {
  for (size_t n = 0; n < networks_.size(); ++n) {
    if (!networks_[n].set_frames(person.frames))
      return reject(message.text, message.size, "%lld frames are too few for the layers of the model",
                    static_cast<long long>(person.frames));
    networks_[n].run(machine_, person, memory_.get(), factor * program_.factors.data[n],
                     features_.data());
  }
  return true;
}

int64_t SlidingStream::finish(Message message) {
  if (seen_ == answered_) return 0;
  const int64_t persons = answer(message);
  return persons > 0 ? 1 : persons;
}

bool SlidingStream::features(float* features) const {
  if (any_) std::copy(features_.begin(), features_.end(), features);
  return any_;
}

}  // namespace

std::unique_ptr<Stream> open_sliding_stream(const Program& program,
                                            const pyg_stgcn::Kernels* kernels,
                                            const StreamOptions& options) {
  return std::unique_ptr<Stream>(new SlidingStream(program, kernels, options));
}

}  // namespace stgcn
