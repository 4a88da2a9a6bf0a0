// The frames of the views of a clip, drawn as NumPy's legacy generator draws them.
#pragma once

#include <stdint.h>

#include <vector>

namespace stgcn {

// numpy.random.RandomState: MT19937, seeded with one number.
class LegacyRandom {
 public:
  void seed(uint32_t seed);
  uint32_t next();
  // random_sample()
  double fraction();
  // A number from 0 to `most`, both included: a draw with more bits than that is thrown away.
  uint32_t up_to(uint32_t most);

 private:
  static constexpr int kSize = 624, kShift = 397;
  void refill();
  uint32_t state_[kSize];
  int place_ = kSize;
};

// sample_frames of pyg_stgcn/recognition/prepare.py, one view at a time.
class Sampler {
 public:
  Sampler(int64_t clip_frames, uint32_t seed);
  // A clip of so many frames, at least one, at most 2^31.
  void open(int64_t frames, int64_t views);
  // The frames of a view, `clip_frames` of them. They ascend, except that clips shorter than that
  // start again when they end. Fastest for one view after another.
  const int64_t* view(int64_t number);

 private:
  void draw();

  int64_t length_, frames_ = 1, views_ = 1;
  int64_t drawn_ = 0;  // views
  uint32_t seed_;
  LegacyRandom random_;
  std::vector<int32_t> order_;
  std::vector<int64_t> chosen_;
};

}  // namespace stgcn
