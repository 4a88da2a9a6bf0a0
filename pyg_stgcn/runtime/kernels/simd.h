// Sixteen floats, the lanes that all kernels work on, in as many registers as the machine needs.
//
// The file that includes this defines PYG_STGCN_AVX512, PYG_STGCN_AVX2 or neither.
#pragma once

#include <stdint.h>

#if defined(PYG_STGCN_AVX512) || defined(PYG_STGCN_AVX2)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define PYG_STGCN_UNROLL _Pragma("GCC unroll 32")

namespace {

constexpr int kLanes = 16;

#if defined(PYG_STGCN_AVX512)

using Register = __m512;
constexpr int kRegisters = 1;   // in sixteen lanes
constexpr int kConvFrames = 8;  // frames, each with sixteen lanes of sums, of a tile; more would fit
                                // into the registers, but their inputs not into the nearest cache
constexpr int kGraphSums = 12;  // frames times blocks of a tile of the graph convolution
constexpr int kBlockRows = 8;   // rows, and frames, of a block's tile
constexpr int kBlockFrames = 3;
constexpr int kGradFrames = 24;  // frames of a tile of a weight gradient, all in registers
constexpr int kGradSums = 12;    // frames times blocks of a tile of a graph convolution's gradients
inline Register load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Register a) { _mm512_storeu_ps(p, a); }
inline Register broadcast(float a) { return _mm512_set1_ps(a); }
inline Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
inline Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
// With this order of arguments a NaN stays a NaN.
inline Register relu(Register a) { return _mm512_max_ps(_mm512_setzero_ps(), a); }
// The second of the two if any is NaN.
inline Register larger(Register a, Register b) { return _mm512_max_ps(a, b); }
inline Register smaller(Register a, Register b) { return _mm512_min_ps(a, b); }
inline Register product(Register a, Register b) { return _mm512_mul_ps(a, b); }
inline Register quotient(Register a, Register b) { return _mm512_div_ps(a, b); }
// 2^n, from n + 1.5 * 2^23: n is in its lowest bits.
inline Register power_of_two(Register a) {
  const __m512i bias = _mm512_set1_epi32(127 - 0x4b400000);
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(a), bias), 23));
}
inline Register where_positive(Register a, Register b) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NLE_UQ), b);
}
#define PYG_STGCN_PERMUTES
// Sixteen of the 32 joints in two registers, or of the sixteen in one.
inline Register permute(Register a, Register b, const int32_t* joints) {
  return _mm512_permutex2var_ps(a, _mm512_loadu_si512(joints), b);
}
inline Register permute(Register a, const int32_t* joints) {
  return _mm512_permutexvar_ps(_mm512_loadu_si512(joints), a);
}
// Pairs of rows, then fours, then the quarters of the registers.
inline void transpose(Register* a) {
  Register b[16];
  PYG_STGCN_UNROLL
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  PYG_STGCN_UNROLL
  for (int i = 0; i < 16; i += 4) {
    PYG_STGCN_UNROLL
    for (int j = 0; j < 2; ++j) {
      const __m512d upper = _mm512_castps_pd(b[i + j]), lower = _mm512_castps_pd(b[i + j + 2]);
      a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(upper, lower));
      a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(upper, lower));
    }
  }
  PYG_STGCN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Register even = _mm512_shuffle_f32x4(a[j], a[j + 4], 0x88);
    const Register odd = _mm512_shuffle_f32x4(a[j], a[j + 4], 0xdd);
    const Register even_below = _mm512_shuffle_f32x4(a[j + 8], a[j + 12], 0x88);
    const Register odd_below = _mm512_shuffle_f32x4(a[j + 8], a[j + 12], 0xdd);
    a[j] = _mm512_shuffle_f32x4(even, even_below, 0x88);
    a[j + 4] = _mm512_shuffle_f32x4(odd, odd_below, 0x88);
    a[j + 8] = _mm512_shuffle_f32x4(even, even_below, 0xdd);
    a[j + 12] = _mm512_shuffle_f32x4(odd, odd_below, 0xdd);
  }
}

