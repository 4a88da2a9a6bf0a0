// The main person of a 3-D clip: who it is, and their origin, rotation and size.
#pragma once

#include <stdint.h>

#include "normalize.h"
#include "presence.h"
#include "program.h"

namespace stgcn {

// Frames that show a person.
int64_t count_frames(const Presence& presence, int64_t person, int64_t frames);
// The sum over the axes of the variance of the present joints.
double motion(const Program& program, Presence& presence, int64_t person, const RawClip& clip);

// `shown`: the number of frames that show the main person.
Placing find_placing(const Program& program, const Presence& presence, RawPerson& main,
                     const RawClip& clip, int64_t shown);

}  // namespace stgcn
