#include "continual.h"

#include <string.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "check.h"

namespace stgcn {
namespace {

// Frames of the input that are worked on together where many are pushed at once.
constexpr int64_t kBurst = 8;
constexpr int64_t kMaxStride = 1 << 12, kMaxDelay = 1 << 20;

// Output frames that the first `frames` of the input allow, with zeros before the first.
int64_t count_ready(int64_t frames, int64_t padding, int64_t span, int64_t stride) {
  const int64_t spare = frames + padding - span;
  return spare < 0 ? 0 : spare / stride + 1;
}

}  // namespace

bool Continual::supports(const Network& network) {
  return std::all_of(network.instructions.begin(), network.instructions.end(),
                     [](const Instruction& op) {
                       // More padding than that makes frames of zeros alone, before any input.
                       if (op.op == Op::conv) return op.padding < op.span;
                       return op.op == Op::maximum || op.op == Op::add ||
                              (op.op == Op::graph_conv && op.graph < 0);
                     });
}

Continual::Continual(const Program& program, const Network& network, int64_t window)
    : network_(network), joints_(program.joints) {
  connect();
  place_queues();
  const Queue& result = queues_[size_t(network.result)];
  row_.resize(size_t(result.channels));
  // As many frames as a clip of the window has, or one if its layers need more.
  std::vector<int64_t> counts;
  const bool fits = count_frames(network, window, counts) < 0;
  const int64_t frames = fits ? counts[size_t(network.result)] : 1;
  if (frames > kMostFloats / 2 / result.channels)
    throw std::runtime_error("a window of " + std::to_string(window) +
                             " frames needs more than a gigabyte");
  features_ = WindowSum(result.channels, frames);
  floats_ += 2 * frames * result.channels;  // its sums are double
  reset();
}

// Strides and delays, in frames of the input.
void Continual::connect() {
  for (const Slot& slot : network_.slots) {
    queues_.emplace_back();
    queues_.back().channels = slot.channels;
  }
  queues_[0].stride = 1;
  steps_.reserve(network_.instructions.size());
  for (const Instruction& op : network_.instructions) {
    Step step;
    step.op = &op;
    if (op.op == Op::conv || op.op == Op::maximum) step.stride = op.stride;
    if (op.op == Op::conv) step.padding = op.padding, step.span = op.span;
    if (op.op == Op::maximum) step.padding = 1, step.span = 3;
    steps_.push_back(step);
    connect(op, int32_t(steps_.size() - 1));
  }
  if (queues_[size_t(network_.result)].stride == 0)
    throw std::runtime_error("no instruction writes the result of the network");
}

void Continual::connect(const Instruction& op, int32_t number) {
  const Step& step = steps_[size_t(number)];
  Queue &in = queues_[size_t(op.in)], &out = queues_[size_t(op.out)];
  in.readers.push_back(number);
  in.lead = std::max(in.lead, step.padding);
  in.tail = std::max(in.tail, step.padding);
  const int64_t stride = in.stride * step.stride;
  int64_t delay = in.delay + (step.span - 1 - step.padding) * in.stride;
  if (op.residual >= 0) {
    Queue& residual = queues_[size_t(op.residual)];
    residual.adders.push_back(number);
    delay = std::max(delay, residual.delay);
    if (residual.stride != stride) throw std::runtime_error("a residual has another stride");
  }
  if (stride < 1 || stride > kMaxStride || delay < 0 || delay > kMaxDelay)
    throw std::runtime_error("the strides or spans of the network are too large for a stream");
  if (!out.writers.empty() && out.stride != stride)
    throw std::runtime_error("two parts of a layer have different strides");
  out.earliest = out.writers.empty() ? delay : std::min(out.earliest, delay);
  out.writers.push_back(number);
  out.stride = stride;
  out.delay = std::max(out.delay, delay);
}

// The capacity of a queue follows from the time between its frames and the last use of them.
void Continual::place_queues() {
  const Queue& result = queues_[size_t(network_.result)];
  const int64_t burst = (kBurst + result.stride - 1) / result.stride * result.stride;
  for (Queue& queue : queues_) {
    if (queue.stride == 0) continue;
    const auto kept = [&](int64_t delay, int64_t padding) {
      return (burst - 1 + delay - queue.earliest) / queue.stride + 2 + padding;
    };
    // The fastest writer of a queue is ahead of the slowest one.
    int64_t frames = kept(queue.delay, 0);
    for (int32_t n : queue.readers) {
      const Step& step = steps_[size_t(n)];
      const int64_t delay = queues_[size_t(step.op->out)].delay;
      frames = std::max(frames, kept(delay, step.padding) + step.stride);
    }
    for (int32_t n : queue.adders)
      frames = std::max(frames, kept(queues_[size_t(steps_[size_t(n)].op->out)].delay, 0));
    // Twice as many: then frames move seldom.
    queue.capacity = 2 * frames;
    floats_ += network_.blocks * queue.capacity * queue.channels * kWidth;
    if (floats_ > kMostFloats) throw std::runtime_error("a stream needs more than a gigabyte");
  }
  memory_.reset(new_floats(size_t(floats_), true));
  float* data = memory_.get();
  for (Queue& queue : queues_) {
    queue.data = data;
    data += network_.blocks * queue.capacity * queue.channels * kWidth;
  }
}

void Continual::reset() {
  for (Queue& queue : queues_) {
    queue.first = -queue.lead;
    queue.end = queue.zeros = 0;
    const View start = view(queue, queue.first);
    for (int64_t b = 0; b < network_.blocks; ++b)
      memset(start.data + b * start.block, 0, size_t(queue.lead * start.frame) * sizeof(float));
  }
  for (Step& step : steps_) step.done = step.total = 0;
  ended_ = false;
  taken_ = 0;
  features_.clear();
}

int64_t Continual::push(const Machine& machine, const float* x, int64_t frames) {
  Queue& input = queues_[0];
  const Queue& result = queues_[size_t(network_.result)];
  const int64_t before = taken_;
  while (frames > 0) {
    const int64_t count = make_room(input, input.end, frames);
    append_input(x, count);
    x += count * joints_ * input.channels;
    frames -= count;
    // In bursts: the kernels are faster with several frames at once.
    if (frames == 0 && input.end <= taken_ * result.stride + result.delay) break;
    if (!run(machine) && count == 0) throw std::logic_error("the stream does not go on");
  }
  return taken_ - before;
}

int64_t Continual::finish(const Machine& machine) {
  if (queues_[0].end == 0) return 0;
  for (Step& step : steps_) {
    const Queue& in = queues_[size_t(step.op->in)];
    const int64_t frames =
        in.writers.empty() ? in.end : steps_[size_t(in.writers.front())].total;
    // A layer that sees no frame has no output, however many zeros are around.
    step.total = frames == 0
                     ? 0
                     : count_ready(frames + step.padding, step.padding, step.span, step.stride);
  }
  ended_ = true;
  const int64_t before = taken_;
  run(machine);
  return taken_ - before;
}

// Advances all steps as far as the input allows; returns whether any did.
bool Continual::run(const Machine& machine) {
  bool any = false, moved = true;
  // A queue that was full has room again when its readers have advanced.
  for (cut_ = true; cut_ && moved; any = any || moved) {
    moved = cut_ = false;
    for (Step& step : steps_) moved = advance(machine, step) || moved;
    moved = take_features() || moved;
  }
  return any;
}

bool Continual::advance(const Machine& machine, Step& step) {
  const Instruction& op = *step.op;
  Queue &in = queues_[size_t(op.in)], &out = queues_[size_t(op.out)];
  if (ended_) append_zeros(in);
  int64_t ready = count_ready(in.end + in.zeros, step.padding, step.span, step.stride);
  if (op.residual >= 0) ready = std::min(ready, queues_[size_t(op.residual)].end);
  if (ended_) ready = std::min(ready, step.total);
  if (ready <= step.done) return false;
  const int64_t frames = make_room(out, step.done, ready - step.done);
  if (frames == 0) return false;
  const View from = view(in, step.done * step.stride - step.padding), to = view(out, step.done);
  View residual;
  if (op.residual >= 0) residual = view(queues_[size_t(op.residual)], step.done);
  const int64_t blocks = network_.blocks;
  switch (op.op) {
    case Op::conv: run_conv(machine, op, blocks, from, residual, to, frames); break;
    case Op::graph_conv:
      run_graph_conv(machine, op, blocks, from, residual, nullptr, to, frames);
      break;
    case Op::maximum: run_maximum(machine, op, blocks, from, to, frames); break;
    default: run_add(op, blocks, out.channels, from, residual, to, frames);
  }
  step.done += frames;
  out.end = step.done;
  for (int32_t n : out.writers) out.end = std::min(out.end, steps_[size_t(n)].done);
  return true;
}

// Pools the complete frames of the result over the joints; returns whether there were any.
bool Continual::take_features() {
  const Queue& result = queues_[size_t(network_.result)];
  const bool any = taken_ < result.end;
  for (; taken_ < result.end; ++taken_) {
    const View frame = view(result, taken_);
    for (int64_t c = 0; c < result.channels; ++c) {
      float sums[kWidth] = {};
      for (int64_t b = 0; b < network_.blocks; ++b) {
        const float* lanes = frame.data + b * frame.block + c * kWidth;
        const int64_t count = std::min(kWidth, joints_ - b * kWidth);
        for (int64_t l = 0; l < count; ++l) sums[l] += lanes[l];
      }
      for (int64_t half = kWidth / 2; half > 0; half /= 2)
        for (int64_t l = 0; l < half; ++l) sums[l] += sums[l + half];
      row_[size_t(c)] = sums[0] / float(joints_);
    }
    features_.push(row_.data());
  }
  return any;
}

// The oldest frame that somebody still reads or writes.
int64_t Continual::oldest_needed(const Queue& queue) const {
  int64_t oldest = queue.end + queue.zeros;
  if (&queue == &queues_[size_t(network_.result)]) oldest = std::min(oldest, taken_);
  for (int32_t n : queue.readers) {
    const Step& step = steps_[size_t(n)];
    oldest = std::min(oldest, step.done * step.stride - step.padding);
  }
  for (int32_t n : queue.adders) oldest = std::min(oldest, steps_[size_t(n)].done);
  return std::max(oldest, queue.first);
}

int64_t Continual::newest(const Queue& queue) const {
  int64_t newest = queue.end + queue.zeros;
  for (int32_t n : queue.writers) newest = std::max(newest, steps_[size_t(n)].done);
  return newest;
}

// Makes room for frames from number `from` on; returns for how many of those that are wanted.
int64_t Continual::make_room(Queue& queue, int64_t from, int64_t wanted) {
  if (from + wanted > queue.first + queue.capacity) {
    const int64_t first = oldest_needed(queue), count = newest(queue) - first;
    const View old = view(queue, first);
    queue.first = first;
    const View place = view(queue, first);
    for (int64_t b = 0; b < network_.blocks; ++b)
      memmove(place.data + b * place.block, old.data + b * old.block,
              size_t(count * old.frame) * sizeof(float));
  }
  const int64_t room = queue.first + queue.capacity - from;
  if (room < wanted) cut_ = true;
  return std::min(room, wanted);
}

// The zeros after a sequence that has ended.
void Continual::append_zeros(Queue& queue) {
  const int64_t total =
      queue.writers.empty() ? queue.end : steps_[size_t(queue.writers.front())].total;
  if (queue.end < total || queue.zeros == queue.tail) return;
  const int64_t from = queue.end + queue.zeros;
  const int64_t count = make_room(queue, from, queue.tail - queue.zeros);
  const View place = view(queue, from);
  for (int64_t b = 0; b < network_.blocks; ++b)
    memset(place.data + b * place.block, 0, size_t(count * place.frame) * sizeof(float));
  queue.zeros += count;
}

void Continual::append_input(const float* x, int64_t frames) {
  Queue& input = queues_[0];
  const int64_t channels = input.channels;
  const View place = view(input, input.end);
  for (int64_t f = 0; f < frames; ++f) {
    for (int64_t v = 0; v < joints_; ++v) {
      float* lane = place.data + f * place.frame + v / kWidth * place.block + v % kWidth;
      for (int64_t c = 0; c < channels; ++c) {
        // Of the first person of a clip.
        const int64_t i = v * channels + c;
        lane[c * kWidth] = network_.shift.data[i] + network_.scale.data[i] * x[i];
      }
    }
    x += joints_ * channels;
  }
  input.end += frames;
}

View Continual::view(const Queue& queue, int64_t frame) const {
  const int64_t size = queue.channels * kWidth;
  return {queue.data + (frame - queue.first) * size, queue.capacity * size, size};
}

}  // namespace stgcn