#elif defined(PYG_STGCN_AVX2)

using Register = __m256;
constexpr int kRegisters = 2;
constexpr int kConvFrames = 6;
constexpr int kGraphSums = 6;
constexpr int kBlockRows = 4;
constexpr int kBlockFrames = 1;
constexpr int kGradFrames = 6;
constexpr int kGradSums = 3;
inline Register load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Register a) { _mm256_storeu_ps(p, a); }
inline Register broadcast(float a) { return _mm256_set1_ps(a); }
inline Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
inline Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
inline Register relu(Register a) { return _mm256_max_ps(_mm256_setzero_ps(), a); }
inline Register larger(Register a, Register b) { return _mm256_max_ps(a, b); }
inline Register smaller(Register a, Register b) { return _mm256_min_ps(a, b); }
inline Register product(Register a, Register b) { return _mm256_mul_ps(a, b); }
inline Register quotient(Register a, Register b) { return _mm256_div_ps(a, b); }
inline Register power_of_two(Register a) {
  const __m256i bias = _mm256_set1_epi32(127 - 0x4b400000);
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(a), bias), 23));
}
inline Register where_positive(Register a, Register b) {
  return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NLE_UQ), b);
}
// Pairs of rows, then fours, then the halves of the registers.
inline void transpose(Register* a) {
  Register b[8];
  PYG_STGCN_UNROLL
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  PYG_STGCN_UNROLL
  for (int i = 0; i < 8; i += 4) {
    PYG_STGCN_UNROLL
    for (int j = 0; j < 2; ++j) {
      a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
      a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
    }
  }
  PYG_STGCN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Register upper = a[j], lower = a[j + 4];
    a[j] = _mm256_permute2f128_ps(upper, lower, 0x20);
    a[j + 4] = _mm256_permute2f128_ps(upper, lower, 0x31);
  }
}

#elif defined(__ARM_NEON)

using Register = float32x4_t;
constexpr int kRegisters = 4;
constexpr int kConvFrames = 6;
constexpr int kGraphSums = 6;
constexpr int kBlockRows = 4;
constexpr int kBlockFrames = 1;
constexpr int kGradFrames = 6;
constexpr int kGradSums = 3;
inline Register load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, Register a) { vst1q_f32(p, a); }
inline Register broadcast(float a) { return vdupq_n_f32(a); }
#if defined(__ARM_FEATURE_FMA)
inline Register fma(Register a, Register b, Register c) { return vfmaq_f32(c, a, b); }
#else  // NEON of ARMv7 without VFPv4
inline Register fma(Register a, Register b, Register c) { return vmlaq_f32(c, a, b); }
#endif
inline Register add(Register a, Register b) { return vaddq_f32(a, b); }
inline Register relu(Register a) { return vmaxq_f32(a, vdupq_n_f32(0)); }
inline Register larger(Register a, Register b) { return vmaxq_f32(a, b); }
inline Register smaller(Register a, Register b) { return vminq_f32(a, b); }
inline Register product(Register a, Register b) { return vmulq_f32(a, b); }
inline Register quotient(Register a, Register b) {
#if defined(__aarch64__)
  return vdivq_f32(a, b);
#else
  float x[4], y[4];
  vst1q_f32(x, a);
  vst1q_f32(y, b);
  for (int i = 0; i < 4; ++i) x[i] /= y[i];
  return vld1q_f32(x);
#endif
}
inline Register power_of_two(Register a) {
  const int32x4_t bias = vdupq_n_s32(127 - 0x4b400000);
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vreinterpretq_s32_f32(a), bias), 23));
}
inline Register where_positive(Register a, Register b) {
  const uint32x4_t lanes = vmvnq_u32(vcleq_f32(a, vdupq_n_f32(0)));
  return vreinterpretq_f32_u32(vandq_u32(lanes, vreinterpretq_u32_f32(b)));
}
inline void transpose(Register* a) {
  const float32x4x2_t upper = vtrnq_f32(a[0], a[1]), lower = vtrnq_f32(a[2], a[3]);
  PYG_STGCN_UNROLL
  for (int i = 0; i < 2; ++i) {
    a[i] = vcombine_f32(vget_low_f32(upper.val[i]), vget_low_f32(lower.val[i]));
    a[i + 2] = vcombine_f32(vget_high_f32(upper.val[i]), vget_high_f32(lower.val[i]));
  }
}

