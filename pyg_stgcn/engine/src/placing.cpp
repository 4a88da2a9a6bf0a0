#include "placing.h"

#include <algorithm>

namespace stgcn {
namespace {

// Frames whose bones are summed up at once.
constexpr int64_t kFramesAtOnce = 4096;

// The lengths of the bones in the frames that show a person, one after another; zero where an end is
// missing. They are summed up in NumPy's order, by halves, so that the size is the same to the bit.
class Bones {
 public:
  Bones(const Program& program, const Presence& presence, RawPerson& person, const Placing& placing)
      : program_(program), presence_(presence), person_(person), placing_(placing) {}

  double mean(int64_t frames) {
    const int64_t bones = int64_t(program_.input.bones.size()) / 2;
    double total = 0;
    for (int64_t begin = 0; begin < frames; begin += kFramesAtOnce)
      total += sum(std::min(kFramesAtOnce, frames - begin) * bones);
    return total > 0 ? total / double(count_) : 1;
  }

 private:
  double sum(int64_t count) {
    if (count > 128) {
      const int64_t half = count / 2 - count / 2 % 8;
      const double left = sum(half);
      return left + sum(count - half);
    }
    double result = 0, part[8];
    if (count < 8) {
      for (int64_t i = 0; i < count; ++i) result += next();
      return result;
    }
    for (double& value : part) value = next();
    int64_t i = 8;
    for (; i + 8 <= count; i += 8)
      for (double& value : part) value += next();
    result = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < count; ++i) result += next();
    return result;
  }

  double next() {
    const auto& bones = program_.input.bones;
    if (bone_ == 0) {
      ++frame_;
      while (!presence_.shows(person_.number, frame_)) ++frame_;
    }
    const int64_t child = bones[bone_], parent = bones[bone_ + 1];
    bone_ = bone_ + 2 == bones.size() ? 0 : bone_ + 2;
    if (!presence_.joint(person_, frame_, child) || !presence_.joint(person_, frame_, parent))
      return 0;
    ++count_;
    return placing_.distance(presence_.position(person_.number, frame_, child),
                             presence_.position(person_.number, frame_, parent));
  }

  const Program& program_;
  const Presence& presence_;
  RawPerson& person_;
  const Placing& placing_;
  int64_t frame_ = -1, count_ = 0;
  size_t bone_ = 0;
};

}  // namespace

int64_t count_frames(const Presence& presence, int64_t person, int64_t frames) {
  int64_t count = 0;
  for (int64_t t = 0; t < frames; ++t) count += presence.shows(person, t);
  return count;
}

double motion(const Program& program, Presence& presence, int64_t number, const RawClip& clip) {
  RawPerson person = presence.person(number);
  double mean[3] = {0, 0, 0}, squares[3] = {0, 0, 0};
  int64_t count = 0;
  const auto walk = [&](const auto& add) {
    for (int64_t t = 0; t < clip.frames; ++t) {
      if (!presence.shows(number, t)) continue;
      for (int64_t v = 0; v < program.joints; ++v)
        if (presence.joint(person, t, v)) add(presence.position(number, t, v));
    }
  };
  walk([&](const float* joint) {
    ++count;
    for (int a = 0; a < 3; ++a) mean[a] += joint[a];
  });
  for (double& sum : mean) sum /= double(count);
  walk([&](const float* joint) {
    for (int a = 0; a < 3; ++a) {
      const double difference = joint[a] - mean[a];
      squares[a] += difference * difference;
    }
  });
  double sum = 0;
  for (const double square : squares) sum += square / double(count);
  return sum;
}

Placing find_placing(const Program& program, const Presence& presence, RawPerson& main,
                     const RawClip& clip, int64_t shown) {
  const Input& input = program.input;
  Placing placing;
  // The first frame that shows all of some joints; -1 without one.
  const auto first = [&](int64_t one, int64_t other) {
    for (int64_t t = 0; t < clip.frames; ++t)
      if (presence.joint(main, t, one) && presence.joint(main, t, other)) return t;
    return int64_t(-1);
  };
  if (const int64_t frame = first(input.root, input.root); frame >= 0)
    std::copy_n(presence.position(main.number, frame, input.root), 3, placing.origin);
  if (input.align && !input.spine.empty() && !input.shoulders.empty()) {
    const int64_t pairs[2][2] = {{input.spine[0], input.spine[1]},
                                 {input.shoulders[1], input.shoulders[0]}};
    for (int i = 0; i < 2; ++i) {
      const int64_t frame = first(pairs[i][0], pairs[i][1]);
      if (frame >= 0)
        placing.align(presence.position(main.number, frame, pairs[i][0]),
                      presence.position(main.number, frame, pairs[i][1]), i == 0 ? 2 : 0);
    }
  }
  if (input.scale) placing.size = Bones(program, presence, main, placing).mean(shown);
  return placing;
}

}  // namespace stgcn
