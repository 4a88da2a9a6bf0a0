// A program in memory: what docs/reference/program.md describes, checked, with pointers into the file.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

namespace stgcn {

constexpr int64_t kWidth = 16;

template <class T>
struct Array {
  const T* data = nullptr;
  int64_t size = 0;
};
using Floats = Array<float>;
using Integers = Array<int32_t>;

// Features if `floats` is zero, else a graph.
struct Slot {
  int64_t channels = 0, halo = 0, floats = 0;
};

enum class Op : uint8_t {
  conv,
  graph_conv,
  maximum,
  add,
  mean_joint,
  spread_joint,
  similarity,
  channel_graph,
  group_graph,
  attention,
};

// Sparse rows as the kernels read them.
struct Rows {
  Integers starts, offsets;
  Floats values;
  int64_t rows = 0, groups = 1, block = 1;
};

// The fields of all operations; each has those that the document names.
struct Instruction {
  Op op = Op::add;
  // Slots, or -1.
  int32_t in = -1, out = -1, residual = -1, graph = -1, at = -1;
  int64_t channel = 0, in_channel = 0, padding = 0, stride = 1, span = 1;
  int64_t partitions = 1, channels = 0;
  bool relu = false, map_relu = false;
  Rows weight;
  Floats bias, row_bias;
  // Of graph_conv.
  Integers graph_starts, edges, ell_starts, ell_sources;
  Floats factors, ell_factors;
  bool together = false;
  // Floats from the factors of one partition, and one channel, to those of the next: of the graph
  // slot if there is one.
  int64_t factor_partition = 0, factor_channel = 0;
  // Of maximum and spread_joint.
  Floats scale, shift, factor;
  // Of the adaptive operations, in the order of the document.
  Floats weights[8];
};

struct Network {
  int64_t blocks = 0;
  std::vector<Slot> slots;
  std::vector<Instruction> instructions;
  int32_t result = 0;
  int64_t persons = 1;  // with a normalisation of their own
  Floats scale, shift;
};

// How a raw clip becomes the input.
struct Input {
  enum class Stream : uint8_t { joint, bone, joint_motion, bone_motion };
  std::vector<Stream> streams;
  int64_t frames = 0, persons = -1, seed = 255;
  bool planar = false, scored = false, fractions = false, scale = false, align = true;
  float score_threshold = 0.01f;
  int32_t root = 0;
  std::vector<int32_t> trunk, spine, shoulders, bones, parents;
  Floats mean, std;
};

struct Program {
  int64_t joints = 0, channels = 0, features = 0, classes = 0;
  float temperature = 1;
  std::vector<Network> networks;
  Floats factors, head_weight, head_bias;
  Input input;
  std::vector<std::string> class_names;
  std::vector<std::string> joint_names;
  std::string about;
};

class File;

// Takes a program out of its file, which must stay open as long as the program is used, and checks
// every field: its operations cannot read or write outside of their slots. Throws
// std::runtime_error.
Program read_program(File& file);

}  // namespace stgcn
