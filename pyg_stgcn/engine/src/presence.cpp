#include "presence.h"

#include <math.h>

#include <algorithm>

namespace stgcn {

Box box_around(const float* frame, int64_t joints, int channels) {
  float low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int64_t v = 0; v < joints; ++v, frame += channels) {
    if (!is_nonzero_in_space(frame, channels)) continue;
    for (int a = 0; a < 3; ++a) {
      low[a] = std::min(low[a], frame[a]);
      high[a] = std::max(high[a], frame[a]);
    }
  }
  Box box;
  double squares = 0;
  for (int a = 0; a < 3; ++a) {
    box.extent = std::max(box.extent, double(high[a]) - double(low[a]));
    const double outside = std::max({double(low[a]), -double(high[a]), 0.0});
    squares += outside * outside;
  }
  box.gap = sqrt(squares);
  return box;
}

double distance_to_origin(const float* joint) {
  const double x = joint[0], y = joint[1], z = joint[2];
  return sqrt(x * x + y * y + z * z);
}

Presence::Presence(const Program& program)
    : input_(program.input),
      joints_(program.joints),
      sometimes_(program.joints),
      missing_(program.joints) {}

void Presence::open(const RawClip& clip, bool any_score) {
  clip_ = clip;
  any_score_ = any_score;
}

bool Presence::is_nonzero(const float* joint) const {
  if (!input_.planar) return is_nonzero_in_space(joint, clip_.channels);
  return is_nonzero_in_plane(joint) && (!any_score_ || score_in_plane(joint, clip_.channels) > 0);
}

bool Presence::shows(int64_t person, int64_t number) const {
  const float* at = frame(person, number);
  for (int64_t v = 0; v < joints_; ++v)
    if (is_nonzero(at + v * clip_.channels)) return true;
  return false;
}

bool Presence::is_known(const RawPerson& person, int64_t number) const {
  return is_nonzero(frame(person.number, number) + person.joint * clip_.channels);
}

// Of a joint that no frame shows: whether the origin is within, or close to, most of the poses.
bool Presence::always_at_origin(const RawPerson& person) const {
  int64_t close = 0, count = 0;
  for (int64_t t = 0; t < clip_.frames; ++t) {
    if (!shows(person.number, t)) continue;
    const Box box = box_around(frame(person.number, t), joints_, clip_.channels);
    close += box.gap <= kMaxGap * box.extent;
    ++count;
  }
  return 2 * close > count;
}

// Of a joint that some frames show: whether it is as close to the origin in the frames before and
// after that show it.
bool Presence::at_origin(RawPerson& person, int64_t number) const {
  if (person.always) return true;
  if (number <= person.before || number >= person.after) {
    int64_t t = number - 1;
    while (t >= 0 && !is_known(person, t)) --t;
    person.before = t;
    t = number + 1;
    while (t < clip_.frames && !is_known(person, t)) ++t;
    person.after = t;
  }
  const Box box = box_around(frame(person.number, number), joints_, clip_.channels);
  const auto is_close = [&](int64_t t) {
    const float* joint = frame(person.number, t) + person.joint * clip_.channels;
    return distance_to_origin(joint) <= kMaxStep * box.extent;
  };
  return (person.before < 0 || is_close(person.before)) &&
         (person.after == clip_.frames || is_close(person.after));
}

RawPerson Presence::person(int64_t number) {
  RawPerson person;
  person.number = number;
  if (input_.planar) return person;
  std::fill(sometimes_.begin(), sometimes_.end(), 0);
  std::fill(missing_.begin(), missing_.end(), 0);
  for (int64_t t = 0; t < clip_.frames; ++t) {
    if (!shows(number, t)) continue;
    const float* at = frame(number, t);
    for (const int32_t v : input_.trunk)
      (is_nonzero(at + v * clip_.channels) ? sometimes_ : missing_)[v] = 1;
  }
  for (const int32_t v : input_.trunk) {
    if (!missing_[v]) continue;
    person.joint = v;
    if (!sometimes_[v]) {
      person.always = always_at_origin(person);
      if (person.always) return person;
      continue;
    }
    person.before = person.after = 0;
    for (int64_t t = 0; t < clip_.frames; ++t)
      if (!is_known(person, t) && shows(number, t) && at_origin(person, t)) return person;
  }
  person.joint = -1;
  return person;
}

bool Presence::joint(RawPerson& person, int64_t number, int64_t joint) const {
  if (is_nonzero(frame(person.number, number) + joint * clip_.channels)) return true;
  return joint == person.joint && shows(person.number, number) && at_origin(person, number);
}

void Presence::joints(RawPerson& person, int64_t number, uint8_t* present) const {
  const float* at = frame(person.number, number);
  bool any = false;
  for (int64_t v = 0; v < joints_; ++v) any |= present[v] = is_nonzero(at + v * clip_.channels);
  if (any && person.joint >= 0 && !present[person.joint])
    present[person.joint] = at_origin(person, number);
}

}  // namespace stgcn
