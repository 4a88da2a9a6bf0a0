#include "program.h"

#include "adaptive.h"
#include "check.h"
#include "fields.h"
#include "prepare.h"

namespace stgcn {
namespace {

using Kind = Json::Kind;
using Value = Json::Value;

constexpr int64_t kMostChannels = 1 << 16;
constexpr int64_t kMostFrames = 1 << 20;
constexpr int64_t kMostPersons = 1000;
constexpr int64_t kMostNumber = INT32_MAX;
// Slots, and instructions, of a network: a hundred stages of branches have a quarter of that. Memory
// is planned in a time that grows with the square of their number.
constexpr int64_t kMostParts = 1 << 12;

constexpr const char* kOps[] = {"conv",       "graph_conv",   "maximum",    "add",
                                "mean_joint", "spread_joint", "similarity", "channel_graph",
                                "group_graph", "attention"};
constexpr int kNumOps = int(sizeof(kOps) / sizeof(kOps[0]));

// One instruction: its fields and its arrays.
class InstructionReader {
 public:
  InstructionReader(File& file, const std::string& place, Value entry, int64_t slots)
      : file_(file), place_(place + "."), fields_(entry, "instruction " + place), slots_(slots) {
    const std::string name = fields_.text("op");
    int number = 0;
    while (number < kNumOps && name != kOps[number]) ++number;
    if (number == kNumOps) refuse(fields_.where() + " has the unknown operation " + shown(name));
    op_.op = Op(number);
  }

  Instruction read() {
    switch (op_.op) {
      case Op::conv: conv(); break;
      case Op::graph_conv: graph_conv(); break;
      case Op::maximum: maximum(); break;
      case Op::add:
        slot("in", op_.in);
        slot("residual", op_.residual);
        slot("out", op_.out);
        flag("relu", op_.relu);
        break;
      case Op::mean_joint: slot("at", op_.at); break;
      case Op::spread_joint:
        slot("at", op_.at);
        op_.factor = floats("factor");
        op_.scale = floats("scale");
        op_.shift = floats("shift");
        break;
      case Op::similarity:
        makes_graph();
        number("partitions", op_.partitions, 1);
        number("channels", op_.channels, 1);
        weights({"prior", "gate"});
        break;
      case Op::channel_graph:
        makes_graph();
        weights({"relate_weight", "relate_bias", "fixed", "refine"});
        break;
      case Op::group_graph:
        makes_graph();
        weights({"relate_weight", "relate_bias", "prior", "alpha", "beta", "kept"});
        break;
      case Op::attention:
        slot("at", op_.at);
        weights({"joint_taps", "joint_bias", "frame_taps", "frame_bias", "squeeze_weight",
                 "squeeze_bias", "excite_weight", "excite_bias"});
        break;
    }
    fields_.done();
    return op_;
  }

 private:
  void conv() {
    slot("in", op_.in);
    slot("out", op_.out);
    slot("residual", op_.residual, -1);
    number("channel", op_.channel, 0);
    number("padding", op_.padding, 0);
    number("stride", op_.stride, 1);
    number("span", op_.span, 1);
    number("groups", op_.weight.groups, 1);
    number("block", op_.weight.block, 1);
    flag("relu", op_.relu);
    rows();
    op_.bias = floats("bias");
  }

  void graph_conv() {
    slot("in", op_.in);
    slot("out", op_.out);
    slot("residual", op_.residual, -1);
    slot("graph", op_.graph, -1);
    number("partitions", op_.partitions, 1);
    flag("map_relu", op_.map_relu);
    flag("relu", op_.relu);
    rows();
    op_.bias = floats("bias");
    op_.row_bias = floats("row_bias");
    op_.graph_starts = integers("graph_starts");
    op_.edges = integers("edges");
    op_.factors = floats("factors");
    op_.ell_starts = integers("ell_starts");
    op_.ell_sources = integers("ell_sources");
    op_.ell_factors = floats("ell_factors");
  }

  void maximum() {
    slot("in", op_.in);
    slot("out", op_.out);
    number("in_channel", op_.in_channel, 0);
    number("channel", op_.channel, 0);
    number("stride", op_.stride, 1);
    flag("relu", op_.relu);
    op_.scale = floats("scale");
    op_.shift = floats("shift");
  }

  void makes_graph() {
    slot("in", op_.in);
    slot("out", op_.out);
  }
  void slot(const char* name, int32_t& to, int64_t least = 0) {
    to = int32_t(fields_.whole(name, least, slots_ - 1));
  }
  void number(const char* name, int64_t& to, int64_t least) {
    to = fields_.whole(name, least, kMostNumber);
  }
  void flag(const char* name, bool& to) { to = fields_.whole(name, 0, 1) != 0; }
  Floats floats(const char* name) { return take_floats(file_, place_ + name); }
  Integers integers(const char* name) { return take_integers(file_, place_ + name); }
  void rows() {
    op_.weight.starts = integers("starts");
    op_.weight.offsets = integers("offsets");
    op_.weight.values = floats("values");
  }
  void weights(std::initializer_list<const char*> names) {
    Floats* to = op_.weights;
    for (const char* name : names) *to++ = floats(name);
  }

