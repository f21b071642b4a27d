#include "tapegrad/kernels/losses.h"

#include <cmath>
#include <limits>

#include "tapegrad/kernels/scratch.h"
#include "tapegrad/kernels/vector_math.h"

namespace tapegrad::inline v0::kernels {
namespace {

// In place; vectorized in single precision.
void exp_of(index_t n, float* x) {
  exp(n, x, x);
}
void exp_of(index_t n, double* x) {
  for (index_t i = 0; i < n; ++i) x[i] = std::exp(x[i]);
}
void log1p_of(index_t n, float* x) {
  log1p(n, x, x);
}
void log1p_of(index_t n, double* x) {
  for (index_t i = 0; i < n; ++i) x[i] = std::log1p(x[i]);
}

// e = a row of logits less the largest; returns what the label's logit, and with `spread` all of them, take from
// the loss.
template <class T>
T shifted(index_t classes, const T* row, std::int32_t label, T spread, T* e) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  T largest = row[0];
  for (index_t c = 1; c < classes; ++c) largest = row[c] > largest ? row[c] : largest;
  for (index_t c = 0; c < classes; ++c) e[c] = row[c] - largest;
  for (index_t c = 0; largest == kInfinity && c < classes; ++c) e[c] = row[c] == kInfinity ? T{0} : e[c];
  if (spread == 0)
    return e[label];  // a class that is ruled out by a logit of -infinity counts for itself alone
  double total = 0;
  for (index_t c = 0; c < classes; ++c) total += static_cast<double>(e[c]);
  const T even = spread * static_cast<T>(total / static_cast<double>(classes));
  return spread == 1 ? even : (1 - spread) * e[label] + even;
}

}  // namespace

template <class T>
void squared_error(index_t n, const T* x, const T* t, T* losses, T* slopes, T scale) {
  for (index_t i = 0; i < n; ++i) losses[i] = (x[i] - t[i]) * (x[i] - t[i]);
  for (index_t i = 0; slopes != nullptr && i < n; ++i) slopes[i] = 2 * scale * (x[i] - t[i]);
}

template <class T>
void logistic_loss(index_t n, const T* x, const T* t, T* losses, T* slopes, T scale) {
  // With e = exp(-|x|), which never overflows, everything is a sum of terms of one sign: nothing cancels.
  for (index_t i = 0; i < n; ++i) losses[i] = -std::abs(x[i]);
  exp_of(n, losses);
  for (index_t i = 0; slopes != nullptr && i < n; ++i) {
    // sigmoid(x) and sigmoid(-x), times 1 + e.
    const T e = losses[i], yes = x[i] >= 0 ? 1 : e, no = x[i] >= 0 ? e : 1;
    slopes[i] = scale * ((1 - t[i]) * yes - t[i] * no) / (1 + e);
  }
  log1p_of(n, losses);
  for (index_t i = 0; i < n; ++i) {
    // Two terms, one of which is 0: a loop without a branch, which would be mispredicted half the time. A weight of 0
    // makes 0 of an infinite logit, too.
    const T up = x[i] > 0 ? x[i] : T{0}, down = x[i] > 0 ? T{0} : -x[i], rest = 1 - t[i];
    losses[i] += (rest == 0 ? T{0} : up * rest) + (t[i] == 0 ? T{0} : down * t[i]);
  }
}

template <class T>
void cross_entropy(index_t rows, index_t classes, const T* x, const std::int32_t* labels, T spread, T* losses,
                   T* slopes, T scale) {
  // Less the largest of its row, no logit overflows.
  T* e = slopes != nullptr ? slopes : scratch<T>(rows * classes);
  for (index_t r = 0; r < rows; ++r)
    losses[r] = shifted(classes, x + r * classes, labels[r], spread, e + r * classes);
  exp_of(rows * classes, e);
  for (index_t r = 0; r < rows; ++r) {
    T* row = e + r * classes;
    T& of_label = row[labels[r]];
    const double label = static_cast<double>(of_label);
    double others = 0;
    for (index_t c = 0; c < labels[r]; ++c) others += static_cast<double>(row[c]);
    for (index_t c = labels[r] + 1; c < classes; ++c) others += static_cast<double>(row[c]);
    const double total = others + label;
    // Where the label's logit is the largest, the others may be lost in 1 + others.
    losses[r] =
        static_cast<T>((label == 1 ? std::log1p(others) : std::log(total)) - static_cast<double>(losses[r]));
    if (slopes == nullptr) continue;
    const T factor = static_cast<T>(1 / total), even = spread / static_cast<T>(classes);
    of_label = static_cast<T>(static_cast<double>(spread) * total - others);
    for (index_t c = 0; c < classes; ++c) row[c] = scale * (row[c] * factor - even);
  }
}

template void squared_error(index_t, const float*, const float*, float*, float*, float);
template void squared_error(index_t, const double*, const double*, double*, double*, double);
template void logistic_loss(index_t, const float*, const float*, float*, float*, float);
template void logistic_loss(index_t, const double*, const double*, double*, double*, double);
template void cross_entropy(index_t, index_t, const float*, const std::int32_t*, float, float*, float*,
                            float);
template void cross_entropy(index_t, index_t, const double*, const std::int32_t*, double, double*, double*,
                            double);

}  // namespace tapegrad::inline v0::kernels
