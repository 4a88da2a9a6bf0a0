#include "sample.h"

#include <algorithm>
#include <utility>

namespace stgcn {

void LegacyRandom::seed(uint32_t seed) {
  for (int i = 0; i < kSize; ++i) {
    state_[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + uint32_t(i) + 1;
  }
  place_ = kSize;
}

void LegacyRandom::refill() {
  for (int i = 0; i < kSize; ++i) {
    const uint32_t joined =
        (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
    state_[i] = state_[(i + kShift) % kSize] ^ (joined >> 1) ^ (joined & 1 ? 0x9908b0dfu : 0u);
  }
  place_ = 0;
}

uint32_t LegacyRandom::next() {
  if (place_ == kSize) refill();
  uint32_t y = state_[place_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double LegacyRandom::fraction() {
  const uint32_t high = next() >> 5, low = next() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

uint32_t LegacyRandom::up_to(uint32_t most) {
  if (most == 0) return 0;
  uint32_t mask = most;
  for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
  for (;;) {
    const uint32_t value = next() & mask;
    if (value <= most) return value;
  }
}

Sampler::Sampler(int64_t clip_frames, uint32_t seed)
    : length_(clip_frames), seed_(seed), order_(clip_frames + 1), chosen_(clip_frames) {
  random_.seed(seed);
}

void Sampler::open(int64_t frames, int64_t views) {
  frames_ = frames;
  views_ = views;
  drawn_ = 0;
  random_.seed(seed_);
}

const int64_t* Sampler::view(int64_t number) {
  if (drawn_ > number + 1) open(frames_, views_);
  while (drawn_ <= number) draw();
  return chosen_.data();
}

void Sampler::draw() {
  const int64_t view = drawn_++;
  // PYSKL draws the fraction of the clip to use, even where it can only be all of it.
  random_.fraction();
  if (frames_ < length_) {
    const int64_t start = frames_ < views_ ? view : view * frames_ / views_;
    for (int64_t t = 0; t < length_; ++t) chosen_[t] = (start + t) % frames_;
  } else if (frames_ < 2 * length_) {
    // The first ones of a permutation are skipped.
    for (int64_t i = 0; i <= length_; ++i) order_[i] = int32_t(i);
    for (int64_t i = length_; i > 0; --i)
      std::swap(order_[i], order_[random_.up_to(uint32_t(i))]);
    const auto skipped = order_.begin() + (frames_ - length_);
    std::sort(order_.begin(), skipped);
    auto next = order_.begin();
    for (int64_t t = 0; t < length_; ++t) {
      while (next != skipped && *next <= t) ++next;
      chosen_[t] = t + (next - order_.begin());
    }
  } else {
    for (int64_t t = 0; t < length_; ++t) {
      const int64_t begin = t * frames_ / length_, end = (t + 1) * frames_ / length_;
      chosen_[t] = begin + random_.up_to(uint32_t(end - begin - 1));
    }
  }
}

}  // namespace stgcn