#else

struct Register {
  float lane[kLanes];
};
constexpr int kRegisters = 1;
constexpr int kConvFrames = 3;
constexpr int kGraphSums = 3;
constexpr int kBlockRows = 4;
constexpr int kBlockFrames = 1;
constexpr int kGradFrames = 6;
constexpr int kGradSums = 3;
template <class Function>
inline Register each(Function function) {
  Register r;
  for (int i = 0; i < kLanes; ++i) r.lane[i] = function(i);
  return r;
}
inline Register load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline void store(float* p, const Register& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.lane[i];
}
inline Register broadcast(float a) {
  return each([=](int) { return a; });
}
inline Register fma(const Register& a, const Register& b, const Register& c) {
  return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
inline Register add(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Register relu(const Register& a) {
  return each([&](int i) { return a.lane[i] < 0 ? 0 : a.lane[i]; });
}
inline Register larger(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Register smaller(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Register product(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Register quotient(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Register power_of_two(const Register& a) {
  return each([&](int i) {
    union {
      float real;
      uint32_t whole;
    } bits;
    bits.real = a.lane[i];
    bits.whole = (bits.whole + (127u - 0x4b400000u)) << 23;
    return bits.real;
  });
}
inline Register where_positive(const Register& a, const Register& b) {
  return each([&](int i) { return a.lane[i] <= 0 ? 0 : b.lane[i]; });
}
inline void transpose(Register* a) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const float above = a[j].lane[i];
      a[j].lane[i] = a[i].lane[j];
      a[i].lane[j] = above;
    }
  }
}

#endif

#if defined(PYG_STGCN_PERMUTES)
constexpr bool kPermutes = true;
#else
constexpr bool kPermutes = false;
#endif

constexpr int kSquare = kLanes / kRegisters;  // floats of a register

struct Lanes {
  Register part[kRegisters];

  static inline Lanes of(const float* p) {
    Lanes r;
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) r.part[i] = load(p + i * (kLanes / kRegisters));
    return r;
  }
  static inline Lanes all(float a) {
    Lanes r;
    const Register same = broadcast(a);
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) r.part[i] = same;
    return r;
  }
  inline void to(float* p) const {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) store(p + i * (kLanes / kRegisters), part[i]);
  }
  inline void add_product(Register factor, const Lanes& other) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = fma(factor, other.part[i], part[i]);
  }
  inline void add_product(const Lanes& factor, const Lanes& other) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = fma(factor.part[i], other.part[i], part[i]);
  }
  inline void add_product(Register factor, const float* p) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i)
      part[i] = fma(factor, load(p + i * (kLanes / kRegisters)), part[i]);
  }
  inline void add_product(const Lanes& factor, const float* p) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i)
      part[i] = fma(factor.part[i], load(p + i * (kLanes / kRegisters)), part[i]);
  }
  inline void plus(const Lanes& other) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = add(part[i], other.part[i]);
  }
  inline void plus(const float* p) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = add(part[i], load(p + i * (kLanes / kRegisters)));
  }
  // Zeros where the other is zero or less; a NaN of the other lets the value pass.
  inline Lanes where_positive_in(const Lanes& other) const {
    Lanes r;
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) r.part[i] = where_positive(other.part[i], part[i]);
    return r;
  }
  inline void times(const Lanes& other) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = product(part[i], other.part[i]);
  }
  inline void relu() {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i) part[i] = ::relu(part[i]);
  }
  inline void maximum(const float* p) {
    PYG_STGCN_UNROLL
    for (int i = 0; i < kRegisters; ++i)
      part[i] = larger(part[i], load(p + i * (kLanes / kRegisters)));
  }
};

}  // namespace
