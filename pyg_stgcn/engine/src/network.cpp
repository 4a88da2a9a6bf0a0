#include "network.h"

#include <string.h>

#include <algorithm>

#include "adaptive.h"
#include "check.h"
#include "file.h"
#include "memory.h"

namespace stgcn {
namespace {

int64_t check_floats(int64_t floats) {
  if (floats > kMostFloats)
    refuse("the model needs more than " + std::to_string(kMostFloats * 4 >> 20) +
           " MB for a person, of so many frames and channels");
  return floats;
}

// Places of memory that are free, from the lowest on.
class FreeMemory {
 public:
  int64_t take(int64_t floats) {
    for (auto part = parts_.begin(); part != parts_.end(); ++part) {
      if (part->end - part->begin < floats) continue;
      const int64_t place = part->begin;
      part->begin += floats;
      if (part->begin == part->end) parts_.erase(part);
      return place;
    }
    // The last part may end where the memory does.
    int64_t place = end_;
    if (!parts_.empty() && parts_.back().end == end_) {
      place = parts_.back().begin;
      parts_.pop_back();
    }
    end_ = check_floats(place + floats);
    return place;
  }

  void give_back(int64_t begin, int64_t floats) {
    const auto after = std::find_if(parts_.begin(), parts_.end(),
                                    [&](const Part& part) { return part.begin > begin; });
    auto part = parts_.insert(after, {begin, begin + floats});
    if (part + 1 != parts_.end() && part->end == (part + 1)->begin) {
      part->end = (part + 1)->end;
      parts_.erase(part + 1);
    }
    if (part != parts_.begin() && (part - 1)->end == part->begin) {
      (part - 1)->end = part->end;
      parts_.erase(part);
    }
  }

  int64_t end() const { return end_; }

