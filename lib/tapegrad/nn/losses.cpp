#include "tapegrad/nn/losses.h"

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad {
namespace {

// Broadcasting here is nearly always a mistake: [n, 1] against [n] would compare everything with everything.
void require_same_shape(const char* loss, const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() != target.shape())
    fail(loss, "the prediction has shape {} but the target {}", prediction.shape(), target.shape());
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  require_same_shape("mse_loss", prediction, target);
  return mean(square(prediction - target));
}

Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target) {
  require_same_shape("binary_cross_entropy", probability, target);
  constexpr double kLeast = 1e-37;
  const Tensor yes = log(clamp(probability, kLeast, 1));
  const Tensor no = log(clamp(1.0 - probability, kLeast, 1));
  return -mean(target * yes + (1.0 - target) * no);
}

}  // namespace tapegrad
