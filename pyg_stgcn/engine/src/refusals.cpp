#include "refusals.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include <algorithm>

namespace stgcn {
namespace {

// Coordinates or scores so many standard deviations away from those of the training are in other
// units, and so are poses so many times smaller.
constexpr double kMaxDeviations = 50, kMaxShrinking = 50;

// The first joint that has a number that is NaN or infinite, and the number of such joints.
struct NotFinite {
  int64_t first = -1, count = 0;

  void add(int64_t joint) {
    if (count++ == 0) first = joint;
  }
};

bool reject_not_finite(const Program& program, const RawClip& clip, int64_t frame,
                       const NotFinite& found, const char* what, char* message, size_t size) {
  const int64_t joint = found.first % program.joints, at = found.first / program.joints;
  const char* name = size_t(joint) < program.joint_names.size()
                         ? program.joint_names[size_t(joint)].c_str()
                         : "?";
  return reject(message, size,
                "person %lld, frame %lld, joint %lld (%s): a %s that is NaN or infinite, the first "
                "of %lld; set missing joints to zero, or interpolate them",
                static_cast<long long>(at / clip.frames),
                static_cast<long long>(frame + at % clip.frames), static_cast<long long>(joint),
                name, what, static_cast<long long>(found.count));
}

}  // namespace

bool reject(char* message, size_t size, const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(message, size, format, values);
  va_end(values);
  return false;
}

bool check_channels(const Input& input, int channels, char* message, size_t size) {
  const int least = input.planar ? 2 : 3;
  if (channels == least || channels == least + 1) return true;
  return reject(message, size, "joints have %d channels, but the model reads %s; give %d or %d",
                channels,
                input.planar ? "x, y and perhaps a score" : "x, y, z and perhaps a confidence",
                least, least + 1);
}

bool check_finite(const Program& program, const RawClip& clip, int64_t frame, char* message,
                  size_t size) {
  const Input& input = program.input;
  const int axes = input.planar ? 2 : 3, channels = clip.channels;
  const int64_t count = clip.persons * clip.frames * program.joints;
  NotFinite scores, joints;
  const float* at = clip.joints;
  for (int64_t i = 0; i < count; ++i, at += channels) {
    // Zero for numbers, NaN for others.
    float sum = 0;
    for (int c = 0; c < channels; ++c) sum += at[c] * 0;
    if (sum == 0) continue;
    if (channels > axes && !isfinite(at[axes])) scores.add(i);
    // The coordinates of a joint without confidence are not read.
    if (!input.planar && channels > axes && !(at[axes] > 0)) continue;
    bool finite = true;
    for (int a = 0; a < axes; ++a) finite = finite && isfinite(at[a]);
    if (!finite) joints.add(i);
  }
  if (scores.count) return reject_not_finite(program, clip, frame, scores, "score", message, size);
  if (joints.count) return reject_not_finite(program, clip, frame, joints, "joint", message, size);
  return true;
}

bool check_image_size(const Input& input, float height, float width, char* message, size_t size) {
  if (!input.planar) {
    if (height == 0 && width == 0) return true;
    return reject(message, size,
                  "the size of an image is given, but the model reads 3-D joints; leave it out");
  }
  if (height > 0 && width > 0 && isfinite(height) && isfinite(width)) return true;
  return reject(message, size,
                "the image has the size %g x %g, but the model reads 2-D joints in pixels; give its "
                "height and width",
                double(height), double(width));
}

bool check_pixels(float largest, float height, float width, char* message, size_t size) {
  if (!(largest > 0 && largest <= 1.5f && std::min(height, width) > 6)) return true;
  return reject(message, size,
                "all joints lie within 1.5 pixels of the corner of an image of %g x %g; give pixels, "
                "or the size 1 x 1 for fractions of the image",
                double(height), double(width));
}

Units::Units(const Program& program)
    : input_(program.input),
      joints_(program.joints),
      channels_(program.channels),
      axes_(program.input.planar ? 2 : 3),
      deviations_(size_t(program.channels)) {
  clear();
  const Input::Stream first = input_.streams[0];
  if (!is_known() || (first != Input::Stream::joint && first != Input::Stream::bone)) return;
  double sum = 0;
  for (int64_t v = 0; v < joints_; ++v) {
    for (int64_t c = 0; c < axes_; ++c) {
      const double mean = input_.mean.data[v * channels_ + c], std = input_.std.data[v * channels_ + c];
      sum += mean * mean + std * std;
    }
  }
  usual_size_ = sqrt(sum / double(joints_ * axes_));
}

void Units::clear() {
  std::fill(deviations_.begin(), deviations_.end(), Deviations{0, 0, 0, INFINITY});
  count_ = 0;
  squares_ = 0;
}

void Units::add(const float* x, const uint8_t* shown) {
  for (int64_t v = 0; v < joints_; ++v, x += channels_) {
    if (!shown[v]) continue;
    ++count_;
    for (int64_t c = 0; c < channels_; ++c) {
      const double mean = input_.mean.data[v * channels_ + c];
      const double deviation = fabs(double(x[c]) - mean) / double(input_.std.data[v * channels_ + c]);
      Deviations& all = deviations_[size_t(c)];
      all.sum += deviation;
      if (deviation > kMaxDeviations) {
        ++all.over;
        all.above = std::min(all.above, deviation);
      } else {
        all.below = std::max(all.below, deviation);
      }
    }
    for (int a = 0; a < axes_; ++a) squares_ += double(x[a]) * double(x[a]);
  }
}

bool Units::check(char* message, size_t size) const {
  if (!is_known() || count_ == 0) return true;
  for (int64_t c = 0; c < channels_; ++c) {
    const Deviations& all = deviations_[size_t(c)];
    const bool even = 2 * all.over == count_ && all.below + all.above > 2 * kMaxDeviations;
    if (2 * all.over > count_ || even)
      return reject(message, size,
                    "channel %lld is %.3g standard deviations away from the clips of the training, on "
                    "average; give coordinates in their units, pixels with the right size of the "
                    "image, and scores as in the training, from 0 to 1",
                    static_cast<long long>(c), all.sum / double(count_));
  }
  const double own = sqrt(squares_ / double(count_ * axes_));
  if (0 < own * kMaxShrinking && own * kMaxShrinking < usual_size_)
    return reject(message, size,
                  "the pose is %.3g times smaller than the clips of the training; give coordinates in "
                  "their units",
                  usual_size_ / own);
  return true;
}

}  // namespace stgcn
