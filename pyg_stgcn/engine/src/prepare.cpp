#include "prepare.h"

#include <math.h>

#include <algorithm>
#include <vector>

#include "normalize.h"
#include "placing.h"
#include "refusals.h"
#include "sample.h"

namespace stgcn {

// Persons who are asked for in turn: what is known about the last few of them is kept.
constexpr int64_t kKept = 8;

struct Preparation::State {
  explicit State(const Program& program);

  bool open(const RawClip& given, int64_t number, char* message, size_t size);
  bool check(char* message, size_t size);
  bool check_units(char* message, size_t size);
  void find_persons();
  int64_t number_at(int64_t place);
  RawPerson& person(int64_t number);
  void choose(int64_t view);
  int64_t frame_at(int64_t place);
  Pose take(RawPerson& person, int64_t frame, int64_t buffer);
  void fill_frame(RawPerson& person, int64_t t, float* x, int64_t joint_step);

  const Program& program;
  const Input& input;
  Presence presence;
  Sampler sampler;
  Units units;
  const bool has_motion;

  RawClip clip;
  int64_t views = 1, seen = 0;
  int64_t main_number = 0, main_place = 0, first_number = 0;
  int64_t place = 0, placed = 0;  // the last place that was asked for, and its person
  RawPerson persons[kKept];
  Placing placing;