 private:
  struct Part {
    int64_t begin, end;
  };
  std::vector<Part> parts_;
  int64_t end_ = 0;
};

}  // namespace

ClipNetwork::ClipNetwork(const Program& program, const Network& network)
    : program_(&program), network_(&network) {
  set_frames(program.input.frames);
  place_slots();
}

bool ClipNetwork::set_frames(int64_t frames) {
  if (!frames_.empty() && frames_[0] == frames) return true;
  if (count_frames(*network_, frames, frames_) < 0) return true;
  frames_[0] = 0;
  return false;
}

int64_t ClipNetwork::floats_of(size_t number) const {
  const Slot& slot = network_->slots[number];
  if (slot.floats > 0) return (slot.floats + kWidth - 1) / kWidth * kWidth;
  return network_->blocks * (frames_[number] + 2 * slot.halo) * slot.channels * kWidth;
}

// The output may take the memory of the residual, which is read before anything is written in its
// place, if nobody reads it afterwards.
bool ClipNetwork::takes_residual(const Instruction& op, int64_t number,
                                 const std::vector<int64_t>& last) const {
  if (op.residual < 0 || op.residual == op.in || last[size_t(op.residual)] != number) return false;
  const Slot &own = network_->slots[size_t(op.out)], &other = network_->slots[size_t(op.residual)];
  return own.channels == other.channels && own.halo == other.halo;
}

// Slots that are not needed at the same time share memory.
void ClipNetwork::place_slots() {
  const auto& instructions = network_->instructions;
  const int64_t count = int64_t(instructions.size());
  std::vector<int64_t> last(network_->slots.size(), -1);
  for (int64_t i = 0; i < count; ++i) {
    const Instruction& op = instructions[size_t(i)];
    for (const int32_t slot : {op.in, op.out, op.residual, op.graph, op.at})
      if (slot >= 0) last[size_t(slot)] = i;
  }
  last[size_t(network_->result)] = count;

  FreeMemory memory;
  places_.assign(network_->slots.size(), -1);
  places_[0] = memory.take(floats_of(0));
  for (int64_t i = 0; i < count; ++i) {
    const Instruction& op = instructions[size_t(i)];
    const bool takes = op.out >= 0 && places_[size_t(op.out)] < 0 && takes_residual(op, i, last);
    if (takes) places_[size_t(op.out)] = places_[size_t(op.residual)];
    else if (op.out >= 0 && places_[size_t(op.out)] < 0)
      places_[size_t(op.out)] = memory.take(floats_of(size_t(op.out)));
    int32_t freed[5] = {op.in, op.out, op.residual, op.graph, op.at};
    for (int k = 0; k < 5; ++k) {
      const int32_t slot = freed[k];
      const bool again = std::find(freed, freed + k, slot) != freed + k;
      if (slot < 0 || again || last[size_t(slot)] != i || (takes && slot == op.residual)) continue;
      memory.give_back(places_[size_t(slot)], floats_of(size_t(slot)));
    }
    if (is_adaptive(op.op)) {
      const int64_t frames = frames_[size_t(op.at >= 0 ? op.at : op.in)];
      scratch_ =
          std::max(scratch_, adaptive_scratch(*network_, op, program_->joints, frames));
    }
  }
  const int64_t needed = (scratch_ + kWidth - 1) / kWidth * kWidth;
  scratch_ = memory.end();
  floats_ = check_floats(scratch_ + needed);
}

View ClipNetwork::view(float* memory, int32_t number) const {
  const Slot& slot = network_->slots[size_t(number)];
  const int64_t frame = slot.channels * kWidth;
  return {memory + places_[size_t(number)] + slot.halo * frame,
          (frames_[size_t(number)] + 2 * slot.halo) * frame, frame};
}

void ClipNetwork::clear_halo(float* memory, int32_t number) const {
  const int64_t halo = network_->slots[size_t(number)].halo;
  if (halo == 0) return;
  const View out = view(memory, number);
  const size_t bytes = sizeof(float) * size_t(halo * out.frame);
  for (int64_t b = 0; b < network_->blocks; ++b) {
    float* first = out.data + b * out.block;
    memset(first - halo * out.frame, 0, bytes);
    memset(first + frames_[size_t(number)] * out.frame, 0, bytes);
  }
}

// Normalises a person into slot 0. Returns 0, or NaN if any value is not finite.
float ClipNetwork::fill_input(const Person& person, float* memory) const {
  const View out = view(memory, 0);
  const int64_t joints = program_->joints, channels = program_->channels;
  const int64_t slot = std::min(person.position, network_->persons - 1) * joints * channels;
  const float *scale = network_->scale.data + slot, *shift = network_->shift.data + slot;
  float spoilt = 0;
  for (int64_t b = 0; b < network_->blocks; ++b) {
    for (int64_t t = 0; t < person.frames; ++t) {
      float* to = out.data + b * out.block + t * out.frame;
      for (int64_t l = 0; l < kWidth; ++l) {
        const int64_t v = b * kWidth + l;
        // The other lanes are zeros: denormal numbers would be slow.
        if (v >= joints) {
          for (int64_t c = 0; c < channels; ++c) to[c * kWidth + l] = 0;
          continue;
        }
        const float* from = person.data + v * person.joint + t * person.frame;
        for (int64_t c = 0; c < channels; ++c) {
          spoilt += 0 * from[c];
          to[c * kWidth + l] = shift[v * channels + c] + scale[v * channels + c] * from[c];
        }
      }
    }
  }
  return spoilt;
}

void ClipNetwork::add_mean(float* memory, float factor, float spoilt, float* features) const {
  const View x = view(memory, network_->result);
  const int64_t channels = network_->slots[size_t(network_->result)].channels;
  const int64_t frames = frames_[size_t(network_->result)], joints = program_->joints;
  const float each = factor / float(frames * joints);
  for (int64_t c = 0; c < channels; ++c) {
    float total = spoilt;
    for (int64_t first = 0; first < joints; first += kWidth) {
      float sums[kWidth] = {};
      const float* row = x.data + first / kWidth * x.block + c * kWidth;
      for (int64_t t = 0; t < frames; ++t, row += x.frame)
        for (int64_t l = 0; l < kWidth; ++l) sums[l] += row[l];
      for (int64_t l = 0; l < std::min(kWidth, joints - first); ++l) total += sums[l];
    }
    features[c] += each * total;
  }
}

void ClipNetwork::run(const Machine& machine, const Person& person, float* memory, float factor,
                      float* features) const {
  const float spoilt = fill_input(person, memory);
  for (const Instruction& op : network_->instructions) run(machine, op, memory);
  add_mean(memory, factor, spoilt, features);
}

void ClipNetwork::run(const Machine& machine, const Instruction& op, float* memory) const {
  const int64_t blocks = network_->blocks;
  if (is_adaptive(op.op)) {
    const int32_t slot = op.at >= 0 ? op.at : op.in;
    float* graph = op.out >= 0 ? memory + places_[size_t(op.out)] : nullptr;
    return run_adaptive(machine, *network_, op, program_->joints, view(memory, slot),
                        frames_[size_t(slot)], graph, memory + scratch_);
  }
  View in = view(memory, op.in);
  const View out = view(memory, op.out);
  const View residual = op.residual >= 0 ? view(memory, op.residual) : View{};
  const int64_t frames = frames_[size_t(op.out)];
  clear_halo(memory, op.out);
  switch (op.op) {
    case Op::conv:
      in.data -= op.padding * in.frame;
      run_conv(machine, op, blocks, in, residual, out, frames);
      break;
    case Op::graph_conv: {
      const float* factors = op.graph >= 0 ? memory + places_[size_t(op.graph)] : nullptr;
      run_graph_conv(machine, op, blocks, in, residual, factors, out, frames);
      break;
    }
    case Op::maximum:
      in.data -= in.frame;
      run_maximum(machine, op, blocks, in, out, frames);
      break;
    default: run_add(op, blocks, network_->slots[size_t(op.in)].channels, in, residual, out, frames);
  }
}

}  // namespace stgcn
