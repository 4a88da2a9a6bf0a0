// From raw poses to the input of a model, as pyg_stgcn/recognition/prepare.py does it.
//
// Memory is allocated by the constructors only, and does not depend on the number of persons and
// frames of a clip: what follows from all of its frames is found by walking through them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>

#include "program.h"

namespace stgcn {

// Throws std::runtime_error if the input of a program does not fit together, or not to its joints
// and channels.
void check_input(const Program& program);

// A raw clip as the caller has it.
struct RawClip {
  const float* joints = nullptr;  // [persons, frames, joints, channels]
  int64_t persons = 0, frames = 0;
  int channels = 0;
  float height = 0, width = 0;  // of the image in pixels, in 2-D; 0 in 3-D
};

// The input of a clip, person by person.
//
//   Preparation input(program);
//   if (!input.open(clip, views, message, size)) return error;
//   for each view, for each of input.persons(): input.fill(person, view, x, ...);
class Preparation {
 public:
  // The program must outlive this.
  explicit Preparation(const Program& program);
  ~Preparation();
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  // Checks a clip, whose joints must stay in place until the last `fill`, and finds the order of its
  // persons, origin, rotation and size. Returns false, and the reason in `message`, for a clip that
  // the model cannot read.
  bool open(const RawClip& clip, int views, char* message, size_t size);

  // Persons with any joint. Without any the model cannot answer.
  int64_t seen() const;
  // Persons of the input: those, or the fixed number of the model; 0 if there is nobody.
  int64_t persons() const;

  // Writes the input of a person in a view, both from 0; the main person is the first.
  // Channel c of joint v in frame t goes to x[v * joint_step + t * frame_step + c], for the frames
  // of program.input.frames. Fastest if views are asked for one after another, and in each the
  // persons.
  void fill(int64_t person, int64_t view, float* x, int64_t joint_step, int64_t frame_step);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The input of a stream, frame by frame. Nothing depends on later frames, except that motion is one
// frame behind. In 3-D the first frame that shows a joint, or two, decides about origin, rotation and
// scale, and frames that show nobody are left out, as from clips. A stream whose first frame shows
// them all gets the input of a clip, except for a scale.
class CausalPreparation {
 public:
  // height, width: the size of the image in pixels, in 2-D; 0 in 3-D. The program must outlive this.
  CausalPreparation(const Program& program, float height, float width);
  ~CausalPreparation();
  CausalPreparation(const CausalPreparation&) = delete;
  CausalPreparation& operator=(const CausalPreparation&) = delete;

  // Begins again, for another person.
  void reset();
  // Adds a raw frame [joints, channels]. Returns 1 if a frame of the input came up, which it writes
  // to x [joints, program.channels], and 0 if none did. Returns -1, and the reason in `message`, for
  // a frame that the model cannot read; the stream is then as before.
  int push(const float* joints, int channels, float* x, char* message, size_t size);
  // Ends the sequence. Returns 1 and writes the last frame if motion waits for a following one,
  // else 0; -1 as above.
  int finish(float* x, char* message, size_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stgcn