  File& file_;
  std::string place_;
  Fields fields_;
  int64_t slots_;
  Instruction op_;
};

Slot read_slot(Value entry, const std::string& where) {
  Fields fields(entry, where);
  Slot slot;
  if (fields.has("floats")) {
    slot.floats = fields.whole("floats", 1, kMostNumber);
  } else {
    slot.channels = fields.whole("channels", 1, kMostChannels);
    slot.halo = fields.whole("halo", 0, kMostFrames);
  }
  fields.done();
  return slot;
}

Network read_network(File& file, const Program& program, Value entry, const std::string& n) {
  Fields fields(entry, "network " + n);
  Network network;
  network.blocks = fields.whole("blocks", 1, pyg_stgcn::kMaxBlocks);
  if (program.joints > network.blocks * kWidth)
    refuse(fields.where() + " has " + std::to_string(network.blocks) + " blocks of 16 lanes for " +
           std::to_string(program.joints) + " joints");
  const auto list = [&](const char* name) {
    const Value found = fields.value(name, Kind::list);
    if (found.size() > kMostParts)
      refuse(fields.where() + " has " + std::to_string(found.size()) + " " + name +
             ", more than " + std::to_string(kMostParts));
    return Json::Items(found);
  };
  Value item = entry;
  Json::Items slots = list("slots");
  while (slots.next(item))
    network.slots.push_back(
        read_slot(item, "slot " + std::to_string(network.slots.size()) + " of network " + n));
  const int64_t count = int64_t(network.slots.size());
  if (count == 0) refuse(fields.where() + " has no slots");
  Json::Items instructions = list("instructions");
  while (instructions.next(item)) {
    const std::string place = n + "." + std::to_string(network.instructions.size());
    network.instructions.push_back(InstructionReader(file, place, item, count).read());
  }
  network.result = int32_t(fields.whole("result", 0, count - 1));
  fields.done();
  const std::string scale = n + ".scale";
  network.scale = take_floats(file, scale, {-1, program.joints, program.channels});
  network.persons = file.find(scale)->shape[0];
  if (network.persons == 0) refuse("the tensor " + scale + " has no persons");
  network.shift =
      take_floats(file, n + ".shift", {network.persons, program.joints, program.channels});
  return network;
}

Input read_input(File& file, const Program& program, Value entry) {
  Fields fields(entry, "input");
  Input input;
  static constexpr const char* kStreams[] = {"joint", "bone", "joint-motion", "bone-motion"};
  for (const std::string& name : fields.texts("streams")) {
    int number = 0;
    while (number < 4 && name != kStreams[number]) ++number;
    if (number == 4) refuse("input has the unknown stream " + shown(name));
    input.streams.push_back(Input::Stream(number));
  }
  const int64_t last = program.joints - 1;
  input.frames = fields.whole("frames", 1, kMostFrames);
  input.planar = fields.boolean("planar");
  input.scored = fields.boolean("scored");
  input.fractions = fields.boolean("fractions");
  input.score_threshold = float(fields.number("score_threshold", -1e30, 1e30));
  input.persons = fields.whole("persons", -1, kMostPersons);
  input.seed = fields.whole("seed", 0, int64_t(1) << 53);
  input.scale = fields.boolean("scale");
  input.align = fields.boolean("align");
  input.root = int32_t(fields.whole("root", 0, last));
  input.trunk = fields.wholes("trunk", 0, last);
  input.spine = fields.wholes("spine", 0, last);
  input.shoulders = fields.wholes("shoulders", 0, last);
  input.bones = fields.wholes("bones", 0, last);
  input.parents = fields.wholes("parents", 0, last);
  fields.done();
  if (file.find("input.mean") || file.find("input.std")) {
    input.mean = take_floats(file, "input.mean", {program.joints, program.channels});
    input.std = take_floats(file, "input.std", {program.joints, program.channels});
  }
  return input;
}

void read_about(Program& program, Value entry) {
  Fields about(entry, "about");
  program.about = std::string(entry.source());
  program.class_names = about.texts("classes");
  if (int64_t(program.class_names.size()) != program.classes)
    refuse("about has " + std::to_string(program.class_names.size()) + " names for " +
           std::to_string(program.classes) + " classes");
  Fields skeleton(about.value("skeleton", Kind::object), "skeleton of about");
  program.joint_names = skeleton.texts("joints");
  if (int64_t(program.joint_names.size()) != program.joints)
    refuse("about has " + std::to_string(program.joint_names.size()) + " names for " +
           std::to_string(program.joints) + " joints");
}

}  // namespace

Program read_program(File& file) {
  const Json json(file.program());
  Fields fields(json.root(), "the program");
  Program program;
  program.joints = fields.whole("joints", 1, pyg_stgcn::kMaxBlocks * kWidth);
  program.channels = fields.whole("channels", 1, kMostChannels);
  program.features = fields.whole("features", 1, kMostChannels);
  program.classes = fields.whole("classes", 1, kMostChannels);
  program.temperature = float(fields.number("temperature", 1e-6, 1e6));

  Value item = json.root();
  Json::Items networks(fields.value("networks", Kind::list));
  while (networks.next(item)) {
    const std::string number = std::to_string(program.networks.size());
    program.networks.push_back(read_network(file, program, item, number));
  }
  const int64_t count = int64_t(program.networks.size());
  if (count == 0) refuse("the program has no networks");
  program.factors = take_floats(file, "factors", {count});
  program.head_weight = take_floats(file, "head.weight", {program.classes, program.features});
  program.head_bias = take_floats(file, "head.bias", {program.classes});
  program.input = read_input(file, program, fields.value("input", Kind::object));
  read_about(program, fields.value("about", Kind::object));
  fields.done();
  if (const File::Tensor* tensor = file.unknown())
    refuse("the tensor " + shown(tensor->name) + " is unknown");

  check_input(program);
  for (size_t n = 0; n < program.networks.size(); ++n)
    check_network(program, program.networks[n], "network " + std::to_string(n));
  return program;
}

}  // namespace stgcn
