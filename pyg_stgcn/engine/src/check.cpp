#include "check.h"

#include "adaptive.h"
#include "fields.h"

namespace stgcn {
namespace {

// Larger models would not be run on a CPU; products of these do not overflow.
constexpr int64_t kMostRows = 1 << 20;
constexpr int64_t kMostSpan = 1 << 16;

std::string text(int64_t number) { return std::to_string(number); }

// One instruction after another. The work is linear in the size of the file: what a slot holds is a
// number, whatever its channels are.
class Checker {
 public:
  Checker(const Program& program, Network& network, const std::string& where)
      : program_(program), network_(network), where_(where), written_(network.slots.size()) {}

  void run() {
    if (network_.slots[0].channels != program_.channels || network_.slots[0].halo != 0)
      refuse(where_ + " does not begin with a slot of " + text(program_.channels) +
             " channels without halo");
    write(0, 0, program_.channels);
    for (size_t i = 0; i < network_.instructions.size(); ++i) {
      place_ = where_ + ", instruction " + text(int64_t(i));
      check(network_.instructions[i]);
    }
    place_ = where_;
    if (features(network_.result, "result").channels != program_.features)
      wrong("result", network_.result, text(program_.features) + " channels");
    std::vector<int64_t> frames;
    const int64_t failed = count_frames(network_, program_.input.frames, frames);
    if (failed >= 0)
      refuse(where_ + ", instruction " + text(failed) + ": the numbers of frames do not fit, of " +
             text(program_.input.frames) + " frames of the input");
  }

 private:
  [[noreturn]] void wrong(const char* name, int64_t value, const std::string& wanted) const {
    refuse(place_ + " has " + name + " " + text(value) + ", not " + wanted);
  }
  void want(const char* name, int64_t value, int64_t least, int64_t most) const {
    if (value < least || value > most)
      wrong(name, value, "a number from " + text(least) + " to " + text(most));
  }
  template <class T>
  void want_size(const char* name, const Array<T>& array, int64_t size) const {
    if (array.size != size)
      refuse(place_ + " has " + text(array.size) + " values as " + name + ", not " + text(size));
  }

  // A slot that can be read.
  const Slot& features(int32_t number, const char* name) const {
    const Slot& slot = network_.slots[size_t(number)];
    if (slot.floats > 0) wrong(name, number, "a slot of features");
    require_complete(number, name);
    return slot;
  }
  const Slot& graph(int32_t number, const char* name) const {
    const Slot& slot = network_.slots[size_t(number)];
    if (slot.floats == 0) wrong(name, number, "a slot of a graph");
    require_complete(number, name);
    return slot;
  }
  // A graph is one channel.
  int64_t channels_of(int32_t number) const {
    const Slot& slot = network_.slots[size_t(number)];
    return slot.floats > 0 ? 1 : slot.channels;
  }
  void require_complete(int32_t number, const char* name) const {
    if (written_[size_t(number)] != channels_of(number))
      wrong(name, number, "a slot whose channels have all been written before");
  }

  void write(int32_t number, int64_t begin, int64_t count) {
    const int64_t channels = channels_of(number);
    int64_t& written = written_[size_t(number)];
    if (count < 1 || begin + count > channels)
      refuse(place_ + " writes " + text(count) + " channels from " + text(begin) + " of slot " +
             text(number) + ", which has " + text(channels));
    if (begin < written) wrong("out", number, "a slot that has not been written before");
    if (begin > written)
      refuse(place_ + " writes slot " + text(number) + " from channel " + text(begin) +
             " on, before channel " + text(written));
    written += count;
  }
  void write_features(const Instruction& op, int64_t begin, int64_t count) {
    if (network_.slots[size_t(op.out)].floats > 0) wrong("out", op.out, "a slot of features");
    write(op.out, begin, count);
  }
  void check_residual(const Instruction& op, int64_t channels) const {
    if (op.residual >= 0 && features(op.residual, "residual").channels != channels)
      wrong("residual", op.residual, "a slot of " + text(channels) + " channels");
  }

