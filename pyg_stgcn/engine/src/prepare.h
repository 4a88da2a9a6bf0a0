// From raw poses to the input of a model, as pyg_stgcn/recognition/prepare.py does it.
//
// Memory is allocated by the constructors only, and does not depend on the number of persons and
// frames of a clip: what follows from all of its frames is found by walking through them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>

#include "presence.h"
#include "program.h"

namespace stgcn {

// Throws std::runtime_error if the input of a program does not fit together, or not to its joints
// and channels.
void check_input(const Program& program);

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

}  // namespace stgcn
