// Normalization of ONNX, and Dropout.

#include <algorithm>
#include <limits>
#include <numeric>

#include "tapegrad/autograd/services.h"
#include "tapegrad/exchange/onnx_node_internal.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/normalize.h"
#include "tapegrad/ops/reduce.h"

namespace tapegrad::inline v0::onnx {
namespace {

// average = momentum average + (1 - momentum) factor batch. What is beyond the dtype's range counts as its largest number: an
// average that is infinite once would stay so.
template <class T>
void move(Tensor average, const Tensor& batch, double momentum, double factor) {
  constexpr auto kLargest = static_cast<double>(std::numeric_limits<T>::max());
  const auto from = batch.values<T>();
  const auto to = average.mutable_values<T>();
  for (std::size_t i = 0; i < to.size(); ++i) {
    const double fresh = std::min(static_cast<double>(from[i]), kLargest);
    to[i] = static_cast<T>(
        std::min(momentum * static_cast<double>(to[i]) + (1 - momentum) * factor * fresh, kLargest));
  }
}

void move_average(const Tensor& average, const Tensor& batch, double momentum, double factor = 1) {
  if (average.dtype() != batch.dtype() || average.shape() != batch.shape())
    fail("load_onnx", "the running statistics are {} {}, but those of the batch {} {}", average.dtype(),
         average.shape(), batch.dtype(), batch.shape());
  dispatch_floating(average.dtype(),
                    [&]<class T>(std::type_identity<T>) { move<T>(average, batch, momentum, factor); });
}

Compute prepare_batch_normalization(const Node& node) {
  const double epsilon = node.number("epsilon", 1e-5), momentum = node.number("momentum", 0.9);
  if (node.opset() < 9 && node.integer("spatial", 1) != 1)
    node.fail("has spatial = 0, statistics of each pixel, which are not computed");
  node.ignore("training_mode");  // the model begins in it, or not: see load_onnx()
  node.require_results(node.opset() < 14 ? 1 : 3, "statistics of the batch, which are not returned");
  const auto& results = node.proto().outputs;
  const bool statistics = node.opset() >= 14 && results.size() > 1 && !results[1].empty();
  if (statistics && results.size() < 3) node.fail("returns a mean without a variance");
  const bool unbiased = node.has_unbiased_variance;
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const Order order = channels_last(x.rank());
    const Tensor image = in_order(x, order), gamma = natural(run[1]), beta = natural(run[2]);
    const Tensor mean = natural(run[3]), variance = natural(run[4]);
    if (!run.training) {
      const Value y{batch_norm(image, gamma, beta, mean, variance, epsilon), x.type, order};
      if (!statistics) return {y};
      return {y, value_of(mean, x.type), value_of(variance, x.type)};
    }
    const BatchNormResult result = batch_norm(image, gamma, beta, epsilon);
    if (!is_replaying()) {
      move_average(mean, result.mean, momentum);
      const auto count = static_cast<double>(result.count);
      move_average(variance, result.variance, momentum, unbiased && count > 1 ? count / (count - 1) : 1);
    }
    const Value y{result.y, x.type, order};
    if (!statistics) return {y};
    return {y, value_of(copy(mean), x.type), value_of(copy(variance), x.type)};
  };
}

// A vector of channels, to be broadcast to [n, c, ...] of this rank.
Tensor along_channels(const Value& channels, int rank) {
  std::vector<index_t> sizes(static_cast<std::size_t>(rank - 1), 1);
  sizes[0] = channels.tensor.size();
  return reshape(channels.tensor, sizes);
}

// x [n, c, ...], in the file's order, with each group of channels normalized by itself.
Tensor normalized(const Tensor& x, index_t groups, double epsilon) {
  const Tensor rows = reshape(x, {x.shape()[0], groups, -1});
  return reshape(layer_norm(rows, 1, epsilon), x.shape());
}

Compute prepare_instance_normalization(const Node& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  return [epsilon](const Run& run) -> Results {
    const Value& x = run[0];
    if (x.rank() < 3)
      fail("load_onnx", "an image must have three axes or more, got shape {}", Shape(x.sizes()));
    const index_t channels = x.size_of_axis(1);
    if (x.order == channels_last(x.rank()))
      return {x.with(group_norm(x.tensor, channels, natural(run[1]), natural(run[2]), epsilon))};
    const Tensor y = x.tensor.size() == 0 ? natural(x) : normalized(natural(x), channels, epsilon);
    return {value_of(y * along_channels(run[1], x.rank()) + along_channels(run[2], x.rank()), x.type)};
  };
}

Compute prepare_group_normalization(const Node& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  const std::int64_t groups = node.required_integer("num_groups");
  const bool of_groups = node.opset() < 21;  // scale and bias
  node.ignore("stash_type");
  if (groups < 1) node.fail("has num_groups {}", groups);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const index_t channels = x.rank() < 2 ? 0 : x.size_of_axis(1);
    if (channels == 0 || channels % groups != 0)
      fail("load_onnx", "{} groups do not divide the channels of shape {}", groups, Shape(x.sizes()));
    const auto of_channels = [&](std::size_t i) {
      const Tensor given = natural(run[i]);
      return of_groups ? repeat(given, channels / groups, 0) : given;
    };
    const Order order = channels_last(x.rank());
    return {{group_norm(in_order(x, order), groups, of_channels(1), of_channels(2), epsilon), x.type, order}};
  };
}

