#pragma once

// What the tests of the C API share: a net that ends with its scope, and calls with tensors.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "tapegrad/tapegrad.h"
#include "tapegrad_c.h"

#define EXPECT_OK(net, status) EXPECT_EQ(status, TAPEGRAD_OK) << tapegrad_last_error(net)
#define ASSERT_OK(net, status) ASSERT_EQ(status, TAPEGRAD_OK) << tapegrad_last_error(net)

namespace tapegrad::testing {

class Net {
 public:
  explicit Net(std::uint64_t seed) : net_(tapegrad_net_new(seed), tapegrad_net_free) {}
  tapegrad_net* get() const { return net_.get(); }

 private:
  std::unique_ptr<tapegrad_net, void (*)(tapegrad_net*)> net_;
};

inline tapegrad_shape shape_of(const Tensor& x) {
  tapegrad_shape shape = {};
  shape.rank = x.rank();
  std::copy(x.shape().begin(), x.shape().end(), shape.sizes);
  return shape;
}

inline Tensor run(tapegrad_net* net, const Tensor& x) {
  const tapegrad_shape in = shape_of(x);
  tapegrad_shape out = {};
  EXPECT_EQ(tapegrad_run(net, x.data<float>(), &in, nullptr, 0, &out), TAPEGRAD_TOO_SMALL)
      << tapegrad_last_error(net);
  Tensor result = zeros(Shape(std::span(out.sizes, static_cast<std::size_t>(out.rank))));
  EXPECT_OK(net, tapegrad_run(net, x.data<float>(), &in, result.mutable_data<float>(),
                              static_cast<std::size_t>(result.size()), nullptr));
  return result;
}

inline double train_mse(tapegrad_net* net, const Tensor& x, const Tensor& y) {
  const tapegrad_shape in = shape_of(x), target = shape_of(y);
  double loss = -1;
  EXPECT_OK(net, tapegrad_train_mse(net, x.data<float>(), &in, y.data<float>(), &target, &loss));
  return loss;
}

inline double train_cross_entropy(tapegrad_net* net, const Tensor& x, const Tensor& labels) {
  const tapegrad_shape in = shape_of(x), target = shape_of(labels);
  double loss = -1;
  EXPECT_OK(net, tapegrad_train_cross_entropy(net, x.data<float>(), &in, labels.data<std::int32_t>(), &target,
                                              &loss));
  return loss;
}

inline void add_dense(tapegrad_net* net, std::int64_t in_features, std::int64_t units) {
  tapegrad_dense_options dense = tapegrad_dense_default();
  dense.in_features = in_features;
  dense.units = units;
  EXPECT_OK(net, tapegrad_add_dense(net, &dense));
}

inline void use_adam(tapegrad_net* net) {
  const tapegrad_adam_options adam = tapegrad_adam_default();
  EXPECT_OK(net, tapegrad_use_adam(net, &adam));
}

}  // namespace tapegrad::testing
