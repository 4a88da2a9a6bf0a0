#include "normalize.h"

#include <math.h>

#include <algorithm>

#include "presence.h"

namespace stgcn {
namespace {

using Matrix = double[3][3];

void multiply(const Matrix& left, const Matrix& right, Matrix& out) {
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      out[i][j] = left[i][0] * right[0][j] + left[i][1] * right[1][j] + left[i][2] * right[2][j];
}

// The rotation that turns a vector into the direction of an axis, by Rodrigues' formula; false if
// there is none to do.
bool rotation_between(const double* vector, int axis, Matrix& rotation) {
  constexpr double kTiny = 1e-6;
  const double x = vector[0], y = vector[1], z = vector[2];
  const double across[3] = {axis == 0 ? 0 : axis == 1 ? -z : y, axis == 0 ? z : axis == 1 ? 0 : -x,
                            axis == 0 ? -y : axis == 1 ? x : 0};
  const double sum = fabs(across[0]) + fabs(across[1]) + fabs(across[2]);
  if (std::min(sum, fabs(x) + fabs(y) + fabs(z)) < kTiny) return false;
  const double cosine = vector[axis] / sqrt(x * x + y * y + z * z);
  const double angle = acos(std::max(-1.0, std::min(1.0, cosine)));
  if (angle < kTiny) return false;
  const double length =
      sqrt(across[0] * across[0] + across[1] * across[1] + across[2] * across[2]);
  const double a = across[0] / length, b = across[1] / length, c = across[2] / length;
  const Matrix cross = {{0, -c, b}, {c, 0, -a}, {-b, a, 0}};
  Matrix twice;
  multiply(cross, cross, twice);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      rotation[i][j] =
          (i == j) + (sin(angle) * cross[i][j] + (1 - cos(angle)) * twice[i][j]);
  return true;
}

bool is_bone(Input::Stream stream) {
  return stream == Input::Stream::bone || stream == Input::Stream::bone_motion;
}

bool is_motion(Input::Stream stream) {
  return stream == Input::Stream::joint_motion || stream == Input::Stream::bone_motion;
}

}  // namespace

bool has_motion(const Input& input) {
  return std::any_of(input.streams.begin(), input.streams.end(), is_motion);
}

void Placing::center(const float* joint, bool shown, double* out) const {
  for (int a = 0; a < 3; ++a) out[a] = ((shown ? double(joint[a]) : 0.0) - origin[a]) * shown;
}

double Placing::distance(const float* start, const float* end) const {
  double from[3], to[3];
  center(start, true, from);
  center(end, true, to);
  const double x = from[0] - to[0], y = from[1] - to[1], z = from[2] - to[2];
  return sqrt(x * x + y * y + z * z);
}

void Placing::align(const float* start, const float* end, int axis) {
  double from[3], to[3], direction[3];
  center(start, true, from);
  center(end, true, to);
  for (int i = 0; i < 3; ++i)
    direction[i] = rotation[i][0] * (to[0] - from[0]) + rotation[i][1] * (to[1] - from[1]) +
                   rotation[i][2] * (to[2] - from[2]);
  Matrix turn, turned;
  if (!rotation_between(direction, axis, turn)) return;
  multiply(turn, rotation, turned);
  std::copy_n(&turned[0][0], 9, &rotation[0][0]);
}

void Placing::apply(const float* joint, bool shown, float* out) const {
  double point[3];
  center(joint, shown, point);
  for (int a = 0; a < 3; ++a) {
    const double turned =
        point[0] * rotation[a][0] + point[1] * rotation[a][1] + point[2] * rotation[a][2];
    out[a] = float(turned / size);
  }
}

void normalize_in_plane(const Input& input, int64_t joints, int channels, float height, float width,
                        const float* frame, uint8_t* shown, float* x) {
  const float half[2] = {width / 2, height / 2};
  for (int64_t v = 0; v < joints; ++v, frame += channels) {
    const float score = score_in_plane(frame, channels);
    shown[v] = shown[v] && score > input.score_threshold;
    const float factor = shown[v] ? 1.0f : 0.0f;
    for (int a = 0; a < 2; ++a) {
      float position = (frame[a] - half[a]) / half[a] * factor;
      if (input.fractions) position = (position + 1.0f) / 2.0f * factor;
      *x++ = position;
    }
    if (input.scored) *x++ = score;
  }
}

void normalize_in_space(const Placing& placing, int64_t joints, int channels, const float* frame,
                        const uint8_t* shown, float* x) {
  for (int64_t v = 0; v < joints; ++v, frame += channels)
    placing.apply(position_in_space(frame, channels), shown[v], x + v * 3);
}

void write_streams(const Input& input, int64_t joints, Pose now, Pose next, float* out,
                   int64_t step) {
  const int64_t channels = joint_channels(input);
  const auto is_score = [&](int64_t c) { return input.scored && c == 2; };
  // End less start, zero where not both are shown; of scores their mean.
  const auto difference = [](float end, float start, bool both, bool score) {
    return score ? (end + start) / 2 : both ? end - start : 0.0f;
  };
  for (const Input::Stream stream : input.streams) {
    for (int64_t v = 0; v < joints; ++v) {
      const int64_t parent = is_bone(stream) ? input.parents[v] : v;
      const auto value = [&](Pose pose, int64_t c) {
        const float* x = pose.x + c;
        if (!is_bone(stream)) return x[v * channels];
        const bool both = pose.shown[v] && pose.shown[parent];
        return difference(x[v * channels], x[parent * channels], both, is_score(c));
      };
      float* to = out + v * step;
      if (!is_motion(stream)) {
        for (int64_t c = 0; c < channels; ++c) to[c] = value(now, c);
      } else if (!next.x) {
        for (int64_t c = 0; c < channels; ++c) to[c] = 0;
      } else {
        const bool both = now.shown[v] && now.shown[parent] && next.shown[v] && next.shown[parent];
        for (int64_t c = 0; c < channels; ++c)
          to[c] = difference(value(next, c), value(now, c), both, is_score(c));
      }
    }
    out += channels;
  }
}

}  // namespace stgcn
