// The arguments of the adaptive kernels, the same for every instruction set.
//
// As the kernels of the layers these include no headers with inline functions: the linker must not
// choose code that was compiled for one instruction set for another.
#pragma once

#include <stdint.h>

namespace stgcn {

// out[r][n] = bias[r] + sum_i weight[r * weight_row + i * weight_step] * x[i * x_row + n]; columns are
// whole multiples of sixteen.
struct Product {
  const float* weight;
  int64_t weight_row, weight_step;
  int64_t rows, inner;
  const float* bias;  // or null
  const float* x;
  int64_t x_row;
  int64_t columns;
  float* out;
  int64_t out_row;
};

// out[v][w] = base[v][w] + factor[v][w] * tanh(source[v] - target[w])
struct Differences {
  const float* source;
  const float* target;
  const float* base;  // or null
  const float* factor;
  int64_t rows, columns;
  float* out;
};

// Some frames of a block of joints: the value of lane l, channel c and frame t is at
// x[t * frame + c * 16 + l].
struct Frames {
  float* x;
  int64_t frame, frames, channels;
};

struct AdaptiveKernels {
  void (*product)(const Product&);
  void (*differences)(const Differences&);
  // x[i] <- prior[i] + gate[i] * tanh(x[i] * factor), whole multiples of sixteen.
  void (*gated_tanh)(float* x, const float* prior, const float* gate, float factor, int64_t count);
  // out[v][w] <- prior[v][w] + beta[v][w] * softmax over the sources v with kept[v][w] of out[v][w].
  void (*softmax)(float* out, const float* prior, const float* beta, const float* kept, int64_t rows,
                  int64_t columns);
  // out[c * out_row + l] = factor * sum over frames; zero where the joint is none.
  void (*frame_sums)(const Frames&, int64_t joints, float factor, float* out, int64_t out_row);
  // out[t * channels + c] += sum over the joints of weight[l] * x[l].
  void (*joint_sums)(const Frames&, int64_t joints, const float* weight, float* out);
  // x <- x * joint[l] * frame[t] * channel[c]
  void (*gate)(const Frames&, const float* joint, const float* frame, const float* channel);
  // x[l] <- ReLU(scale[c] * (x[l] + factor[l] * mean[t * mean_frame + c * 16]) + shift[c])
  void (*spread)(const Frames&, const float* factor, const float* mean, int64_t mean_frame,
                 const float* scale, const float* shift);
  float (*dot)(const float* a, const float* b, int64_t count);
};

const AdaptiveKernels* avx512_adaptive();  // null where they were not compiled
const AdaptiveKernels* avx2_adaptive();
const AdaptiveKernels* plain_adaptive();
// Those of the instruction set of this name.
const AdaptiveKernels* adaptive_kernels(const char* name);

}  // namespace stgcn
