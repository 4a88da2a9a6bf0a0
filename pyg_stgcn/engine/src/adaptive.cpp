#include "adaptive.h"

#include <math.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "adaptive_kernels.h"

namespace stgcn {
namespace {

void require(bool fits, const char* what) {
  if (!fits) throw std::runtime_error(std::string("adaptive operation: ") + what);
}

int64_t divide(int64_t size, int64_t by) { return by > 0 && size % by == 0 ? size / by : 0; }

// Everything that an operation needs, worked out once from its slots and the sizes of its arrays;
// sizes that do not divide are zero.
struct Shape {
  int64_t blocks, lanes, joints, inputs, partitions = 0, relations = 0, channels = 0;
  int64_t joint_span = 0, frame_span = 0, squeezed = 0;

  Shape(const Network& network, const Instruction& op, int64_t joints)
      : blocks(network.blocks),
        lanes(network.blocks * kWidth),
        joints(joints),
        inputs(network.slots[size_t(op.at >= 0 ? op.at : op.in)].channels) {
    const Floats* arrays = op.weights;
    const int64_t square = joints * lanes;
    if (op.op == Op::similarity) {
      partitions = op.partitions;
    } else if (op.op == Op::channel_graph) {
      partitions = divide(arrays[2].size, 2 * square);
      relations = divide(arrays[1].size, 2 * partitions);
      channels = divide(arrays[3].size, partitions * (relations + 2));
    } else if (op.op == Op::group_graph) {
      partitions = divide(arrays[2].size, square);
      relations = divide(arrays[1].size, 2 * partitions);
      channels = relations;
    } else if (op.op == Op::attention) {
      joint_span = divide(arrays[0].size, inputs);
      frame_span = divide(arrays[2].size, inputs);
      squeezed = arrays[5].size;
    }
  }

  int64_t square() const { return joints * lanes; }
};

// Scratch memory in parts of whole cache lines.
class Scratch {
 public:
  explicit Scratch(float* memory) : memory_(memory) {}
  float* take(int64_t floats) {
    float* part = memory_ + used_;
    used_ += (floats + kWidth - 1) / kWidth * kWidth;
    return part;
  }
  int64_t used() const { return used_; }

 private:
  float* memory_;
  int64_t used_ = 0;
};

struct RelationScratch {
  float *mean, *related, *relation;
  RelationScratch(const Shape& s, Scratch& scratch)
      : mean(scratch.take(s.inputs * s.lanes)),
        related(scratch.take(2 * s.partitions * s.relations * s.lanes)),
        relation(scratch.take(s.partitions * (s.relations + 2) * s.square())) {}
};

struct AttentionScratch {
  float *mean, *products, *joint, *weight, *means, *frame_products, *frame, *pooled, *squeezed,
      *channel;
  AttentionScratch(const Shape& s, int64_t frames, Scratch& scratch)
      : mean(scratch.take(s.inputs * s.lanes)),
        products(scratch.take(s.joint_span * s.lanes)),
        joint(scratch.take(s.lanes)),
        weight(scratch.take(s.lanes)),
        means(scratch.take(frames * s.inputs)),
        frame_products(scratch.take(frames * s.frame_span)),
        frame(scratch.take(frames)),
        pooled(scratch.take(s.inputs)),
        squeezed(scratch.take(s.squeezed)),
        channel(scratch.take(s.inputs)) {}
};

float gate_of(float x) { return 1 + 1 / (1 + expf(-x)); }

// What all of these need.
struct Run {
  const Machine& machine;
  const AdaptiveKernels& kernels;
  const Instruction& op;
  const Shape& shape;
  View x;
  int64_t frames;

