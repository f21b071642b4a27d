// The rest of the wrong formulas that hints know: each of them is made once, so that each text is that of its formula.

#include "mistakes.h"

namespace tapegrad::testing {
namespace {

using Inputs = const std::vector<Tensor>&;
using Gradients = std::vector<Tensor>;

Tensor draw(const Shape& shape, std::uint64_t stream = 1, double low = -2, double high = 2) {
  Generator generator(9, stream);
  return uniform(shape, low, high, generator, DType::Float64);
}

/// From x, y, dy to dx.
using Slope = std::function<Tensor(const Tensor& x, const Tensor& y, const Tensor& dy)>;

/// Wrong gradients of one function, all found by one pattern.
class Wrong {
 public:
  Wrong(std::vector<Mistake>& all, std::string pattern, std::function<Tensor(const Tensor&)> f, Tensor x)
      : all_(all), pattern_(std::move(pattern)), f_(std::move(f)), x_(std::move(x)) {}

  void operator()(const char* words, Slope slope) {
    all_.push_back(
        {pattern_ + ": " + words,
         "input 0",
         {words},
         {pattern_},
         [f = f_](Inputs in) { return f(in[0]); },
         [slope](Inputs in, const Tensor& y, const Tensor& dy) { return Gradients{slope(in[0], y, dy)}; },
         {x_}});
  }

