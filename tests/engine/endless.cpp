// Streams of one model in several threads, and clips of another handle meanwhile: the answers agree
// however the frames are pushed, and no memory is allocated after everything has been opened.
//
//   endless FRAMES THREADS FILE
//
// Each thread pushes so many frames: one by one, a few at once, or many. Prints the allocations, and
// the memory of the process at the beginning and at the end, in kilobytes.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "stgcn.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

void count_allocation() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// Sanitizers have allocations of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounted = false;
#else
constexpr bool kCounted = true;
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* malloc(size_t size) noexcept {
  count_allocation();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  count_allocation();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) noexcept {
  count_allocation();
  return __libc_realloc(memory, size);
}
}
#endif

namespace {

constexpr int kPeriod = 640, kBetween = 200, kLife = 3000;

[[noreturn]] void fail(const char* what, const char* reason) {
  fprintf(stderr, "%s: %s\n", what, reason);
  exit(1);
}

long resident() {
  long pages = 0, ignored;
  FILE* file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld %ld", &ignored, &pages) != 2) pages = 0;
  if (file) fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct Model {
  stgcn_model* handle;
  int joints, classes, channels;
  float side;
  std::vector<float> poses;  // [kPeriod, joints, channels]

  Model(const char* path, int threads) {
    char message[512];
    handle = stgcn_open(path, threads, message, sizeof message);
    if (!handle) fail(path, message);
    joints = stgcn_num_joints(handle);
    classes = stgcn_num_classes(handle);
    const bool planar = stgcn_is_planar(handle);
    channels = planar ? 2 : 3;
    side = planar ? 200.f : 0.f;
    poses.resize(size_t(kPeriod) * joints * channels);
    uint32_t state = 1;
    for (float& value : poses) {
      state = state * 1664525 + 1013904223;
      value = (planar ? 100.f : 1.f) * float(state >> 8) / float(1 << 24);
    }
    // For some frames nobody is there.
    std::fill_n(poses.begin() + 90L * joints * channels, 5L * joints * channels, 0.f);
  }
  ~Model() { stgcn_close(handle); }
};

// A thread with a stream of its own.
struct Watcher {
  const Model& model;
  int number;
  stgcn_stream* stream;
  std::vector<float> now, found;  // the answers between pushes, one after another

  Watcher(const Model& model, int number, int64_t frames)
      : model(model), number(number), now(model.classes) {
    char message[512];
    stream = stgcn_stream_open(model.handle, 0, 0, model.side, model.side, message, sizeof message);
    if (!stream) fail("the stream", message);
    found.resize(size_t(frames / kBetween) * model.classes);
  }

  int64_t burst(int64_t frame) const {
    if (number % 3 == 0) return 1;
    if (number % 3 == 1) return 1 + frame * 7 % 13;
    return 150;
  }

  void run(int64_t frames) {
    for (int64_t frame = 0; frame < frames;) {
      int64_t count = std::min(burst(frame), kPeriod - frame % kPeriod);
      count = std::min(count, kBetween - frame % kBetween);
      const float* first = model.poses.data() + frame % kPeriod * model.joints * model.channels;
      if (stgcn_stream_push(stream, first, count, model.channels, now.data()) < 0)
        fail("a frame", stgcn_stream_error(stream));
      frame += count;
      if (frame % kBetween == 0)
        std::copy(now.begin(), now.end(), found.begin() + (frame / kBetween - 1) * model.classes);
      if (frame % kLife == 0) {
        if (stgcn_stream_finish(stream, now.data()) < 0) fail("end", stgcn_stream_error(stream));
        stgcn_stream_reset(stream);
      }
    }
  }
};

// Clips of another handle, until the streams have ended.
void classify(Model& model, const std::atomic<int>& running, float* first, float* last) {
  const auto once = [&](float* found) {
    if (stgcn_classify(model.handle, model.poses.data(), 2, kPeriod / 2, model.channels, model.side,
                       model.side, 2, found) <= 0)
      fail("the clip", stgcn_error(model.handle));
  };
  once(first);
  do once(last);
  while (running.load() > 0);
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) return 2;
  const int64_t frames = atoll(words[1]) / kBetween * kBetween;
  const int threads = atoi(words[2]);
  counting = true;
  const Model model(words[3], 1);
  counting = false;
  if (kCounted && allocations.exchange(0) == 0) fail(words[0], "allocations are not counted");
  Model other(words[3], 2);
  std::vector<float> first(model.classes), last(model.classes);
  std::vector<Watcher> watchers;
  for (int i = 0; i < threads; ++i) watchers.emplace_back(model, i, frames);
  std::atomic<int> ready{0}, running{threads};
  std::atomic<bool> go{false};
  const auto wait = [&] {
    ++ready;
    while (!go.load()) std::this_thread::yield();
  };
  std::vector<std::thread> every;
  for (Watcher& watcher : watchers)
    every.emplace_back([&] {
      wait();
      watcher.run(frames);
      --running;
    });
  every.emplace_back([&] {
    wait();
    classify(other, running, first.data(), last.data());
    --ready;
  });
  while (ready.load() <= threads) std::this_thread::yield();
  const long before = resident();
  counting = true;
  go = true;
  while (running.load() > 0 || ready.load() > threads) std::this_thread::yield();
  counting = false;
  printf("%lld allocations, %ld KB before, %ld KB after\n", (long long)allocations.load(), before,
         resident());
  for (std::thread& thread : every) thread.join();
  if (memcmp(first.data(), last.data(), sizeof(float) * first.size()) != 0)
    fail("the clip", "its answers differ");
  for (const Watcher& watcher : watchers) {
    for (size_t i = 0; i < watcher.found.size(); ++i)
      if (!(std::fabs(watcher.found[i] - watchers[0].found[i]) < 1e-5f))
        fail("a stream", "its answers are those of other frames");
    stgcn_stream_close(watcher.stream);
  }
  return allocations.load() != 0;
}