  void check(Instruction& op) {
    switch (op.op) {
      case Op::conv: return conv(op);
      case Op::graph_conv: return graph_conv(op);
      case Op::maximum: return maximum(op);
      case Op::add: return add(op);
      case Op::mean_joint:
      case Op::spread_joint:
      case Op::attention: features(op.at, "at"); break;
      default:
        features(op.in, "in");
        if (network_.slots[size_t(op.out)].floats == 0) wrong("out", op.out, "a slot of a graph");
        write(op.out, 0, 1);
    }
    check_adaptive(network_, op, program_.joints);
  }

  // Starts that do not decrease, from 0 to `last`.
  void starts(const char* name, const Integers& starts, int64_t count, int64_t last) const {
    want_size(name, starts, count);
    if (starts.data[0] != 0) wrong(name, starts.data[0], "0 at first");
    for (int64_t i = 1; i < count; ++i)
      if (starts.data[i] < starts.data[i - 1])
        wrong(name, starts.data[i], "at least the one before, at " + text(i));
    if (starts.data[count - 1] != last)
      wrong(name, starts.data[count - 1], text(last) + " at last");
  }

  // `reach`: floats of the input that an output frame may read.
  void rows(Rows& rows, int64_t reach) const {
    want("groups", rows.groups, 1, kMostRows);
    if (rows.block != 1 && rows.block != pyg_stgcn::kBlock) wrong("block", rows.block, "1 or 8");
    if (rows.starts.size < 2 || (rows.starts.size - 1) % rows.groups != 0)
      refuse(place_ + " has " + text(rows.starts.size) + " values as starts, which do not fit to " +
             text(rows.groups) + " groups");
    rows.rows = (rows.starts.size - 1) / rows.groups;
    want("rows", rows.rows, 1, kMostRows);
    starts("starts", rows.starts, rows.starts.size, rows.offsets.size);
    want_size("values", rows.values, rows.offsets.size * rows.block);
    for (int64_t i = 0; i < rows.offsets.size; ++i) {
      const int64_t offset = rows.offsets.data[i];
      if (offset < 0 || offset + kWidth > reach || offset % kWidth != 0)
        wrong("offsets", offset,
              "a multiple of 16 from 0 to " + text(reach - kWidth) + ", at " + text(i));
    }
  }

  void conv(Instruction& op) {
    const Slot& in = features(op.in, "in");
    want("span", op.span, 1, kMostSpan);
    want("stride", op.stride, 1, kMostSpan);
    want("padding", op.padding, 0, in.halo);
    rows(op.weight, op.span * in.channels * kWidth);
    const int64_t channels = op.weight.rows * op.weight.block;
    want_size("bias", op.bias, channels);
    check_residual(op, channels);
    write_features(op, op.channel, channels);
  }

  void graph_conv(Instruction& op) {
    const Slot& in = features(op.in, "in");
    const int64_t lanes = network_.blocks * kWidth;
    rows(op.weight, in.channels * kWidth);
    if (op.weight.rows % op.partitions != 0)
      wrong("partitions", op.partitions, "a divisor of the " + text(op.weight.rows) + " rows");
    const int64_t channels = op.weight.rows / op.partitions;
    want_size("bias", op.bias, channels * lanes);
    want_size("row_bias", op.row_bias, op.weight.rows);
    check_residual(op, channels);
    edges(op, factors(op, channels));
    ell(op, lanes);
    if (channels != network_.slots[size_t(op.out)].channels)
      wrong("out", op.out, "a slot of " + text(channels) + " channels");
    write_features(op, 0, channels);
  }

  // Finds the places of factors; returns how many each partition and channel has.
  int64_t factors(Instruction& op, int64_t channels) const {
    if (op.graph < 0) {
      if (op.factors.size % op.partitions != 0)
        refuse(place_ + " has " + text(op.factors.size) + " values as factors for " +
               text(op.partitions) + " partitions");
      op.factor_partition = op.factors.size / op.partitions;
      op.factor_channel = 0;
      return op.factor_partition;
    }
    const int64_t each = program_.joints * network_.blocks * kWidth;
    const int64_t floats = graph(op.graph, "graph").floats;
    const bool by_channel = floats == op.partitions * channels * each;
    if (!by_channel && floats != op.partitions * each)
      wrong("graph", op.graph,
            "a slot of " + text(op.partitions * each) + " floats, or of so many per channel");
    op.factor_channel = by_channel ? each : 0;
    op.factor_partition = by_channel ? channels * each : each;
    return each;
  }

