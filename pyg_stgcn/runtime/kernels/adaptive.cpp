// The torch operators that the adaptive backbones need beside convolutions: those of the engine.

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "adaptive.h"
#include "checks.h"
#include "team.h"

namespace stgcn {

// The threads of torch.
Team::Team(int) : threads_(nullptr) {}
Team::~Team() = default;
void Team::run(int64_t count, Call call, const void* work) {
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) { call(work, begin, end); });
}

}  // namespace stgcn

namespace pyg_stgcn {
namespace {

using stgcn::Op;

Op operation(c10::string_view name) {
  constexpr std::pair<const char*, Op> all[] = {
      {"mean_joint", Op::mean_joint},     {"spread_joint", Op::spread_joint},
      {"similarity", Op::similarity},     {"channel_graph", Op::channel_graph},
      {"group_graph", Op::group_graph},   {"attention", Op::attention},
  };
  for (const auto& [own, op] : all)
    if (name == own) return op;
  TORCH_CHECK(false, "op: no adaptive operation: ", name);
}

// An operation on features, one person after the other, or side by side if there are many.
class Adaptive {
 public:
  Adaptive(c10::string_view name, const Tensor& x, int64_t pad, int64_t joints,
           at::TensorList arrays)
      : in_(features(x, "x")), pad_(pad), joints_(joints) {
    TORCH_CHECK(pad >= 0 && 2 * pad <= in_.frames, "pad: ", pad);
    TORCH_CHECK(joints > 0 && joints <= in_.blocks * kWidth && in_.blocks <= kMaxBlocks,
                "joints: ", joints, " in ", in_.blocks, " blocks");
    op.op = operation(name);
    std::vector<stgcn::Floats> given;
    for (const Tensor& array : arrays)
      given.push_back({floats(array, array.numel(), "arrays"), array.numel()});
    TORCH_CHECK(given.size() <= 8, "arrays: ", given.size());
    given.resize(8);
    if (op.op == Op::spread_joint)
      op.factor = given[0], op.scale = given[1], op.shift = given[2];
    else std::copy(given.begin(), given.end(), op.weights);
    network_.blocks = in_.blocks;
    network_.slots.resize(2);
    network_.slots[0].channels = in_.channels;
    network_.slots[0].halo = pad;
  }

  // `graph`: so many floats for each person, or none.
  void run(float* graph, int64_t size) {
    network_.slots[1].floats = size;
    (size > 0 ? op.in : op.at) = 0;
    if (size > 0) op.out = 1;
    stgcn::check_adaptive(network_, op, joints_);
    const int64_t frames = in_.frames - 2 * pad_;
    const auto persons = [&](int64_t begin, int64_t end) {
      stgcn::Team team(1);
      const stgcn::Machine machine{&kernels(), &team};
      const Tensor scratch =
          at::empty({stgcn::adaptive_scratch(network_, op, joints_, frames)}, at::kFloat);
      for (int64_t person = begin; person < end; ++person) {
        const stgcn::View x{in_.data + person * in_.person() + pad_ * in_.frame(), in_.block(),
                            in_.frame()};
        stgcn::run_adaptive(machine, network_, op, joints_, x, frames, graph + person * size,
                            scratch.data_ptr<float>());
      }
    };
    if (in_.persons < at::get_num_threads()) persons(0, in_.persons);
    else at::parallel_for(0, in_.persons, 1, persons);
  }

  stgcn::Instruction op;

 private:
  Features in_;
  int64_t pad_, joints_;
  stgcn::Network network_;
};

// The graph of every person, [persons, graphs, rows, joints * lanes].
Tensor make_graph(c10::string_view name, const Tensor& x, int64_t pad, int64_t joints,
                  at::TensorList arrays, int64_t partitions, int64_t channels, int64_t graphs,
                  int64_t rows) {
  Adaptive adaptive(name, x, pad, joints, arrays);
  TORCH_CHECK(graphs > 0 && rows > 0, "graphs, rows: ", graphs, ", ", rows);
  adaptive.op.partitions = partitions;
  adaptive.op.channels = channels;
  Tensor result =
      at::empty({x.size(0), graphs, rows, joints * x.size(1) * kWidth}, x.options());
  adaptive.run(result.data_ptr<float>(), graphs * rows * result.size(3));
  return result;
}

void change_(c10::string_view name, const Tensor& x, int64_t pad, int64_t joints,
             at::TensorList arrays) {
  Adaptive(name, x, pad, joints, arrays).run(nullptr, 0);
}

// The maximum over three frames, times a scale, plus a shift, ReLU.
void pool_into(const Tensor& x, int64_t x_pad, int64_t x_channel, const Tensor& scale,
               const Tensor& shift, int64_t stride, bool relu, const Tensor& result, int64_t pad,
               int64_t channel) {
  const Features in = features(x, "x"), out = features(result, "out");
  const int64_t channels = scale.numel(), frames = out.frames - 2 * pad;
  const float *factor = floats(scale, channels, "scale"), *term = floats(shift, channels, "shift");
  TORCH_CHECK(x_pad >= 1 && pad >= 0 && frames >= 0 && stride > 0 && x_channel >= 0 &&
                  x_channel + channels <= in.channels && channel >= 0 &&
                  channel + channels <= out.channels && out.persons == in.persons &&
                  out.blocks == in.blocks &&
                  (frames == 0 || x_pad + (frames - 1) * stride + 1 < in.frames),
              "out: ", result.sizes(), " does not fit the maxima of ", x.sizes());
  at::parallel_for(0, in.persons * in.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      kernels().maximum({in.data + b * in.block() + (x_pad - 1) * in.frame() + x_channel * kWidth,
                         in.frame(), stride * in.frame(), factor, term,
                         out.data + b * out.block() + pad * out.frame() + channel * kWidth,
                         out.frame(), frames, channels, relu});
  });
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyg_stgcn, m) {
  m.def(
      "make_graph(str op, Tensor x, int pad, int joints, Tensor[] arrays, int partitions, "
      "int channels, int graphs, int rows) -> Tensor");
  m.def("change_(str op, Tensor(a!) x, int pad, int joints, Tensor[] arrays) -> ()");
  m.def(
      "pool_into(Tensor x, int x_pad, int x_channel, Tensor scale, Tensor shift, int stride, "
      "bool relu, Tensor(a!) out, int pad, int channel) -> ()");
}

TORCH_LIBRARY_IMPL(pyg_stgcn, CPU, m) {
  m.impl("make_graph", &make_graph);
  m.impl("change_", &change_);
  m.impl("pool_into", &pool_into);
}

}  // namespace pyg_stgcn