Compute prepare_layer_normalization(const Node& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  const std::int64_t axis = node.integer("axis", -1);
  node.ignore("stash_type");
  const std::size_t results = node.proto().outputs.size();
  return [=](const Run& run) -> Results {
    const Value& given = run[0];
    const Value x = value_of(natural(given), given.type);
    const int first = x.stored_axis(axis), count = x.rank() - first;
    Tensor y = layer_norm(x.tensor, count, epsilon) * natural(run[1]);
    if (run.has(2)) y = y + natural(run[2]);
    Results made{value_of(y, x.type)};
    if (results == 1) return made;
    std::vector<int> axes(static_cast<std::size_t>(count));
    std::iota(axes.begin(), axes.end(), first);
    made.push_back(value_of(mean(x.tensor, axes, {.keepdims = true}), x.type));
    made.push_back(value_of(rsqrt(var(x.tensor, axes, {.keepdims = true}) + epsilon), x.type));
    return made;
  };
}

// (x - mean) / sqrt(variance + 1e-9), as the function's definition in ONNX has it.
Compute prepare_mean_variance(const Node& node) {
  const auto axes = node.integers("axes").value_or(std::vector<std::int64_t>{0, 2, 3});
  return [axes](const Run& run) -> Results {
    const Value& x = run[0];
    std::vector<int> stored;
    for (const std::int64_t axis : axes) stored.push_back(x.stored_axis(axis));
    const Tensor centred = x.tensor - mean(x.tensor, stored, {.keepdims = true});
    return {x.with(centred / (stddev(x.tensor, stored, {.keepdims = true}) + 1e-9))};
  };
}

// x / (bias + alpha / size * the sum of squares of `size` channels around)^beta
Compute prepare_lrn(const Node& node) {
  const double alpha = node.number("alpha", 1e-4), beta = node.number("beta", 0.75),
               bias = node.number("bias", 1);
  const std::int64_t size = node.required_integer("size");
  if (size < 1 || size > 1 << 20) node.fail("has size {}", size);
  return [=](const Run& run) -> Results {
    const Value& x = run[0];
    const Order order = channels_last(x.rank());
    const Tensor image = in_order(x, order);
    const Tensor rows = reshape(square(image), {-1, 1, x.size_of_axis(1), 1});
    const Tensor sums = conv2d(rows, ones({1, size, 1, 1}, rows.dtype()),
                               {.padding = Padding::Explicit(0, 0, (size - 1) / 2, size / 2)});
    const Tensor scale = bias + alpha / static_cast<double>(size) * reshape(sums, image.shape());
    return {{image * pow(scale, -beta), x.type, order}};
  };
}

Compute prepare_dropout(const Node& node) {
  double rate = node.number("ratio", 0.5);
  bool known = node.opset() < 12;
  if (!known) {  // the ratio is an input, and must be a constant
    rate = 0.5;
    const bool given = node.proto().inputs.size() > 1 && !node.proto().inputs[1].empty();
    const Value* ratio = given ? node.constant(1) : nullptr;
    known = !given || ratio != nullptr;
    if (ratio != nullptr) rate = number(*ratio);
    node.ignore("seed");  // options.seed
  }
  const bool mask = node.proto().outputs.size() > 1 && !node.proto().outputs[1].empty();
  if (known && (rate < 0 || rate >= 1)) node.fail("has a ratio of {}, which must be from 0 to below 1", rate);
  const std::optional<std::size_t> layer = known ? std::optional(node.add_dropout(rate)) : std::nullopt;
  return [layer, mask](const Run& run) -> Results {
    const Value& x = run[0];
    if (!run.training) {
      if (!mask) return {x};
      return {x, {ones(x.tensor.shape(), DType::UInt8), ElementType::Bool, x.order}};
    }
    if (mask) fail("load_onnx", "the mask is returned, which is not done in training mode");
    if (!layer) fail("load_onnx", "the ratio must be a constant of the model in training mode");
    return {x.with(run.dropouts[*layer](x.tensor))};
  };
}

}  // namespace

void add_normalizations(Ops& ops) {
  ops["BatchNormalization"] = {
      .required = 5, .roles = "xwwss", .prepare = prepare_batch_normalization, .folds = false};
  ops["InstanceNormalization"] = {
      .required = 3, .roles = "xww", .prepare = prepare_instance_normalization, .folds = false};
  ops["GroupNormalization"] = {
      .required = 3, .roles = "xww", .prepare = prepare_group_normalization, .folds = false};
  ops["LayerNormalization"] = {
      .required = 2, .roles = "xww", .prepare = prepare_layer_normalization, .folds = false};
  ops["MeanVarianceNormalization"] = {.prepare = prepare_mean_variance};
  ops["LRN"] = {.prepare = prepare_lrn, .folds = false};
  ops["Dropout"] = {.roles = "xoo", .prepare = prepare_dropout, .folds = false};
}

}  // namespace tapegrad::inline v0::onnx
