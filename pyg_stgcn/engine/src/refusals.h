// Poses that a model cannot read, and the reason in words.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "presence.h"
#include "program.h"

namespace stgcn {

// Writes a message as snprintf does, and returns false.
bool reject(char* message, size_t size, const char* format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// These return false, and the reason in `message`, for a clip that cannot be read.
bool check_channels(const Input& input, int channels, char* message, size_t size);
// `frame`: the number of the first frame, of a stream.
bool check_finite(const Program& program, const RawClip& clip, int64_t frame, char* message,
                  size_t size);
bool check_image_size(const Input& input, float height, float width, char* message, size_t size);
// `largest`: the largest coordinate.
bool check_pixels(float largest, float height, float width, char* message, size_t size);

// Compares the input of the main person with that of the training: other units are refused.
class Units {
 public:
  explicit Units(const Program& program);

  // Whether there is anything to compare with.
  bool is_known() const { return input_.mean.size > 0; }
  void clear();
  // Adds a frame of the input [joints, channels], and which of its joints are shown.
  void add(const float* x, const uint8_t* shown);
  bool check(char* message, size_t size) const;

 private:
  // Deviations from the training, in standard deviations: those over the limit, and the nearest ones
  // to the limit on both sides.
  struct Deviations {
    int64_t over;
    double sum, below, above;
  };

  const Input& input_;
  int64_t joints_, channels_;
  int axes_;
  double usual_size_ = 0;
  std::vector<Deviations> deviations_;  // of every channel
  int64_t count_ = 0;
  double squares_ = 0;
};

}  // namespace stgcn
