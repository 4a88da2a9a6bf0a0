// A stream: the frames of one person, one after another, and the features of the last of them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <memory>

#include "kernels.h"
#include "program.h"

namespace stgcn {

struct StreamOptions {
  int64_t window = 0;  // frames
  int64_t hop = 0;     // frames from one answer to the next, of sliding windows
  float height = 0, width = 0;  // of the image in pixels, in 2-D
};

// The place of a message.
struct Message {
  char* text;
  size_t size;
};

// Shares the weights of the program, which must outlive it; everything else is its own.
class Stream {
 public:
  virtual ~Stream() = default;

  virtual void reset() = 0;
  // Frames from the newest one to the newest one whose features are complete.
  virtual int64_t delay() const = 0;
  // These return the number of answers that came up; -1 and the reason in `message` for frames that
  // the model cannot read.
  virtual int64_t push(const float* joints, int64_t frames, int channels, Message message) = 0;
  virtual int64_t push_prepared(const float* x, int64_t frames, Message message) = 0;
  virtual int64_t finish(Message message) = 0;
  // Writes the features of the last answer; returns whether there is one.
  virtual bool features(float* features) const = 0;
};

// Whether every operation of every network looks at a few neighbouring frames only.
bool is_continual(const Program& program);

// An exact stream if the program allows it, else a sliding window. Throws std::runtime_error with the
// reason if that cannot be.
std::unique_ptr<Stream> open_stream(const Program& program, const pyg_stgcn::Kernels* kernels,
                                    const StreamOptions& options);

std::unique_ptr<Stream> open_exact_stream(const Program& program,
                                          const pyg_stgcn::Kernels* kernels,
                                          const StreamOptions& options);
std::unique_ptr<Stream> open_sliding_stream(const Program& program,
                                            const pyg_stgcn::Kernels* kernels,
                                            const StreamOptions& options);

// Returns false, and the reason in `message`, if any value of prepared frames is not finite.
bool check_prepared(const Program& program, const float* x, int64_t frames, Message message);

}  // namespace stgcn