 private:
  std::vector<Mistake>& all_;
  std::string pattern_;
  std::function<Tensor(const Tensor&)> f_;
  Tensor x_;
};

Tensor along(const Tensor& t, int axis = 1) {
  return sum(t, {axis}, {.keepdims = true});
}

void add_softmax(std::vector<Mistake>& all) {
  Wrong soft(
      all, "softmax", [](const Tensor& x) { return softmax(x, 1); }, draw({4, 5}));
  soft("the factor y of softmax is missing: this is dy - sum(y dy)",
       [](auto&, auto& y, auto& dy) { return dy - along(y * dy); });
  soft("both factors y of softmax are missing", [](auto&, auto&, auto& dy) { return dy - along(dy); });
  soft("the sign of the cross terms is wrong",
       [](auto&, auto& y, auto& dy) { return y * (dy + along(y * dy)); });
  soft("only the cross terms of softmax are there",
       [](auto&, auto& y, auto& dy) { return -1.0 * y * along(y * dy); });
  soft("softmax subtracts sum(y dy), and this is its mean",
       [](auto&, auto& y, auto& dy) { return y * (dy - along(y * dy) / 5.0); });

  Wrong log_soft(
      all, "softmax", [](const Tensor& x) { return log_softmax(x, 1); }, draw({4, 5}));
  log_soft("the cross terms of log_softmax are missing",
           [](auto&, auto& y, auto& dy) { return dy - exp(y) * dy; });
  log_soft("this is the gradient of softmax, and the function is its logarithm",
           [](auto&, auto& y, auto& dy) { return exp(y) * (dy - along(exp(y) * dy)); });
  log_soft("exp(y) stands inside of the sum of log_softmax's gradient",
           [](auto&, auto& y, auto& dy) { return dy - along(exp(y) * dy); });
  log_soft("log_softmax subtracts exp(y) sum(dy), and this is the mean",
           [](auto&, auto& y, auto& dy) { return dy - exp(y) * along(dy) / 5.0; });
  log_soft("the sign of log_softmax's sum is wrong",
           [](auto&, auto& y, auto& dy) { return dy + exp(y) * along(dy); });
}

void add_cross_entropy(std::vector<Mistake>& all) {
  const Tensor t = one_hot(tensor({0, 4, 2, 4}, DType::Int32), 5, DType::Float64);
  const auto p = [](const Tensor& x) { return softmax(x, 1); };
  Wrong loss(
      all, "cross-entropy", [t](const Tensor& x) { return -1.0 * sum(log_softmax(x, 1) * t) / 4.0; },
      draw({4, 5}));
  loss("the softmax is missing: this is -t", [=](auto&, auto&, auto& dy) { return -1.0 * dy * t / 4.0; });
  loss("this is the gradient with respect to the probabilities, -t / p",
       [=](auto& x, auto&, auto& dy) { return -1.0 * dy * t / p(x) / 4.0; });
  loss("the logits are taken for probabilities: this is x - t",
       [=](auto& x, auto&, auto& dy) { return dy * (x - t) / 4.0; });
  loss("the sign of the target is wrong: cross entropy has p - t",
       [=](auto& x, auto&, auto& dy) { return dy * (p(x) + t) / 4.0; });
  loss("only the entries of the right classes have a gradient",
       [=](auto& x, auto&, auto& dy) { return dy * t * (p(x) - 1.0) / 4.0; });

  // Of single entries: of probabilities, and of logits.
  const Tensor q = draw({4, 5}, 7, 0.2, 0.8);
  const auto entry = [q](const Tensor& a) { return -1.0 * (q * log(a) + (1.0 - q) * log(1.0 - a)); };
  Wrong binary(all, "binary-cross-entropy", entry, draw({4, 5}, 6, 0.1, 0.9));
  binary("the factor p - t is missing", [](auto& a, auto&, auto& dy) { return dy / (a * (1.0 - a)); });
  binary("only (1 - t) log(1 - p) has a gradient",
         [=](auto& a, auto&, auto& dy) { return dy * (1.0 - q) / (1.0 - a); });
  binary("the sign of (1 - t) / (1 - p) is wrong",
         [=](auto& a, auto&, auto& dy) { return dy * (-1.0 * q / a - (1.0 - q) / (1.0 - a)); });
  Wrong logits(
      all, "binary-cross-entropy", [=](const Tensor& x) { return entry(sigmoid(x)); }, draw({4, 5}, 8));
  logits("this is the gradient with respect to the probabilities", [=](auto& x, auto&, auto& dy) {
    const Tensor a = sigmoid(x);
    return dy * (a - q) / (a * (1.0 - a));
  });
  logits("the sigmoid is missing: this is -t", [=](auto&, auto&, auto& dy) { return -1.0 * dy * q; });
}

// x, gamma and beta; which of them has the wrong gradient.
struct Normalized {
  Tensor centred, inverse, xhat;
};
constexpr double kEpsilon = 1e-2;
Normalized normalized(const Tensor& x, double epsilon = kEpsilon) {
  const Tensor centred = x - along(x, 0) / 7.0;
  const Tensor inverse = 1.0 / sqrt(along(square(centred), 0) / 7.0 + epsilon);
  return {centred, inverse, centred * inverse};
}
/// x or gamma, d = dy gamma, xhat and dy to a gradient.
using OfNormalized =
    std::function<Tensor(const Tensor& x, const Tensor& d, const Normalized& n, const Tensor& dy)>;

void add_normalized(std::vector<Mistake>& all, const std::string& tensor, const char* words,
                    OfNormalized wrong) {
  all.push_back({std::string("normalization: ") + words,
                 tensor,
                 {words},
                 {"normalization"},
                 [](Inputs in) { return normalized(in[0]).xhat * in[1] + in[2]; },
                 [=](Inputs in, const Tensor&, const Tensor& dy) {
                   const Normalized n = normalized(in[0]);
                   const Tensor d = dy * in[1], of_mean = along(d, 0) / 7.0,
                                of_variance = along(d * n.xhat, 0) / 7.0;
                   Gradients right = {n.inverse * (d - of_mean - n.xhat * of_variance), sum(dy * n.xhat, {0}),
                                      sum(dy, {0})};
                   right[tensor == "x" ? 0 : 1] = wrong(in[0], d, n, dy);
                   return right;
                 },
                 {draw({7, 3}), draw({3}, 2, 0.5, 2), draw({3}, 3)},
                 {.names = {"x", "gamma", "beta"}}});
}

void add_normalization(std::vector<Mistake>& all) {
  // x's gradient with other factors of its two terms.
  const auto terms = [&](const char* words, double mean, double variance) {
    add_normalized(all, "x", words, [=](auto&, auto& d, auto& n, auto&) {
      return n.inverse * (d - mean * along(d, 0) / 7.0 - variance * n.xhat * along(d * n.xhat, 0) / 7.0);
    });
  };
  terms("a sum stands where mean(dy gamma) belongs", 7, 1);
  terms("a sum stands where mean(dy gamma xhat) belongs", 1, 7);
  terms("the mean of dy gamma xhat is divided by n - 1", 1, 7.0 / 6);
  terms("the sign of the variance's term is wrong", 1, -1);
  terms("the sign of the mean's term is wrong", -1, 1);
  add_normalized(all, "x", "x stands where the normalized xhat", [](auto& x, auto& d, auto& n, auto&) {
    return n.inverse * (d - along(d, 0) / 7.0 - x * along(d * x, 0) / 7.0);
  });
  add_normalized(all, "x", "epsilon is forgotten in the gradient", [](auto& x, auto& d, auto& n, auto&) {
    return normalized(x, 0).inverse * (d - along(d, 0) / 7.0 - n.xhat * along(d * n.xhat, 0) / 7.0);
  });
  add_normalized(all, "x", "normalization is taken for the identity",
                 [](auto&, auto&, auto&, auto& dy) { return dy * 1.0; });
  const auto of_gamma = [&](const char* words, OfNormalized wrong) {
    add_normalized(all, "gamma", words, std::move(wrong));
  };
  of_gamma("gamma's gradient is made with x - mean",
           [](auto&, auto&, auto& n, auto& dy) { return sum(dy * n.centred, {0}); });
  of_gamma("epsilon is forgotten in gamma's gradient",
           [](auto& x, auto&, auto&, auto& dy) { return sum(dy * normalized(x, 0).xhat, {0}); });
  of_gamma("gamma's gradient is that of beta", [](auto&, auto&, auto&, auto& dy) { return sum(dy, {0}); });
  // y = xhat gamma + beta, from what the mistakes draw for them.
  of_gamma("gamma's gradient is made with the result y", [](auto&, auto&, auto& n, auto& dy) {
    return sum(dy * (n.xhat * draw({3}, 2, 0.5, 2) + draw({3}, 3)), {0});
  });
}

void add_pooling(std::vector<Mistake>& all) {
  const Tensor image = draw({2, 4, 6, 4});
  const auto up = [](const Tensor& t) { return repeat(repeat(t, 2, 1), 2, 2); };
  // The first entry of each window of 2 x 2.
  const Tensor corner = pad(ones({2, 2, 3, 4, 1}, DType::Float64), {{}, {}, {}, {}, {0, 3}});
  const Tensor first =
      reshape(permute(reshape(corner, {2, 2, 3, 4, 2, 2}), {0, 1, 4, 2, 5, 3}), {2, 4, 6, 4});
  Wrong largest(
      all, "pooling", [](const Tensor& x) { return max_pool2d(x); }, image);
  largest("this is the gradient of average pooling", [=](auto&, auto&, auto& dy) { return up(dy) / 4.0; });
  largest("the first entry of each window gets the gradient",
          [=](auto&, auto&, auto& dy) { return up(dy) * first; });
  Wrong average(
      all, "pooling", [](const Tensor& x) { return avg_pool2d(x); }, image);
  average("divided by the number of the window's entries twice",
          [=](auto&, auto&, auto& dy) { return up(dy) / 16.0; });
  average("only the first entry of each window gets a gradient",
          [=](auto&, auto&, auto& dy) { return up(dy) * first; });
  average("this is the gradient of max pooling", [=](auto& x, auto&, auto& dy) {
    return up(dy) * cast(equals(x, up(max_pool2d(x))), DType::Float64);
  });
}

void add_reductions(std::vector<Mistake>& all) {
  const auto out = [](const Tensor& t) { return broadcast_to(expand_dims(t, 1), Shape{4, 5}); };
  Wrong largest(
      all, "reduction", [](const Tensor& x) { return max(x, {1}); }, draw({4, 5}));
  largest("this is the gradient of a mean", [=](auto&, auto&, auto& dy) { return out(dy) / 5.0; });
  Wrong length(
      all, "reduction", [](const Tensor& x) { return norm(x, {1}); }, draw({4, 5}));
  length("this is the gradient of the sum of squares, 2 x dy",
         [=](auto& x, auto&, auto& dy) { return 2.0 * x * out(dy); });
  length("the 2 of the square is forgotten",
         [=](auto& x, auto& y, auto& dy) { return x * out(dy / (2.0 * y)); });
  length("the factor x is missing: a norm has", [=](auto&, auto& y, auto& dy) { return out(dy / y); });
  length("the output gradient is passed on as it is: a norm has",
         [=](auto&, auto&, auto& dy) { return out(dy) * 1.0; });
  Wrong variance(
      all, "reduction", [](const Tensor& x) { return var(x, {1}); }, draw({4, 5}));
  variance("the mean is not subtracted, and the 2 is forgotten",
           [=](auto& x, auto&, auto& dy) { return x * out(dy) / 5.0; });
  variance("the variance is divided by n in the one pass and by n - 1 in the other",
           [=](auto& x, auto&, auto& dy) { return 2.0 * (x - along(x) / 5.0) * out(dy) / 4.0; });
  Wrong unbiased(
      all, "reduction", [](const Tensor& x) { return var(x, {1}, {.correction = 1}); }, draw({4, 5}));
  unbiased("the variance is divided by n in the one pass and by n - 1 in the other",
           [=](auto& x, auto&, auto& dy) { return 2.0 * (x - along(x) / 5.0) * out(dy) / 5.0; });
  unbiased("the mean is not subtracted: this is 2 x / n",
           [=](auto& x, auto&, auto& dy) { return 2.0 * x * out(dy) / 4.0; });
  Wrong unit(
      all, "length", [](const Tensor& x) { return x / sqrt(along(square(x))); }, draw({4, 5}));
  unit("the sign of the sum is wrong: x / |x| has",
       [](auto& x, auto& y, auto& dy) { return (dy + y * along(y * dy)) / sqrt(along(square(x))); });
  unit("the output gradient is passed on as it is: x / |x| has",
       [](auto&, auto&, auto& dy) { return dy * 1.0; });
}

}  // namespace

std::vector<Mistake> formula_mistakes() {
  std::vector<Mistake> all;
  add_softmax(all);
  add_cross_entropy(all);
  add_normalization(all);
  add_pooling(all);
  add_reductions(all);
  return all;
}

}  // namespace tapegrad::testing
