// The present joints of raw poses.
//
// In the plane joints at (0, 0) are missing, and those without a score unless no joint has one. In
// space joints at the origin are missing, except for a joint of the trunk that poses are relative to,
// in all frames or in one.
#pragma once

#include <stdint.h>

#include <vector>

#include "program.h"

namespace stgcn {

// A raw clip as the caller has it.
struct RawClip {
  const float* joints = nullptr;  // [persons, frames, joints, channels]
  int64_t persons = 0, frames = 0;
  int channels = 0;
  float height = 0, width = 0;  // of the image in pixels, in 2-D; 0 in 3-D
};

// Score of a joint of a raw 2-D pose: 1 if it is not given.
inline float score_in_plane(const float* joint, int channels) {
  if (channels > 2) return joint[2];
  return joint[0] != 0 || joint[1] != 0 ? 1.0f : 0.0f;
}

inline bool is_nonzero_in_plane(const float* joint) { return joint[0] != 0 || joint[1] != 0; }

inline bool is_nonzero_in_space(const float* joint, int channels) {
  return (channels < 4 || joint[3] > 0) && (joint[0] != 0 || joint[1] != 0 || joint[2] != 0);
}

// The position of a joint of a raw 3-D pose: without confidence it is the origin.
inline const float* position_in_space(const float* joint, int channels) {
  static constexpr float kOrigin[3] = {0, 0, 0};
  return channels < 4 || joint[3] > 0 ? joint : kOrigin;
}

// The box around the joints of a 3-D frame that are not at the origin.
struct Box {
  double extent = 0;  // its longest side
  double gap = 0;     // from the box to the origin
};
Box box_around(const float* frame, int64_t joints, int channels);
double distance_to_origin(const float* joint);

// How far from the box around the other joints the origin may lie to be a position, and how far a
// joint may move on its way through the origin, in extents of the box.
constexpr double kMaxGap = 0.5, kMaxStep = 0.05;

// A person of a clip, and what is known about the joint of the trunk that is at the origin.
struct RawPerson {
  int64_t number = -1;
  int32_t joint = -1;   // none
  bool always = false;  // it is there in every frame
  // The nearest frames that show it, around those that were looked at last; -1 and the number of
  // frames where there is none.
  int64_t before = 0, after = 0;
};

class Presence {
 public:
  explicit Presence(const Program& program);

  // `any_score`: whether any joint of a 2-D clip has one.
  void open(const RawClip& clip, bool any_score);

  const float* frame(int64_t person, int64_t number) const {
    return clip_.joints + (person * clip_.frames + number) * joints_ * clip_.channels;
  }
  const float* position(int64_t person, int64_t number, int64_t joint) const {
    return position_in_space(frame(person, number) + joint * clip_.channels, clip_.channels);
  }
  // Whether a frame shows any joint of a person.
  bool shows(int64_t person, int64_t frame) const;
  // Looks for the joint of the trunk at the origin.
  RawPerson person(int64_t number);
  bool joint(RawPerson& person, int64_t frame, int64_t joint) const;
  // Whether each joint is present, [joints].
  void joints(RawPerson& person, int64_t frame, uint8_t* present) const;

 private:
  bool is_nonzero(const float* joint) const;
  bool at_origin(RawPerson& person, int64_t frame) const;
  bool is_known(const RawPerson& person, int64_t frame) const;
  bool always_at_origin(const RawPerson& person) const;

  const Input& input_;
  int64_t joints_;
  RawClip clip_;
  bool any_score_ = false;
  std::vector<uint8_t> sometimes_, missing_;  // joints that are shown, and not, in some frame
};

}  // namespace stgcn
