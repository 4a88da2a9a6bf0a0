#include "window.h"

#include <algorithm>

namespace stgcn {

WindowSum::WindowSum(int64_t size, int64_t count)
    : size_(size), most_(count), rows_(size_t(size * count)), back_(size_t(size)) {}

void WindowSum::clear() {
  held_ = front_ = oldest_ = 0;
  std::fill(back_.begin(), back_.end(), 0.0);
}

void WindowSum::push(const float* row) {
  if (held_ == most_) {
    if (front_ == 0) turn();
    oldest_ = (oldest_ + 1) % most_;
    --held_;
    --front_;
  }
  double* place = rows_.data() + (oldest_ + held_) % most_ * size_;
  for (int64_t i = 0; i < size_; ++i) {
    place[i] = row[i];
    back_[i] += row[i];
  }
  ++held_;
}

// The back becomes the front.
void WindowSum::turn() {
  for (int64_t n = held_ - 2; n >= 0; --n) {
    double* row = rows_.data() + (oldest_ + n) % most_ * size_;
    const double* next = rows_.data() + (oldest_ + n + 1) % most_ * size_;
    for (int64_t i = 0; i < size_; ++i) row[i] += next[i];
  }
  front_ = held_;
  std::fill(back_.begin(), back_.end(), 0.0);
}

void WindowSum::add_mean(float factor, float* out) const {
  const double* front = rows_.data() + oldest_ * size_;
  for (int64_t i = 0; i < size_; ++i) {
    const double sum = back_[i] + (front_ > 0 ? front[i] : 0.0);
    out[i] += float(factor * (sum / double(held_)));
  }
}

}  // namespace stgcn
