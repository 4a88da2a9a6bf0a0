// The sums over the last frames of a sequence that never ends, without drift.
#pragma once

#include <stdint.h>

#include <vector>

namespace stgcn {

// A queue of rows of floats, and the sum of those in it. Nothing is ever subtracted: the front of the
// queue holds sums from each row to the end of the front, the back has one sum. So the sum is as
// exact after a million frames as after a hundred, and NaNs leave it with their frame.
class WindowSum {
 public:
  WindowSum() = default;
  // Rows of `size` floats, at most `count` of them, 1 or more.
  WindowSum(int64_t size, int64_t count);

  void clear();
  // Adds a row; the oldest one leaves when there would be more than `count`.
  void push(const float* row);
  int64_t count() const { return held_; }
  // Adds factor times the mean of the rows to `out`; there must be a row.
  void add_mean(float factor, float* out) const;

 private:
  void turn();

  int64_t size_ = 0, most_ = 1;
  int64_t held_ = 0, front_ = 0;  // rows in all, and in the front
  int64_t oldest_ = 0;            // place of the oldest row
  std::vector<double> rows_;      // a ring
  std::vector<double> back_;
};

}  // namespace stgcn
