// The check of the section "input" of a program.

#include <math.h>

#include <string>

#include "file.h"
#include "normalize.h"
#include "prepare.h"

namespace stgcn {
namespace {

// Memory of the chosen frames.
constexpr int64_t kMostFrames = 1 << 20;

void require(bool fits, const std::string& what) {
  if (!fits) refuse("input: " + what);
}

void check_joints(const std::vector<int32_t>& numbers, int64_t joints, const char* name) {
  for (const int32_t number : numbers)
    require(number >= 0 && number < joints,
            std::string(name) + " has the joint " + std::to_string(number) + " of " +
                std::to_string(joints));
}

}  // namespace

void check_input(const Program& program) {
  const Input& input = program.input;
  const int64_t joints = program.joints, values = joints * program.channels;
  require(!input.streams.empty(), "no streams");
  require(joint_channels(input) * int64_t(input.streams.size()) == program.channels,
          std::to_string(input.streams.size()) + " streams of " +
              std::to_string(joint_channels(input)) + " channels are not the " +
              std::to_string(program.channels) + " channels of the program");
  require(input.planar || !input.scored, "3-D joints have no score");
  require(input.frames > 0 && input.frames <= kMostFrames,
          std::to_string(input.frames) + " frames");
  require(input.seed >= 0 && input.seed <= UINT32_MAX,
          "the seed " + std::to_string(input.seed) + " is not from 0 to 2^32 - 1");
  require(input.persons == -1 || input.persons > 0, std::to_string(input.persons) + " persons");
  check_joints({input.root}, joints, "root");
  check_joints(input.trunk, joints, "trunk");
  check_joints(input.spine, joints, "spine");
  check_joints(input.shoulders, joints, "shoulders");
  check_joints(input.bones, joints, "bones");
  check_joints(input.parents, joints, "parents");
  require(input.spine.empty() || input.spine.size() == 2, "spine is not two joints");
  require(input.shoulders.empty() || input.shoulders.size() == 2, "shoulders are not two joints");
  require(input.bones.size() % 2 == 0, "bones are not pairs of joints");
  require(int64_t(input.parents.size()) == joints, "parents are not one for every joint");
  require((input.mean.size == 0 || input.mean.size == values) && input.std.size == input.mean.size,
          "the statistics have another shape than the input");
  for (int64_t i = 0; i < input.mean.size; ++i)
    require(isfinite(input.mean.data[i]) && isfinite(input.std.data[i]) && input.std.data[i] > 0,
            "the statistics are not finite, or a deviation is not positive");
}

}  // namespace stgcn