  Frames of_block(int64_t b, int64_t begin, int64_t end) const {
    return {x.data + b * x.block + begin * x.frame, x.frame, end - begin, shape.inputs};
  }
  int64_t joints_of_block(int64_t b) const {
    return std::max<int64_t>(0, std::min<int64_t>(kWidth, shape.joints - b * kWidth));
  }
  // Means over the frames [channels, lanes].
  void mean_over_frames(float* out) const {
    machine.team->run(shape.inputs, [&](int64_t begin, int64_t end) {
      for (int64_t b = 0; b < shape.blocks; ++b) {
        const Frames part = {x.data + b * x.block + begin * kWidth, x.frame, frames, end - begin};
        kernels.frame_sums(part, joints_of_block(b), 1 / float(frames),
                           out + begin * shape.lanes + b * kWidth, shape.lanes);
      }
    });
  }
  // Sources, then targets, [2, partitions, relations, lanes].
  void relate(const RelationScratch& s) const {
    mean_over_frames(s.mean);
    const int64_t rows = op.weights[1].size, inputs = shape.inputs, lanes = shape.lanes;
    machine.team->run(rows, [&](int64_t begin, int64_t end) {
      kernels.product({op.weights[0].data + begin * inputs, inputs, 1, end - begin, inputs,
                       op.weights[1].data + begin, s.mean, lanes, lanes, s.related + begin * lanes,
                       lanes});
    });
  }

  void similarity(float* graph) const;
  void channel_graph(float* graph, const RelationScratch& s) const;
  void group_graph(float* graph, const RelationScratch& s) const;
  void attention(const AttentionScratch& s) const;
  void mean_joint(float* means) const;
  void spread_joint() const;
};

void Run::similarity(float* graph) const {
  const int64_t step = op.channels * kWidth, square = shape.square();
  machine.team->run(op.partitions, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      pyg_stgcn::PairTile work;
      work.a = x.data + k * step;
      work.b = work.a + op.partitions * step;
      work.block = x.block;
      work.frame = x.frame;
      work.frames = frames;
      work.channels = op.channels;
      work.joints = shape.joints;
      work.blocks = shape.blocks;
      work.out = graph + k * square;
      machine.kernels->pairs(work);
      kernels.gated_tanh(work.out, op.weights[0].data + k * square, op.weights[1].data + k * square,
                         1 / float(frames * op.channels), square);
    }
  });
}

void Run::channel_graph(float* graph, const RelationScratch& s) const {
  relate(s);
  const int64_t lanes = shape.lanes, square = shape.square(), relations = shape.relations;
  const int64_t rows = relations + 2;
  const float *fixed = op.weights[2].data, *refine = op.weights[3].data;
  machine.team->run(shape.partitions * rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t k = i / rows, r = i % rows;
      float* out = s.relation + i * square;
      if (r >= relations) {
        std::copy_n(fixed + (2 * k + r - relations) * square, square, out);
        continue;
      }
      const float* source = s.related + (k * relations + r) * lanes;
      const float* target = source + shape.partitions * relations * lanes;
      kernels.differences({source, target, nullptr, fixed + (2 * k + 1) * square, shape.joints, lanes,
                           out});
    }
  });
  machine.team->run(shape.partitions * shape.joints, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t k = begin / shape.joints, v = begin % shape.joints;
      const int64_t count = std::min(end - begin, shape.joints - v);
      kernels.product({refine + k * shape.channels * rows, rows, 1, shape.channels, rows, nullptr,
                       s.relation + k * rows * square + v * lanes, square, count * lanes,
                       graph + k * shape.channels * square + v * lanes, square});
      begin += count;
    }
  });
}

void Run::group_graph(float* graph, const RelationScratch& s) const {
  relate(s);
  const int64_t lanes = shape.lanes, square = shape.square(), relations = shape.relations;
  const auto array = [&](int number, int64_t k) { return op.weights[number].data + k * square; };
  machine.team->run(shape.partitions, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const float* source = s.related + k * relations * lanes;
      const float* target = source + shape.partitions * relations * lanes;
      float* common = s.relation + k * square;
      kernels.product({source, 1, lanes, shape.joints, relations, nullptr, target, lanes, lanes,
                       common, lanes});
      kernels.softmax(common, array(2, k), array(4, k), array(5, k), shape.joints, lanes);
      for (int64_t r = 0; r < relations; ++r)
        kernels.differences({source + r * lanes, target + r * lanes, common, array(3, k),
                             shape.joints, lanes, graph + (k * relations + r) * square});
    }
  });
}

