#pragma once

#include "common/exercise.h"

namespace exercise_22 {

using namespace exercises;

struct Geometry {
  index_t stride_h = 1, stride_w = 1, top = 0, left = 0;
  Shape large, small;
};
/// Of a layer with 3 x 3 filters and stride 2 between images of this size (even) and of half of it.
Geometry halving(index_t n, index_t size, index_t large_channels, index_t small_channels);

/// The elements of a tensor of four axes, Float64. Writing is for tensors that new_tensor() has just made. What lies
/// outside of the tensor's memory throws; an index that is too large for its own axis only is another element.
class View {
 public:
  explicit View(const Tensor& t) : data_(const_cast<double*>(t.data<double>())) {
    b_ = t.shape()[1], c_ = t.shape()[2], d_ = t.shape()[3], size_ = t.size();
  }
  double& operator()(index_t a, index_t b, index_t c, index_t d) const {
    const index_t at = ((a * b_ + b) * c_ + c) * d_ + d;
    if (at < 0 || at >= size_) refuse(a, b, c, d);
    return data_[at];
  }

 private:
  [[noreturn]] void refuse(index_t a, index_t b, index_t c, index_t d) const;
  double* data_;
  index_t b_ = 0, c_ = 0, d_ = 0, size_ = 0;
};

/// The parameters of the four layers.
struct Net {
  std::vector<Tensor> w, b;
};
std::vector<Tensor> parameters(const Net& net);

/// What Adam remembers of a parameter.
struct Memory {
  std::vector<double> m, v;
  index_t t = 0;
};

struct Answers {
  std::function<Tensor(const Tensor& large, const Tensor& w, const Geometry& g)> gather;
  std::function<Tensor(const Tensor& small, const Tensor& w, const Geometry& g)> scatter;
  std::function<Tensor(const Tensor& large, const Tensor& small, const Shape& w_shape, const Geometry& g)>
      correlate;
  std::function<Tensor(const Tensor&x, const Tensor&w, const Geometry&g)> conv, transpose;
  std::function<Tensor(const Net& net, const Tensor& images)> reconstruct;
  std::function<void(Tensor& p, const Tensor& g, Memory& memory, double learning_rate)> adam_step;
  std::function<double(Net& net, std::vector<Memory>& memories, const Tensor& images, double learning_rate)>
      train_step;
};
void check(Check& check, const Answers& answers);

}  // namespace exercise_22
