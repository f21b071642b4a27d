#include <cmath>

#include "mistakes.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Gradients = std::vector<Tensor>;

Tensor draw(const Shape& shape, std::uint64_t stream = 1, double low = -2, double high = 2) {
  Generator generator(8, stream);
  return uniform(shape, low, high, generator, DType::Float64);
}

using Strings = std::vector<std::string>;

// ---- Entry by entry

/// From x, y, dy to dx.
using Slope = std::function<Tensor(const Tensor& x, const Tensor& y, const Tensor& dy)>;

Mistake unary(const char* what, Strings words, Strings patterns, std::function<Tensor(const Tensor&)> f,
              Slope slope, const Tensor& x = draw({4, 5})) {
  return {what,
          "input 0",
          std::move(words),
          std::move(patterns),
          [f](Inputs in) { return f(in[0]); },
          [slope](Inputs in, const Tensor& y, const Tensor& dy) { return Gradients{slope(in[0], y, dy)}; },
          {x}};
}

Tensor mask(const Tensor& truth) {
  return cast(truth, DType::Float64);
}

void add_activations(std::vector<Mistake>& all) {
  const auto logistic = [](const Tensor& x) { return sigmoid(x); };
  const auto hyperbolic = [](const Tensor& x) { return tanh(x); };
  const auto elu_of = [](const Tensor& x) { return elu(x, 0.7); };
  const Strings factor = {"factor", "input-output"};
  const Tensor positive = draw({4, 5}, 2, 0.5, 3);
  all.push_back(unary("relu: y >= 0",
                      {"by 1 everywhere, where it should be by 1 where x > 0 and 0 where x < 0"}, factor,
                      relu, [](auto&, auto& y, auto& dy) { return dy * mask(greater_equal(y, 0.0)); }));
  all.push_back(unary("relu: x < 0",
                      {"by 0 where x > 0 and 1 where x < 0, where it should be by 1 where x > 0"}, factor,
                      relu, [](auto& x, auto&, auto& dy) { return dy * mask(less(x, 0.0)); }));
  all.push_back(unary("relu: y dy", {"multiplied by y, where it should be by 1 where x > 0"},
                      {"factor", "power"}, relu, [](auto&, auto& y, auto& dy) { return y * dy; }));
  all.push_back(unary("relu: relu(dy)", {"the sign of the output gradient is asked"},
                      {"output-gradient-mask", "output-gradient-part"}, relu,
                      [](auto&, auto&, auto& dy) { return relu(dy); }));
  all.push_back(unary("relu: no dy", {"output gradient is forgotten"}, {"output-gradient"}, relu,
                      [](auto& x, auto&, auto&) { return mask(greater(x, 0.0)); }));
  all.push_back(unary(
      "leaky_relu: the slope forgotten",
      {"1 where x > 0 and 0 where x < 0, where it should be by 1 where "
       "x > 0 and 0.2 where x < 0"},
      factor, [](const Tensor& x) { return leaky_relu(x, 0.2); },
      [](auto& x, auto&, auto& dy) { return dy * mask(greater(x, 0.0)); }));
  all.push_back(unary("sigmoid: x (1 - x)", {"the input is taken for the result"}, factor, logistic,
                      [](auto& x, auto&, auto& dy) { return dy * x * (1.0 - x); }));
  all.push_back(unary("sigmoid: y (1 + y)", {"by y (1 + y), where it should be by y (1 - y)"}, factor,
                      logistic, [](auto&, auto& y, auto& dy) { return dy * y * (1.0 + y); }));
  all.push_back(unary(
      "tanh: 1 - y",
      {"by 1 - y, where it should be by 1 - y^2", "by 1 - tanh(x), where it should be by 1 - tanh(x)^2"},
      factor, hyperbolic, [](auto&, auto& y, auto& dy) { return dy * (1.0 - y); }));
  all.push_back(
      unary("tanh: 1 - x^2",
            {"by 1 - x^2, where it should be by 1 - y^2", "uses the input where it needs the result"}, factor,
            hyperbolic, [](auto& x, auto&, auto& dy) { return dy * (1.0 - x * x); }));
  all.push_back(unary(
      "exp: x", {"uses the input where it needs the result", "the input is taken for the result"}, factor,
      [](const Tensor& x) { return exp(x); }, [](auto& x, auto&, auto& dy) { return dy * x; }));
  all.push_back(unary(
      "log: 1 / y", {"the result is taken for the input", "uses the result where it needs the input"}, factor,
      [](const Tensor& x) { return log(x); }, [](auto&, auto& y, auto& dy) { return dy / y; }, positive));
  all.push_back(unary(
      "abs: the sign forgotten", {"by 1 everywhere, where it should be by 1 where x > 0 and -1 where x < 0"},
      factor, [](const Tensor& x) { return abs(x); }, [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary(
      "sqrt: 1 / (2 x)", {"the input is taken for the result", "by 1 / (2 x), where it should be"}, factor,
      [](const Tensor& x) { return sqrt(x); }, [](auto& x, auto&, auto& dy) { return dy / (2.0 * x); },
      positive));
  all.push_back(unary("elu: 1 below 0", {"by 1 everywhere, which is not the derivative"}, factor, elu_of,
                      [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary(
      "clamp: passed on", {"by 1 everywhere, which is not the derivative"}, factor,
      [](const Tensor& x) { return clamp(x, -1, 1); }, [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary(
      "leaky_relu: the small slope everywhere", {"by 0.2 everywhere, where it should be by 1 where x > 0"},
      factor, [](const Tensor& x) { return leaky_relu(x, 0.2); },
      [](auto&, auto&, auto& dy) { return dy * 0.2; }));
  all.push_back(unary(
      "softplus: x", {"by x, where it should be by sigmoid(x)"}, factor,
      [](const Tensor& x) { return softplus(x); }, [](auto& x, auto&, auto& dy) { return dy * x; }));
  all.push_back(unary(
      "-log(x): 1 / (1 - x)", {"where it should be by -1 / x"}, factor,
      [](const Tensor& x) { return -1.0 * log(x); }, [](auto& x, auto&, auto& dy) { return dy / (1.0 - x); },
      draw({4, 5}, 2, 0.1, 0.9)));
  all.push_back(unary(
      "softplus: s (1 - s)", {"by sigmoid(x) (1 - sigmoid(x)), where it should be by sigmoid(x)"}, factor,
      [](const Tensor& x) { return softplus(x); },
      [](auto& x, auto&, auto& dy) { return dy * sigmoid(x) * (1.0 - sigmoid(x)); }));
  all.push_back(unary(
      "square: the 2 forgotten", {"a forgotten factor 2"}, {"ratio", "factor"},
      [](const Tensor& x) { return square(x); }, [](auto& x, auto&, auto& dy) { return dy * x; }));
  all.push_back(unary(
      "1 / x: the sign", {"sign is wrong"}, {"sign", "factor"}, [](const Tensor& x) { return 1.0 / x; },
      [](auto& x, auto&, auto& dy) { return dy / (x * x); }, positive));
  all.push_back(unary(
      "sin: sin",
      {"by sin(x), where it should be by cos(x)", "uses the result where",
       "by y, where it should be by cos(x)"},
      {"factor"}, [](const Tensor& x) { return sin(x); },
      [](auto& x, auto&, auto& dy) { return dy * sin(x); }));
}

// ---- Two operands

Mistake binary(const char* what, const char* tensor, Strings words, Strings patterns, TensorFunction f,
               BackwardFunction backward, std::vector<Tensor> inputs) {
  return {what,
          tensor,
          std::move(words),
          std::move(patterns),
          std::move(f),
          std::move(backward),
          std::move(inputs),
          {.names = {"a", "b"}}};
}

void add_operands(std::vector<Mistake>& all) {
  const auto product = [](Inputs in) { return matmul(in[0], in[1]); };
  const auto quotient = [](Inputs in) { return in[0] / in[1]; };
  const std::vector<Tensor> square = {draw({3, 3}), draw({3, 3}, 2)};
  const std::vector<Tensor> pair = {draw({3, 4}), draw({3, 4}, 2, 0.5, 2)};
  const auto da = [](Inputs in, const Tensor& dy) { return matmul(dy, in[1], {.transpose_b = true}); };
  const auto db = [](Inputs in, const Tensor& dy) { return matmul(in[0], dy, {.transpose_a = true}); };
  all.push_back(binary(
      "matmul: a transpose forgotten", "a", {"'b' were transposed"}, {"axes"}, product,
      [=](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{matmul(dy, in[1]), db(in, dy)};
      },
      square));
  all.push_back(binary(
      "matmul: the result transposed", "b", {"transposed"}, {"axes"}, product,
      [=](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{da(in, dy), transpose(db(in, dy))};
      },
      square));
  all.push_back(binary(
      "matmul: results exchanged", "a", {"gradients of two inputs are exchanged"}, {"exchanged", "operand"},
      product,
      [=](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{db(in, dy), da(in, dy)};
      },
      square));
  all.push_back(
      binary("matmul: the last row only", "b", {"only the last index of axis 0"}, {"overwritten"}, product,
             [=](Inputs in, const Tensor&, const Tensor& dy) {
               return Gradients{da(in, dy),
                                matmul(slice(in[0], {{4, 5}}), slice(dy, {{4, 5}}), {.transpose_a = true})};
             },
             {draw({5, 3}), draw({3, 2}, 2)}));
  all.push_back(binary(
      "a b: a for b", "a", {"'a' is used in the place of 'b'", "by 'a', where it should be by 'b'"},
      {"operand", "factor", "operands"}, [](Inputs in) { return in[0] * in[1]; },
      [](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{dy * in[0], dy * in[0]};
      },
      pair));
  all.push_back(binary(
      "a / b: the sign", "b", {"sign is wrong"}, {"sign", "factor"}, quotient,
      [](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{dy / in[1], dy * in[0] / (in[1] * in[1])};
      },
      pair));
  all.push_back(binary(
      "a / b: no square", "b",
      {"by -'a' / 'b', where it should be by -'a' / 'b'^2", "a factor 'b'", "by -y, where it should be"},
      {"factor", "power"}, quotient,
      [](Inputs in, const Tensor&, const Tensor& dy) {
        return Gradients{dy / in[1], -1.0 * dy * in[0] / in[1]};
      },
      pair));
  all.push_back(binary(
      "a bias: mean in place of sum", "b", {"5 is axis 0"}, {"ratio"},
      [](Inputs in) { return in[0] + in[1]; },
      [](Inputs, const Tensor&, const Tensor& dy) {
        return Gradients{dy * 1.0, mean(dy, {0})};
      },
      {draw({5, 3}), draw({3}, 2)}));
  all.push_back(binary(
      "a bias: one row", "b", {"only the last index of axis 0"}, {"overwritten"},
      [](Inputs in) { return in[0] + in[1]; },
      [](Inputs, const Tensor&, const Tensor& dy) {
        return Gradients{dy * 1.0, reshape(slice(dy, {{4, 5}}), {3})};
      },
      {draw({5, 3}), draw({3}, 2)}));
}

// ---- Softmax and cross entropy

void add_softmax(std::vector<Mistake>& all) {
  const auto soft = [](const Tensor& x) { return softmax(x, 1); };
  const auto log_soft = [](const Tensor& x) { return log_softmax(x, 1); };
  const auto along = [](const Tensor& t, int axis) { return sum(t, {axis}, {.keepdims = true}); };
  const Strings p = {"softmax"};
  all.push_back(unary("softmax: no cross terms", {"cross terms of softmax are missing"}, p, soft,
                      [](auto&, auto& y, auto& dy) { return y * dy; }));
  all.push_back(unary("softmax: y (1 - y)", {"entry by entry"}, p, soft,
                      [](auto&, auto& y, auto& dy) { return y * (1.0 - y) * dy; }));
  all.push_back(unary("softmax: sum(dy)", {"this is sum(dy)"}, p, soft,
                      [=](auto&, auto& y, auto& dy) { return y * (dy - along(dy, 1)); }));
  all.push_back(unary("softmax: the wrong axis", {"along another axis"}, p, soft,
                      [=](auto&, auto& y, auto& dy) { return y * (dy - along(y * dy, 0)); }));
  all.push_back(unary("softmax: the identity", {"as if it were the identity"}, p, soft,
                      [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary("log_softmax: the identity", {"the sum of log_softmax's gradient is missing"}, p,
                      log_soft, [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary("log_softmax: no factor", {"factor exp(y) of log_softmax is missing"}, p, log_soft,
                      [=](auto&, auto&, auto& dy) { return dy - along(dy, 1); }));
  all.push_back(unary("log_softmax: y for exp(y)", {"y is taken for its exponential"}, p, log_soft,
                      [=](auto&, auto& y, auto& dy) { return dy - y * along(dy, 1); }));
  all.push_back(unary("log_softmax: the wrong axis", {"along another axis"}, p, log_soft,
                      [=](auto&, auto& y, auto& dy) { return dy - exp(y) * along(dy, 0); }));
  // Cross entropy of 4 rows of 5 classes. The labels lie at the edge.
  Tensor t = zeros({4, 5}, DType::Float64);
  for (const auto& [row, label] : {std::pair<index_t, index_t>{0, 0}, {1, 4}, {2, 0}, {3, 4}})
    t.set({row, label}, 1);
  const auto loss = [t](const Tensor& x) { return -1.0 * sum(log_softmax(x, 1) * t) / 4.0; };
  const auto q = [](const Tensor& x) { return softmax(x, 1); };
  all.push_back(unary("cross entropy: no 1 / N", {"4 is axis 0"}, {"ratio"}, loss,
                      [=](auto& x, auto&, auto& dy) { return dy * (q(x) - t); }));
  all.push_back(unary("cross entropy: the sign", {"sign is wrong"}, {"sign"}, loss,
                      [=](auto& x, auto&, auto& dy) { return dy * (t - q(x)) / 4.0; }));
  all.push_back(unary("cross entropy: no dy", {"output gradient is forgotten"}, {"output-gradient"}, loss,
                      [=](auto& x, auto&, auto&) { return (q(x) - t) / 4.0; }));
  all.push_back(unary("cross entropy: p for p - t", {"the target is not subtracted"}, {"cross-entropy"}, loss,
                      [=](auto& x, auto&, auto& dy) { return dy * q(x) / 4.0; }));
}

// ---- Normalization

struct Statistics {
  Tensor centred, inverse, xhat;
};
constexpr double kEpsilon = 1e-2;
Statistics statistics(const Tensor& x, double epsilon = kEpsilon, double divisor = 7) {
  const Tensor centred = x - mean(x, {0}, {.keepdims = true});
  const Tensor inverse = 1.0 / sqrt(sum(square(centred), {0}, {.keepdims = true}) / divisor + epsilon);
  return {centred, inverse, centred * inverse};
}

Mistake batch_norm_mistake(const char* what, const char* tensor, Strings words, Strings patterns,
                           std::function<Gradients(Inputs, const Tensor&)> wrong) {
  const TensorFunction f = [](Inputs in) { return statistics(in[0]).xhat * in[1] + in[2]; };
  return {what,
          tensor,
          std::move(words),
          std::move(patterns),
          f,
          [=](Inputs in, const Tensor&, const Tensor& dy) {
            const Statistics s = statistics(in[0]);
            const Tensor d = dy * in[1];
            Gradients all = {s.inverse * (d - mean(d, {0}, {.keepdims = true}) -
                                          s.xhat * mean(d * s.xhat, {0}, {.keepdims = true})),
                             sum(dy * s.xhat, {0}), sum(dy, {0})};
            const Gradients changed = wrong(in, dy);
            for (std::size_t k = 0; k < 3; ++k)
              if (changed[k].defined()) all[k] = changed[k];
            return all;
          },
          {draw({7, 3}), draw({3}, 2, 0.5, 2), draw({3}, 3)},
          {.names = {"x", "gamma", "beta"}}};
}

void add_normalization(std::vector<Mistake>& all) {
  const auto m = [](const Tensor& t) { return mean(t, {0}, {.keepdims = true}); };
  const auto s = [](const Tensor& t) { return sum(t, {0}, {.keepdims = true}); };
  /// dx from statistics and dy gamma.
  using Dx = std::function<Tensor(const Statistics& s, const Tensor& d, const Tensor& dy, const Tensor& x)>;
  const auto add = [&](const char* what, const char* words, Dx dx) {
    all.push_back(
        batch_norm_mistake(what, "x", {words}, {"normalization"}, [dx](Inputs in, const Tensor& dy) {
          return Gradients{dx(statistics(in[0]), dy * in[1], dy, in[0]), Tensor(), Tensor()};
        }));
  };
  add("batch norm: no mean term", "the mean is taken for a constant",
      [=](auto& q, auto& d, auto&, auto&) { return q.inverse * (d - q.xhat * m(d * q.xhat)); });
  add("batch norm: no variance term", "the variance is taken for a constant",
      [=](auto& q, auto& d, auto&, auto&) { return q.inverse * (d - m(d)); });
  add("batch norm: neither", "the mean and the variance are taken for constants",
      [=](auto& q, auto& d, auto&, auto&) { return q.inverse * d; });
  add("batch norm: sums for means", "sums stand where the means",
      [=](auto& q, auto& d, auto&, auto&) { return q.inverse * (d - s(d) - q.xhat * s(d * q.xhat)); });
  add("batch norm: no gamma", "gamma is forgotten",
      [=](auto& q, auto&, auto& dy, auto&) { return q.inverse * (dy - m(dy) - q.xhat * m(dy * q.xhat)); });
  add("batch norm: no epsilon", "epsilon is forgotten", [=](auto&, auto& d, auto&, auto& x) {
    const Statistics bare = statistics(x, 0);
    return bare.inverse * (d - m(d) - bare.xhat * m(d * bare.xhat));
  });
  add("batch norm: no std", "division by the standard deviation is forgotten",
      [=](auto& q, auto& d, auto&, auto&) { return d - m(d) - q.xhat * m(d * q.xhat); });
  add("batch norm: std^2", "divided by the variance, where the standard deviation",
      [=](auto& q, auto& d, auto&, auto&) {
        return square(q.inverse) * (d - m(d) - q.xhat * m(d * q.xhat));
      });
  add("batch norm: N - 1", "n - 1", [=](auto&, auto& d, auto&, auto& x) {
    const Statistics wide = statistics(x, kEpsilon, 6);
    return wide.inverse * (d - m(d) - wide.xhat * m(d * wide.xhat));
  });
  add("batch norm: N - 1 in the means", "divided by n - 1 in place of n",
      [=](auto& q, auto& d, auto&, auto&) {
        return q.inverse * (d - s(d) / 6.0 - q.xhat * s(d * q.xhat) / 6.0);
      });
  add("batch norm: x - mean for xhat", "x - mean stands where the normalized xhat",
      [=](auto& q, auto& d, auto&, auto&) { return q.inverse * (d - m(d) - q.centred * m(d * q.centred)); });
  all.push_back(batch_norm_mistake("batch norm: dgamma with x", "gamma",
                                   {"made with x, where the normalized xhat"}, {"normalization"},
                                   [](Inputs in, const Tensor& dy) {
                                     return Gradients{Tensor(), sum(dy * in[0], {0}), Tensor()};
                                   }));
  all.push_back(batch_norm_mistake("batch norm: dbeta a mean", "beta", {"7 is axis 0"}, {"ratio"},
                                   [](Inputs, const Tensor& dy) {
                                     return Gradients{Tensor(), Tensor(), mean(dy, {0})};
                                   }));
  all.push_back(unary(
      "layer norm: neither term", {"the mean and the variance are taken for constants"}, {"normalization"},
      [](const Tensor& x) { return layer_norm(x, 1); },
      [](auto& x, auto&, auto& dy) {
        const Tensor c = x - mean(x, {1}, {.keepdims = true});
        return dy / sqrt(mean(square(c), {1}, {.keepdims = true}) + 1e-3);
      }));
}

// ---- Pooling and means

void add_pooling(std::vector<Mistake>& all) {
  const Tensor image = draw({2, 4, 6, 3});
  const auto up = [](const Tensor& t) { return repeat(repeat(t, 2, 1), 2, 2); };
  all.push_back(unary(
      "average pooling: no 1/4", {"a window has 2 x 2 = 4 entries"}, {"pooling"},
      [](const Tensor& x) { return avg_pool2d(x); }, [=](auto&, auto&, auto& dy) { return up(dy); }, image));
  all.push_back(unary(
      "max pooling: to all", {"of a maximum only the largest entry"}, {"pooling"},
      [](const Tensor& x) { return max_pool2d(x); }, [=](auto&, auto&, auto& dy) { return up(dy); }, image));
  const auto mean_of = [](const Tensor& x) { return mean(x); };
  all.push_back(unary("mean: the divisor forgotten", {"the divisor 1/20 of a mean is forgotten"}, {"ratio"},
                      mean_of, [](auto& x, auto&, auto& dy) { return broadcast_to(dy, x.shape()); }));
  all.push_back(unary(
      "sum of squares: the 2 forgotten", {"a forgotten factor 2"}, {"ratio"},
      [](const Tensor& x) { return sum(square(x)); }, [](auto& x, auto&, auto& dy) { return dy * x; }));
}

// ---- Reductions and sums along an axis

void add_reductions(std::vector<Mistake>& all) {
  const auto out = [](const Tensor& t, const Tensor& x) {
    return broadcast_to(expand_dims(t, 1), x.shape());
  };
  const auto largest = [](const Tensor& x) { return max(x, {1}); };
  const auto smallest = [](const Tensor& x) { return min(x, {1}); };
  const auto length = [](const Tensor& x) { return norm(x); };
  const auto variance = [](const Tensor& x) { return var(x, {1}); };
  const auto sums = [](const Tensor& x) { return cumsum(x, 1); };
  const Strings p = {"reduction"};
  all.push_back(unary("max: to all", {"every entry gets the result's gradient"}, p, largest,
                      [=](auto& x, auto&, auto& dy) { return out(dy, x) * 1.0; }));
  all.push_back(
      unary("max: min's mask", {"a maximum gives it to the largest one"}, p, largest,
            [=](auto& x, auto&, auto& dy) { return out(dy, x) * mask(equals(x, out(min(x, {1}), x))); }));
  all.push_back(
      unary("min: max's mask", {"a minimum gives it to the smallest one"}, p, smallest,
            [=](auto& x, auto&, auto& dy) { return out(dy, x) * mask(equals(x, out(max(x, {1}), x))); }));
  all.push_back(unary(
      "max of all: to all", {"every entry gets the result's gradient"}, p,
      [](const Tensor& x) { return max(x); },
      [](auto& x, auto&, auto& dy) { return broadcast_to(dy, x.shape()) * 1.0; }));
  all.push_back(unary("norm: x", {"the division by the norm is missing"}, p, length,
                      [](auto& x, auto&, auto& dy) { return x * dy; }));
  all.push_back(unary("norm: x / y^2", {"divided by the norm twice"}, p, length,
                      [](auto& x, auto& y, auto& dy) { return x * dy / (y * y); }));
  all.push_back(unary("var: not centred", {"the mean is not subtracted"}, p, variance,
                      [=](auto& x, auto&, auto& dy) { return out(dy, x) * 2.0 * x / 5.0; }));
  all.push_back(unary(
      "mean along an axis: no 1/5", {"the divisor 1/5 of a mean"}, {"ratio"},
      [](const Tensor& x) { return mean(x, {1}); },
      [=](auto& x, auto&, auto& dy) { return out(dy, x) * 1.0; }));
  all.push_back(unary("cumsum: not reversed", {"run the wrong way"}, {"cumulative"}, sums,
                      [](auto&, auto&, auto& dy) { return cumsum(dy, 1); }));
  all.push_back(unary("cumsum: the identity", {"passed on as it is"}, {"cumulative"}, sums,
                      [](auto&, auto&, auto& dy) { return dy * 1.0; }));
  all.push_back(unary(
      "silu: the sign", {"by sigmoid(x) (1 - x (1 - sigmoid(x))), where it should be by sigmoid(x) (1 + x"},
      {"factor"}, [](const Tensor& x) { return silu(x); },
      [](auto& x, auto&, auto& dy) {
        const Tensor s = sigmoid(x);
        return dy * s * (1.0 - x * (1.0 - s));
      }));
  const Tensor image = draw({2, 4, 6, 3});
  all.push_back(unary(
      "average pooling: divided by 2", {"one side of the window"}, {"pooling"},
      [](const Tensor& x) { return avg_pool2d(x); },
      [](auto&, auto&, auto& dy) { return repeat(repeat(dy, 2, 1), 2, 2) / 2.0; }, image));
}

// ---- Rows that are picked, pieces, lengths

void add_layout(std::vector<Mistake>& all) {
  // Rows of a table, some of them more than once.
  const std::vector<std::size_t> rows = {3, 0, 3, 1, 3, 1, 0};
  const auto picked = [](const Tensor& x) {
    return gather(x, tensor({3, 0, 3, 1, 3, 1, 0}, DType::Int32), 0);
  };
  const auto scatter = [rows](const Tensor& x, const Tensor& dy, bool first) {
    Tensor dx = zeros(x.shape(), DType::Float64);
    for (std::size_t n = 0; n < rows.size(); ++n)
      for (index_t j = 0; j < x.shape()[1]; ++j) {
        const auto row = static_cast<index_t>(rows[n]);
        if (!first || dx.at({row, j}) == 0) dx.set({row, j}, dy.at({static_cast<index_t>(n), j}));
      }
    return dx;
  };
  const Strings over = {"overwritten instead of accumulated"};
  all.push_back(unary("gather: the last one counts", over, {"overwritten"}, picked,
                      [=](auto& x, auto&, auto& dy) { return scatter(x, dy, false); }));
  all.push_back(unary("gather: the first one counts", over, {"overwritten"}, picked,
                      [=](auto& x, auto&, auto& dy) { return scatter(x, dy, true); }));
  all.push_back(unary(
      "gather of numbers: the last one counts", over, {"overwritten"},
      [=](const Tensor& x) {
        return reshape(picked(reshape(x, {4, 1})), {7});
      },
      [=](auto& x, auto&, auto& dy) {
        return reshape(scatter(reshape(x, {4, 1}), reshape(dy, {7, 1}), false), {4});
      },
      draw({4})));
  const auto along = [](const Tensor& t) { return sum(t, {1}, {.keepdims = true}); };
  const auto unit = [=](const Tensor& x) { return x / sqrt(along(square(x))); };
  const auto length = [&](const char* what, const char* words, Slope slope) {
    all.push_back(unary(what, {words}, {"length"}, unit, std::move(slope)));
  };
  length("x / |x|: no projection", "the norm is taken for a constant",
         [=](auto& x, auto&, auto& dy) { return dy / sqrt(along(square(x))); });
  length("x / |x|: no norm", "the division by the norm is missing",
         [=](auto&, auto& y, auto& dy) { return dy - y * along(y * dy); });
  length("x / |x|: 1 - y^2", "the cross terms are missing",
         [=](auto& x, auto& y, auto& dy) { return dy * (1.0 - y * y) / sqrt(along(square(x))); });
  length("x / |x|: x for y", "x stands where the result",
         [=](auto& x, auto&, auto& dy) { return (dy - x * along(x * dy)) / sqrt(along(square(x))); });
  all.push_back(unary(
      "pad: one row early", {"shifted by 1 along axis 1"}, {"shifted"},
      [](const Tensor& x) {
        return pad(x, {{1, 2}, {2, 1}});
      },
      [](auto&, auto&, auto& dy) {
        return slice(dy, {{1, 5}, {1, 6}});
      }));
  all.push_back(unary(
      "slice: put at the front", {"shifted by 1 along axis 0"}, {"shifted"},
      [](const Tensor& x) {
        return slice(x, {{1, 3}, {}});
      },
      [](auto&, auto&, auto& dy) {
        return pad(dy, {{0, 2}, {0, 0}});
      }));
  all.push_back(unary(
      "transpose: not undone", {"were transposed"}, {"axes"}, [](const Tensor& x) { return transpose(x); },
      [](auto&, auto&, auto& dy) { return dy * 1.0; }, draw({4, 4})));
  const TensorFunction joined = [](Inputs in) { return concat({in[0], 2.0 * in[1]}, 1); };
  all.push_back(binary("concat: the pieces exchanged", "a", {"its two halves along axis 1 exchanged"},
                       {"pieces"}, joined,
                       [](Inputs, const Tensor&, const Tensor& dy) {
                         return Gradients{slice(dy, {{}, {3, 6}}), 2.0 * slice(dy, {{}, {3, 6}})};
                       },
                       {draw({4, 3}), draw({4, 3}, 2)}));
  all.push_back(binary("concat: the second one early", "b", {"shifted by 1 along axis 1"}, {"shifted"},
                       joined,
                       [](Inputs, const Tensor&, const Tensor& dy) {
                         return Gradients{slice(dy, {{}, {0, 3}}), 2.0 * slice(dy, {{}, {2, 4}})};
                       },
                       {draw({4, 3}), draw({4, 2}, 2)}));
  all.push_back(binary(
      "a column: the first entry of each row", "b", {"only the first index of axis 1"}, {"overwritten"},
      [](Inputs in) { return in[0] + in[1]; },
      [](Inputs, const Tensor&, const Tensor& dy) {
        return Gradients{dy * 1.0, slice(dy, {{}, {0, 1}})};
      },
      {draw({4, 3}), draw({4, 1}, 2)}));
}

// ---- Losses of single entries

void add_losses(std::vector<Mistake>& all) {
  const Tensor t = draw({4, 5}, 5);
  const auto huber = [](const Tensor& x) { return where(less(abs(x), 1.0), 0.5 * square(x), abs(x) - 0.5); };
  const Strings h = {"not clamped where it is large"}, hp = {"huber"};
  all.push_back(unary("huber: not clamped", h, hp, huber, [](auto& x, auto&, auto& dy) { return dy * x; }));
  all.push_back(unary("huber: another delta", {"at a limit that is 1.25 times"}, hp, huber,
                      [](auto& x, auto&, auto& dy) { return dy * clamp(x, -1.25, 1.25); }));
  all.push_back(unary(
      "mean huber of x - t: not clamped", h, hp, [=](const Tensor& x) { return mean(huber(x - t)); },
      [=](auto& x, auto&, auto& dy) { return dy * (x - t) / 20.0; }));
  all.push_back(binary(
      "huber of a - b: not clamped", "a", h, hp, [=](Inputs in) { return huber(in[0] - in[1]); },
      [](Inputs in, const Tensor&, const Tensor& dy) {
        const Tensor d = in[0] - in[1];
        return Gradients{dy * d, -1.0 * dy * clamp(d, -1, 1)};
      },
      {draw({4, 5}), draw({4, 5}, 2)}));
  const Tensor probabilities = draw({4, 5}, 6, 0.1, 0.9);
  for (const Tensor& q : {mask(greater(t, 0.0)), draw({4, 5}, 7, 0.2, 0.8)}) {
    const auto loss = [q](const Tensor& p) { return -1.0 * (q * log(p) + (1.0 - q) * log(1.0 - p)); };
    const auto of_p = [&](const char* what, const char* words, Slope slope) {
      all.push_back(unary(what, {words}, {"binary-cross-entropy"}, loss, slope, probabilities));
      all.push_back(unary(
          what, {words}, {"binary-cross-entropy"}, [=](const Tensor& p) { return mean(loss(p)); },
          [=](auto& x, auto& y, auto& dy) { return slope(x, y, dy) / 20.0; }, probabilities));
    };
    of_p("bce: p / (p (1 - p))", "the target is not subtracted: this is p / (p (1 - p))",
         [](auto& p, auto&, auto& dy) { return dy * p / (p * (1.0 - p)); });
    of_p("bce: p - t", "the division by p (1 - p) is missing",
         [=](auto& p, auto&, auto& dy) { return dy * (p - q); });
    of_p("bce: -t / p", "only t log(p) has a gradient",
         [=](auto& p, auto&, auto& dy) { return -1.0 * dy * q / p; });
    const auto of_logits = [&](const char* what, const char* words, Slope slope) {
      all.push_back(unary(
          what, {words}, {"binary-cross-entropy"}, [=](const Tensor& x) { return sum(loss(sigmoid(x))); },
          std::move(slope)));
    };
    of_logits("bce of logits: p", "the target is not subtracted: this is p = sigmoid(x)",
              [](auto& x, auto&, auto& dy) { return dy * sigmoid(x); });
    of_logits("bce of logits: x - t", "the logits are taken for probabilities",
              [=](auto& x, auto&, auto& dy) { return dy * (x - q); });
    of_logits("bce of logits: (p - t) p (1 - p)", "the sigmoid's derivative once more",
              [=](auto& x, auto&, auto& dy) {
                const Tensor p = sigmoid(x);
                return dy * (p - q) * p * (1.0 - p);
              });
  }
}

}  // namespace

std::vector<Mistake> op_mistakes() {
  std::vector<Mistake> all;
  add_activations(all);
  add_operands(all);
  add_softmax(all);
  add_normalization(all);
  add_pooling(all);
  add_reductions(all);
  add_layout(all);
  add_losses(all);
  return all;
}

}  // namespace tapegrad::testing