void Run::attention(const AttentionScratch& s) const {
  const Floats* w = op.weights;
  const int64_t channels = shape.inputs, lanes = shape.lanes;
  mean_over_frames(s.mean);
  kernels.product({w[0].data, channels, 1, shape.joint_span, channels, nullptr, s.mean, lanes, lanes,
                   s.products, lanes});
  // The products of each tap, shifted by its place.
  const auto shifted = [](const float* products, int64_t row, int64_t span, int64_t place,
                          int64_t count) {
    float sum = 0;
    for (int64_t i = 0; i < span; ++i) {
      const int64_t at = place + i - span / 2;
      if (at >= 0 && at < count) sum += products[i * row + at];
    }
    return sum;
  };
  for (int64_t v = 0; v < lanes; ++v) {
    s.joint[v] = 0;
    if (v < shape.joints)
      s.joint[v] = gate_of(w[1].data[0] + shifted(s.products, lanes, shape.joint_span, v,
                                                  shape.joints));
    s.weight[v] = s.joint[v] / float(shape.joints);
  }
  machine.team->run(frames, [&](int64_t begin, int64_t end) {
    float* means = s.means + begin * channels;
    std::fill_n(means, (end - begin) * channels, 0.0f);
    for (int64_t b = 0; b < shape.blocks; ++b)
      kernels.joint_sums(of_block(b, begin, end), joints_of_block(b), s.weight + b * kWidth, means);
    for (int64_t i = 0; i < shape.frame_span; ++i)
      for (int64_t t = begin; t < end; ++t)
        s.frame_products[i * frames + t] =
            kernels.dot(w[2].data + i * channels, s.means + t * channels, channels);
  });
  std::fill_n(s.pooled, channels, 0.0f);
  for (int64_t t = 0; t < frames; ++t) {
    s.frame[t] = gate_of(w[3].data[0] + shifted(s.frame_products, frames, shape.frame_span, t,
                                                frames));
    const float* means = s.means + t * channels;
    for (int64_t c = 0; c < channels; ++c) s.pooled[c] += s.frame[t] / float(frames) * means[c];
  }
  for (int64_t r = 0; r < shape.squeezed; ++r) {
    const float sum = kernels.dot(w[4].data + r * channels, s.pooled, channels) + w[5].data[r];
    s.squeezed[r] = sum < 0 ? 0 : sum;
  }
  for (int64_t c = 0; c < channels; ++c)
    s.channel[c] = gate_of(kernels.dot(w[6].data + c * shape.squeezed, s.squeezed, shape.squeezed) +
                           w[7].data[c]);
  machine.team->run(frames, [&](int64_t begin, int64_t end) {
    for (int64_t b = 0; b < shape.blocks; ++b)
      kernels.gate(of_block(b, begin, end), s.joint + b * kWidth, s.frame + begin, s.channel);
  });
}

// The mean goes into the lane after the last joint.
void Run::mean_joint(float* means) const {
  const int64_t joints = shape.joints, channels = shape.inputs;
  float weight[kWidth];
  std::fill_n(weight, kWidth, 1 / float(joints));
  machine.team->run(frames, [&](int64_t begin, int64_t end) {
    float* part = means + begin * channels;
    std::fill_n(part, (end - begin) * channels, 0.0f);
    for (int64_t b = 0; b < shape.blocks; ++b)
      kernels.joint_sums(of_block(b, begin, end), joints_of_block(b), weight, part);
    for (int64_t t = begin; t < end; ++t) {
      float* to = x.data + joints / kWidth * x.block + t * x.frame + joints % kWidth;
      for (int64_t c = 0; c < channels; ++c) to[c * kWidth] = means[t * channels + c];
    }
  });
}

