// Threads that share the work of a layer.
#pragma once

#include <stdint.h>

namespace stgcn {

// One thread until there are more: then work is done at once by the caller.
class Team {
 public:
  // Throws std::runtime_error if they cannot be started.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Calls work(begin, end) for parts of [0, count), and returns when all are done.
  template <class Work>
  void run(int64_t count, const Work& work) {
    run(count, [](const void* of, int64_t begin, int64_t end) {
      (*static_cast<const Work*>(of))(begin, end);
    }, &work);
  }

 private:
  using Call = void (*)(const void* work, int64_t begin, int64_t end);
  void run(int64_t count, Call call, const void* work);
  void end();
  struct Threads;
  Threads* threads_;
};

}  // namespace stgcn
