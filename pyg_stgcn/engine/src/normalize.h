// Raw joints to normalised ones, and those to the streams of a model.
#pragma once

#include <stdint.h>

#include "program.h"

namespace stgcn {

// The place of the main person in space: their root, the rotation that turns their spine along z
// and their shoulders along x, and the mean length of their bones.
struct Placing {
  double origin[3] = {0, 0, 0};
  double rotation[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  double size = 1;

  // Position relative to the origin; of a missing joint zero.
  void center(const float* joint, bool shown, double* out) const;
  // The distance of two joints, and a further turn that makes their direction that of an axis.
  double distance(const float* start, const float* end) const;
  void align(const float* start, const float* end, int axis);
  void apply(const float* joint, bool shown, float* out) const;
};

// Channels of a normalised joint: two or three, or x, y and a score.
inline int64_t joint_channels(const Input& input) {
  return input.planar && !input.scored ? 2 : 3;
}

// Whether a frame of the input needs the one that follows.
bool has_motion(const Input& input);

// Normalises the joints of a 2-D frame, to x [joints, joint_channels]; those whose score is too low
// are hidden: `shown` changes.
void normalize_in_plane(const Input& input, int64_t joints, int channels, float height, float width,
                        const float* frame, uint8_t* shown, float* x);
void normalize_in_space(const Placing& placing, int64_t joints, int channels, const float* frame,
                        const uint8_t* shown, float* x);

// Normalised joints of a frame, and whether they are shown.
struct Pose {
  const float* x;
  const uint8_t* shown;
};

// The streams of a frame: channel c of joint v at out[v * step + c]. `next` is the frame that follows,
// whose x is null after the last one: motion is zero.
void write_streams(const Input& input, int64_t joints, Pose now, Pose next, float* out,
                   int64_t step);

}  // namespace stgcn