  int64_t frames = 0;  // that show the main person; of 2-D clips all
  int64_t view = -1;
  int64_t walked = 0, walked_place = -1;
  // Of the view: the frames, and those that follow them, -1 after the last.
  std::vector<int64_t> chosen, following;
  std::vector<int64_t> first_frames;
  std::vector<float> x, row;
  std::vector<uint8_t> shown;
};

Preparation::State::State(const Program& program)
    : program(program),
      input(program.input),
      presence(program),
      sampler(program.input.frames, uint32_t(program.input.seed)),
      units(program),
      has_motion(stgcn::has_motion(program.input)),
      chosen(size_t(program.input.frames)),
      following(size_t(program.input.frames)),
      first_frames(size_t(program.input.frames)),
      x(size_t(2 * program.joints * joint_channels(program.input))),
      row(size_t(program.joints * program.channels)),
      shown(size_t(2 * program.joints)) {}

bool Preparation::State::check(char* message, size_t size) {
  if (!check_channels(input, clip.channels, message, size) ||
      !check_finite(program, clip, 0, message, size) ||
      !check_image_size(input, clip.height, clip.width, message, size))
    return false;
  if (!input.planar) {
    presence.open(clip, false);
    return true;
  }
  bool any_score = false;
  float largest = 0;
  const float* joint = clip.joints;
  const int64_t count = clip.persons * clip.frames * program.joints;
  for (int64_t i = 0; i < count; ++i, joint += clip.channels) {
    any_score |= score_in_plane(joint, clip.channels) > 0;
    largest = std::max({largest, fabsf(joint[0]), fabsf(joint[1])});
  }
  presence.open(clip, any_score);
  return check_pixels(largest, clip.height, clip.width, message, size);
}

bool Preparation::State::open(const RawClip& given, int64_t number, char* message, size_t size) {
  clip = given;
  views = number;
  seen = 0;
  view = -1;
  if (views < 1) return reject(message, size, "views: %d is too few; give at least 1", int(views));
  if (clip.persons < 0 || clip.frames < 0)
    return reject(message, size, "a clip of %lld persons and %lld frames",
                  static_cast<long long>(clip.persons), static_cast<long long>(clip.frames));
  if (!check(message, size)) return false;
  find_persons();
  if (seen == 0) return true;
  for (RawPerson& kept : persons) kept.number = -1;
  if (!input.planar) placing = find_placing(program, presence, person(main_number), clip, frames);
  sampler.open(frames, views);
  if (frames <= input.frames) {
    walked = 0;
    walked_place = -1;
    for (int64_t i = 0; i < frames; ++i) first_frames[size_t(i)] = frame_at(i);
  }
  return check_units(message, size);
}

// Counts the persons, and finds the main one: the person seen in the most frames; of several the one
// who moves most. In the plane it is the first.
void Preparation::State::find_persons() {
  int64_t most = 0, tied = 0;
  for (int64_t m = 0; m < clip.persons; ++m) {
    const int64_t count = count_frames(presence, m, clip.frames);
    if (count == 0) continue;
    if (seen++ == 0) first_number = m;
    if (count > most) {
      most = count;
      tied = 0;
      main_number = m;
      main_place = seen - 1;
    }
    tied += count == most;
  }
  place = 0;
  placed = first_number;
  frames = most;
  if (input.planar) {
    main_number = first_number;
    main_place = 0;
    frames = clip.frames;
  } else if (tied > 1) {
    double fastest = -1;
    for (int64_t m = first_number, at = -1; m < clip.persons; ++m) {
      const int64_t count = count_frames(presence, m, clip.frames);
      at += count > 0;
      if (count < most) continue;
      const double moved = motion(program, presence, m, clip);
      if (!(moved > fastest)) continue;
      fastest = moved;
      main_number = m;
      main_place = at;
    }
  }
}

// The number in the clip of the person at a place of the input: the main person and the first of all
// have changed their places.
int64_t Preparation::State::number_at(int64_t wanted) {
  if (wanted == 0) return main_number;
  if (wanted == main_place) return first_number;
  if (wanted < place) {
    place = 0;
    placed = first_number;
  }
  const auto is_seen = [&](int64_t number) {
    for (int64_t t = 0; t < clip.frames; ++t)
      if (presence.shows(number, t)) return true;
    return false;
  };
  while (place < wanted) place += is_seen(++placed);
  return placed;
}

RawPerson& Preparation::State::person(int64_t number) {
  RawPerson& kept = persons[number % kKept];
  if (kept.number != number) kept = presence.person(number);
  return kept;
}

// The frame of the clip that shows the main person as the n-th. Fastest in ascending order.
int64_t Preparation::State::frame_at(int64_t n) {
  if (frames == clip.frames) return n;
  if (n < walked_place || walked_place < 0) {
    walked = -1;
    walked_place = -1;
  }
  while (walked_place < n) walked_place += presence.shows(main_number, ++walked);
  return walked;
}

void Preparation::State::choose(int64_t number) {
  if (view == number) return;
  view = number;
  walked_place = -1;
  const int64_t* places = sampler.view(number);
  const auto frame = [&](int64_t n) {
    return frames <= input.frames ? first_frames[size_t(n)] : frame_at(n);
  };
  for (size_t t = 0; t < chosen.size(); ++t) {
    chosen[t] = frame(places[t]);
    if (has_motion) following[t] = places[t] + 1 == frames ? -1 : frame(places[t] + 1);
  }
}

Pose Preparation::State::take(RawPerson& person, int64_t frame, int64_t buffer) {
  uint8_t* present = &shown[size_t(buffer * program.joints)];
  float* to = &x[size_t(buffer * program.joints * joint_channels(input))];
  presence.joints(person, frame, present);
  const float* from = presence.frame(person.number, frame);
  if (input.planar)
    normalize_in_plane(input, program.joints, clip.channels, clip.height, clip.width, from, present,
                       to);
  else
    normalize_in_space(placing, program.joints, clip.channels, from, present, to);
  return {to, present};
}

// The streams of a person in the frame at place t of the view.
void Preparation::State::fill_frame(RawPerson& person, int64_t t, float* to, int64_t joint_step) {
  const Pose now = take(person, chosen[size_t(t)], 0);
  Pose next = {nullptr, nullptr};
  if (has_motion && following[size_t(t)] >= 0) next = take(person, following[size_t(t)], 1);
  write_streams(input, program.joints, now, next, to, joint_step);
}

bool Preparation::State::check_units(char* message, size_t size) {
  if (!units.is_known()) return true;
  units.clear();
  RawPerson& main = person(main_number);
  for (int64_t v = 0; v < views; ++v) {
    choose(v);
    for (int64_t t = 0; t < input.frames; ++t) {
      fill_frame(main, t, row.data(), program.channels);
      units.add(row.data(), shown.data());
    }
  }
  return units.check(message, size);
}

Preparation::Preparation(const Program& program) : state_(new State(program)) {}

Preparation::~Preparation() = default;

bool Preparation::open(const RawClip& clip, int views, char* message, size_t size) {
  return state_->open(clip, views, message, size);
}

int64_t Preparation::seen() const { return state_->seen; }

int64_t Preparation::persons() const {
  const int64_t fixed = state_->input.persons;
  return state_->seen == 0 || fixed < 0 ? state_->seen : fixed;
}

void Preparation::fill(int64_t person, int64_t view, float* x, int64_t joint_step,
                       int64_t frame_step) {
  State& state = *state_;
  const int64_t joints = state.program.joints;
  if (person >= state.seen) {
    for (int64_t v = 0; v < joints; ++v)
      for (int64_t t = 0; t < state.input.frames; ++t)
        std::fill_n(x + v * joint_step + t * frame_step, state.program.channels, 0.0f);
    return;
  }
  state.choose(view);
  RawPerson& who = state.person(state.number_at(person));
  for (int64_t t = 0; t < state.input.frames; ++t)
    state.fill_frame(who, t, x + t * frame_step, joint_step);
}

}  // namespace stgcn