void Run::spread_joint() const {
  const int64_t joints = shape.joints, own = joints / kWidth;
  machine.team->run(frames, [&](int64_t begin, int64_t end) {
    // The block with the mean is the last: the others still read it.
    for (int64_t i = 0; i < shape.blocks; ++i) {
      const int64_t b = i == shape.blocks - 1 ? own : i < own ? i : i + 1;
      kernels.spread(of_block(b, begin, end), op.factor.data + b * kWidth,
                     x.data + own * x.block + begin * x.frame + joints % kWidth, x.frame,
                     op.scale.data, op.shift.data);
    }
  });
}

}  // namespace

bool is_adaptive(Op op) { return op >= Op::mean_joint; }

void check_adaptive(const Network& network, const Instruction& op, int64_t joints) {
  const Shape s(network, op, joints);
  const Floats* w = op.weights;
  require(s.inputs > 0, "its input is a graph");
  if (op.op == Op::mean_joint || op.op == Op::spread_joint) {
    require(joints < s.lanes, "no lane is free for the mean");
    const bool is_mean = op.op == Op::mean_joint;
    require(is_mean || (op.factor.size == s.lanes && op.scale.size == s.inputs &&
                        op.shift.size == s.inputs),
            "factor, scale or shift has another size than its lanes and channels");
    return;
  }
  if (op.op == Op::attention) {
    require(s.joint_span > 0 && s.joint_span % 2 == 1 && s.frame_span > 0 && s.frame_span % 2 == 1 &&
                s.joint_span <= 255 && s.frame_span <= 255,
            "the taps are not those of an odd number of places and the channels of its input");
    require(w[1].size == 1 && w[3].size == 1, "a gate of joints or frames has not one bias");
    require(s.squeezed > 0 && w[4].size == s.squeezed * s.inputs &&
                w[6].size == s.squeezed * s.inputs && w[7].size == s.inputs,
            "squeeze and excite do not fit to the channels of its input");
    return;
  }
  const int64_t floats = network.slots[size_t(op.out)].floats;
  if (op.op == Op::similarity) {
    require(op.partitions > 0 && op.channels > 0 && s.inputs == 2 * op.partitions * op.channels,
            "its input has not sources and targets for every partition and channel");
    require(w[0].size == op.partitions * s.square() && w[1].size == w[0].size && floats == w[0].size,
            "prior, gate or the graph is not [partitions, joints, lanes]");
    return;
  }
  require(s.partitions > 0 && s.relations > 0 && w[0].size == w[1].size * s.inputs,
          "relate does not fit to the channels of its input and the partitions");
  if (op.op == Op::channel_graph) {
    require(s.channels > 0 && floats == s.partitions * s.channels * s.square(),
            "refine does not fit to the relations and the graph");
    return;
  }
  const int64_t size = s.partitions * s.square();
  require(w[3].size == size && w[4].size == size && w[5].size == size,
          "prior, alpha, beta or kept is not [partitions, joints, lanes]");
  require(floats == s.relations * size, "the graph has another size than the groups");
}

int64_t adaptive_scratch(const Network& network, const Instruction& op, int64_t joints,
                         int64_t frames) {
  const Shape shape(network, op, joints);
  Scratch scratch(nullptr);
  if (op.op == Op::channel_graph || op.op == Op::group_graph) RelationScratch(shape, scratch);
  if (op.op == Op::attention) AttentionScratch(shape, frames, scratch);
  if (op.op == Op::mean_joint) scratch.take(frames * shape.inputs);
  return scratch.used();
}

void run_adaptive(const Machine& machine, const Network& network, const Instruction& op,
                  int64_t joints, View x, int64_t frames, float* graph, float* memory) {
  const Shape shape(network, op, joints);
  const Run run = {machine, *adaptive_kernels(machine.kernels->name), op, shape, x, frames};
  Scratch scratch(memory);
  switch (op.op) {
    case Op::similarity: return run.similarity(graph);
    case Op::channel_graph: return run.channel_graph(graph, RelationScratch(shape, scratch));
    case Op::group_graph: return run.group_graph(graph, RelationScratch(shape, scratch));
    case Op::attention: return run.attention(AttentionScratch(shape, frames, scratch));
    case Op::mean_joint: return run.mean_joint(memory);
    case Op::spread_joint: return run.spread_joint();
    default: return;
  }
}

}  // namespace stgcn