  void edges(Instruction& op, int64_t factors) const {
    const int64_t count = op.edges.size / 2, blocks = network_.blocks;
    if (op.edges.size % 2 != 0) wrong("edges", op.edges.size, "an even number of values");
    starts("graph_starts", op.graph_starts, op.partitions * blocks + 1, count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t source = op.edges.data[2 * i], factor = op.edges.data[2 * i + 1];
      if (source < 0 || source >= blocks * kWidth || factor < 0 || factor + kWidth > factors)
        refuse(place_ + " has the edge " + text(i) + " from joint " + text(source) + " at factor " +
               text(factor) + ", outside of the graph");
    }
    op.together = together(op);
  }

  // Whether the blocks of every partition have the same sources, and their factors side by side.
  bool together(const Instruction& op) const {
    const int32_t* starts = op.graph_starts.data;
    for (int64_t i = 0; i < op.partitions * network_.blocks; ++i) {
      const int64_t h = i % network_.blocks, first = starts[i - h];
      const int64_t count = starts[i - h + 1] - first;
      if (starts[i + 1] - starts[i] != count) return false;
      for (int64_t e = 0; e < count; ++e) {
        const int32_t *own = op.edges.data + 2 * (starts[i] + e);
        const int32_t *other = op.edges.data + 2 * (first + e);
        if (own[0] != other[0] || own[1] != other[1] + h * kWidth) return false;
      }
    }
    return true;
  }

  void ell(const Instruction& op, int64_t lanes) const {
    want_size("ell_factors", op.ell_factors, op.ell_sources.size);
    if (op.ell_starts.size == 0) return want_size("ell_sources", op.ell_sources, 0);
    if (op.ell_sources.size % lanes != 0)
      wrong("ell_sources", op.ell_sources.size, "a multiple of the lanes");
    starts("ell_starts", op.ell_starts, op.partitions + 1, op.ell_sources.size / lanes);
    for (int64_t i = 0; i < op.ell_sources.size; ++i) {
      const int64_t source = op.ell_sources.data[i];
      if (source < 0 || source >= lanes)
        wrong("ell_sources", source, "a joint of " + text(lanes) + " lanes, at " + text(i));
    }
  }

  void maximum(const Instruction& op) {
    const Slot& in = features(op.in, "in");
    want("stride", op.stride, 1, kMostSpan);
    if (in.halo < 1) wrong("in", op.in, "a slot with a halo");
    want_size("shift", op.shift, op.scale.size);
    want("in_channel", op.in_channel, 0, in.channels - op.scale.size);
    write_features(op, op.channel, op.scale.size);
  }

  void add(const Instruction& op) {
    const int64_t channels = features(op.in, "in").channels;
    check_residual(op, channels);
    if (channels != network_.slots[size_t(op.out)].channels)
      wrong("out", op.out, "a slot of " + text(channels) + " channels");
    write_features(op, 0, channels);
  }

  const Program& program_;
  Network& network_;
  const std::string& where_;
  std::string place_;
  std::vector<int64_t> written_;  // channels of every slot, from the first on
};

}  // namespace

void check_network(const Program& program, Network& network, const std::string& where) {
  Checker(program, network, where).run();
}

int64_t count_frames(const Network& network, int64_t input, std::vector<int64_t>& frames) {
  frames.assign(network.slots.size(), 0);
  frames[0] = input;
  for (size_t i = 0; i < network.instructions.size(); ++i) {
    const Instruction& op = network.instructions[i];
    if (op.out < 0 || network.slots[size_t(op.out)].floats > 0) continue;
    const int64_t in = frames[size_t(op.in)];
    int64_t out = in;
    if (op.op == Op::conv) {
      const int64_t spare = in + 2 * op.padding - op.span;
      out = spare < 0 ? 0 : spare / op.stride + 1;
    } else if (op.op == Op::maximum) {
      out = (in - 1) / op.stride + 1;
    }
    int64_t& known = frames[size_t(op.out)];
    if (out < 1 || (known != 0 && known != out) ||
        (op.residual >= 0 && frames[size_t(op.residual)] != out))
      return int64_t(i);
    known = out;
  }
  return -1;
}

}  // namespace stgcn
