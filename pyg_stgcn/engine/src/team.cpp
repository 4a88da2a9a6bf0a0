#include "team.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace stgcn {
namespace {

// Looks at a number that another thread changes; the pauses are short against the work of a layer,
// and long against waking up.
constexpr int kLooks = 2000;

inline void pause() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_ia32_pause();
#endif
}

// The threads of a process do not survive a fork.
int process() {
#if defined(_WIN32)
  return 0;
#else
  return int(getpid());
#endif
}

}  // namespace

struct Team::Threads {
  std::vector<std::thread> workers;
  int count = 0;  // of parts: the workers and the caller
  int owner = process();
  std::mutex mutex;
  std::condition_variable wake;
  // Grows with every task; negative to end.
  std::atomic<int64_t> task{0};
  std::atomic<int> busy{0};
  Call call = nullptr;
  const void* work = nullptr;
  int64_t items = 0;

  void part(int number) const {
    const int64_t begin = items * number / count, end = items * (number + 1) / count;
    if (begin < end) call(work, begin, end);
  }

  void serve(int number) {
    for (int64_t seen = 0;;) {
      for (int i = 0; i < kLooks && task.load(std::memory_order_acquire) == seen; ++i) pause();
      if (task.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return task.load(std::memory_order_acquire) != seen; });
      }
      seen = task.load(std::memory_order_acquire);
      if (seen < 0) return;
      part(number);
      busy.fetch_sub(1, std::memory_order_release);
    }
  }

  void begin(int64_t number) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      task.store(number, std::memory_order_release);
    }
    wake.notify_all();
  }
};

Team::Team(int threads) : threads_(nullptr) {
  if (threads <= 1) return;
  threads_ = new Threads;
  threads_->count = threads;
  try {
    threads_->workers.reserve(size_t(threads - 1));
    for (int i = 1; i < threads; ++i)
      threads_->workers.emplace_back([all = threads_, i] { all->serve(i); });
  } catch (const std::exception&) {
    end();
    throw std::runtime_error("threads: " + std::to_string(threads) +
                             " cannot be started on this machine; give fewer");
  }
}

Team::~Team() { end(); }

void Team::end() {
  if (!threads_) return;
  if (threads_->owner != process()) return;  // nobody is there to be told; the memory is lost
  threads_->begin(-1);
  for (std::thread& worker : threads_->workers) worker.join();
  delete threads_;
  threads_ = nullptr;
}

void Team::run(int64_t count, Call call, const void* work) {
  if (!threads_ || count <= 1 || threads_->owner != process()) {
    if (count > 0) call(work, 0, count);
    return;
  }
  Threads& all = *threads_;
  all.call = call;
  all.work = work;
  all.items = count;
  all.busy.store(all.count - 1, std::memory_order_relaxed);
  all.begin(all.task.load(std::memory_order_relaxed) + 1);
  all.part(0);
  for (int looks = 0; all.busy.load(std::memory_order_acquire) > 0; ++looks) {
    if (looks < kLooks) pause();
    else std::this_thread::yield();
  }
}

}  // namespace stgcn
