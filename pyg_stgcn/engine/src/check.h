// Checks of a network, after which its operations stay within their slots.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

#include "program.h"

namespace stgcn {

// Refuses a network whose fields and arrays do not fit together, with std::runtime_error, and
// fills in the fields of its instructions that follow from others. `where` names it in messages.
void check_network(const Program& program, Network& network, const std::string& where);

// Frames of all slots for so many frames of input; 0 of graphs, and of slots that are not written.
// Returns -1, or the number of the first instruction that cannot run with so many.
int64_t count_frames(const Network& network, int64_t input, std::vector<int64_t>& frames);

}  // namespace stgcn
