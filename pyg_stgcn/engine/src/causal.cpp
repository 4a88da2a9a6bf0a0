#include "causal.h"

#include <math.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "normalize.h"
#include "presence.h"
#include "refusals.h"

namespace stgcn {
namespace {

// Frames before the units are compared with those of the training: one pose may be unusual.
constexpr int64_t kFramesOfUnits = 8;

}  // namespace

struct CausalPreparation::State {
  State(const Program& program, float height, float width);

  void reset();
  bool check(const RawClip& clip, char* message, size_t size);
  bool find_present(const float* frame, int channels, uint8_t* present);
  bool at_origin(const float* frame, int channels, const uint8_t* present, size_t number) const;
  void find_trunk(const float* frame, int channels, uint8_t* present);
  void place(const float* frame, int channels, const uint8_t* present);
  void measure(const float* frame, int channels, const uint8_t* present);
  bool write(Pose now, Pose next, float* x, char* message, size_t size);

  const Program& program;
  const Input& input;
  float height, width;
  const bool has_motion;
  Units units;
  // Two frames: the older one waits for the newer one if there is motion.
  std::vector<float> joints[2];
  std::vector<uint8_t> shown[2];

  int64_t frames = 0;  // raw ones
  int64_t made = 0;    // of the input
  bool waits = false;
  bool fits = true;  // the units so far
  bool any_score = false;
  float largest = 0;
  // The joint of the trunk at the origin, as its number in the list, or -1; how far from the origin
  // each joint of the trunk was when it was seen last, or -1.
  int64_t trunk = -1;
  std::vector<double> distance;
  bool has_origin = false, has_axis[2] = {false, false}, has_size = false;
  Placing placing;
};

CausalPreparation::State::State(const Program& program, float height, float width)
    : program(program),
      input(program.input),
      height(height),
      width(width),
      has_motion(stgcn::has_motion(program.input)),
      units(program),
      distance(program.input.trunk.size()) {
  for (int i = 0; i < 2; ++i) {
    joints[i].resize(size_t(program.joints * joint_channels(input)));
    shown[i].resize(size_t(program.joints));
  }
  reset();
}

void CausalPreparation::State::reset() {
  frames = made = 0;
  waits = any_score = false;
  largest = 0;
  trunk = -1;
  fits = true;
  std::fill(distance.begin(), distance.end(), -1.0);
  has_origin = has_axis[0] = has_axis[1] = has_size = false;
  placing = Placing();
  units.clear();
}

bool CausalPreparation::State::check(const RawClip& clip, char* message, size_t size) {
  if (!check_image_size(input, height, width, message, size) ||
      !check_channels(input, clip.channels, message, size) ||
      !check_finite(program, clip, frames, message, size))
    return false;
  if (!input.planar) return true;
  float most = largest;
  const float* joint = clip.joints;
  for (int64_t i = 0; i < clip.frames * program.joints; ++i, joint += clip.channels)
    most = std::max({most, fabsf(joint[0]), fabsf(joint[1])});
  if (!check_pixels(most, height, width, message, size)) return false;
  largest = most;
  return true;
}

// Whether a joint of the trunk that the frame does not show is at the origin: it was close to it when
// it was seen last; if it never was, the origin is within the pose or close to it.
bool CausalPreparation::State::at_origin(const float* frame, int channels, const uint8_t* present,
                                         size_t number) const {
  if (present[input.trunk[number]]) return false;
  const Box box = box_around(frame, program.joints, channels);
  if (distance[number] < 0) return box.gap <= kMaxGap * box.extent;
  return distance[number] <= kMaxStep * box.extent;
}

void CausalPreparation::State::find_trunk(const float* frame, int channels, uint8_t* present) {
  int64_t found = -1;
  for (size_t i = 0; i < input.trunk.size() && found < 0; ++i)
    if ((trunk < 0 || trunk == int64_t(i)) && at_origin(frame, channels, present, i))
      found = int64_t(i);
  for (size_t i = 0; i < input.trunk.size(); ++i)
    if (present[input.trunk[i]])
      distance[i] = distance_to_origin(frame + input.trunk[i] * channels);
  if (found < 0) return;
  trunk = found;
  present[input.trunk[size_t(found)]] = 1;
}

// Whether the frame shows anybody.
bool CausalPreparation::State::find_present(const float* frame, int channels, uint8_t* present) {
  const float* joint = frame;
  bool any = false;
  for (int64_t v = 0; v < program.joints; ++v, joint += channels) {
    any_score |= input.planar && score_in_plane(joint, channels) > 0;
    present[v] = input.planar ? is_nonzero_in_plane(joint) : is_nonzero_in_space(joint, channels);
    any |= present[v] != 0;
  }
  if (!input.planar) {
    if (any) find_trunk(frame, channels, present);
    return any;
  }
  joint = frame;
  for (int64_t v = 0; v < program.joints; ++v, joint += channels)
    present[v] = present[v] && (!any_score || score_in_plane(joint, channels) > 0);
  return any;
}

void CausalPreparation::State::place(const float* frame, int channels, const uint8_t* present) {
  const auto position = [&](int32_t joint) {
    return position_in_space(frame + joint * channels, channels);
  };
  if (!has_origin && present[input.root]) {
    std::copy_n(position(input.root), 3, placing.origin);
    has_origin = true;
  }
  if (input.align && !input.spine.empty() && !input.shoulders.empty()) {
    const int32_t pairs[2][2] = {{input.spine[0], input.spine[1]},
                                 {input.shoulders[1], input.shoulders[0]}};
    for (int i = 0; i < 2; ++i) {
      if (has_axis[i] || !present[pairs[i][0]] || !present[pairs[i][1]]) continue;
      placing.align(position(pairs[i][0]), position(pairs[i][1]), i == 0 ? 2 : 0);
      has_axis[i] = true;
    }
  }
  if (input.scale && !has_size) measure(frame, channels, present);
}

// The first frame that shows half of the bones decides about the size; until then each frame does.
void CausalPreparation::State::measure(const float* frame, int channels, const uint8_t* present) {
  double total = 0;
  size_t count = 0;
  for (size_t i = 0; i < input.bones.size(); i += 2) {
    const int32_t child = input.bones[i], parent = input.bones[i + 1];
    if (!present[child] || !present[parent]) continue;
    total += placing.distance(position_in_space(frame + child * channels, channels),
                              position_in_space(frame + parent * channels, channels));
    ++count;
  }
  if (total > 0) placing.size = total / double(count);
  has_size = total > 0 && 4 * count >= input.bones.size();
}

bool CausalPreparation::State::write(Pose now, Pose next, float* x, char* message, size_t size) {
  write_streams(input, program.joints, now, next, x, program.channels);
  ++made;
  if (!units.is_known() || (fits && made > std::max(input.frames, kFramesOfUnits))) return true;
  units.add(x, now.shown);
  fits = made < kFramesOfUnits || units.check(message, size);
  return fits;
}

CausalPreparation::CausalPreparation(const Program& program, float height, float width)
    : state_(new State(program, height, width)) {}

CausalPreparation::~CausalPreparation() = default;

void CausalPreparation::reset() { state_->reset(); }

bool CausalPreparation::check(const float* joints, int64_t frames, int channels, char* message,
                              size_t size) {
  return state_->check({joints, 1, frames, channels, 0, 0}, message, size);
}

int CausalPreparation::push(const float* joints, int channels, float* x, char* message,
                            size_t size) {
  State& s = *state_;
  ++s.frames;
  // The newer frame is the second one.
  float* now = s.joints[1].data();
  uint8_t* shown = s.shown[1].data();
  const bool any = s.find_present(joints, channels, shown);
  if (s.input.planar) {
    normalize_in_plane(s.input, s.program.joints, channels, s.height, s.width, joints, shown, now);
  } else {
    if (!any) return 0;
    s.place(joints, channels, shown);
    normalize_in_space(s.placing, s.program.joints, channels, joints, shown, now);
  }
  const Pose newer = {now, shown};
  if (!s.has_motion) return s.write(newer, {nullptr, nullptr}, x, message, size) ? 1 : -1;
  const bool comes_up = s.waits;
  bool fits = true;
  if (comes_up) fits = s.write({s.joints[0].data(), s.shown[0].data()}, newer, x, message, size);
  std::swap(s.joints[0], s.joints[1]);
  std::swap(s.shown[0], s.shown[1]);
  s.waits = true;
  return !fits ? -1 : comes_up ? 1 : 0;
}

int CausalPreparation::finish(float* x, char* message, size_t size) {
  State& s = *state_;
  const bool comes_up = s.waits;
  s.waits = false;
  if (comes_up && !s.write({s.joints[0].data(), s.shown[0].data()}, {nullptr, nullptr}, x, message,
                           size))
    return -1;
  // A short sequence has not been compared yet.
  if (s.made < kFramesOfUnits && s.units.is_known() && !s.units.check(message, size)) return -1;
  return comes_up ? 1 : 0;
}

}  // namespace stgcn
