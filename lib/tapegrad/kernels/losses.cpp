#include "tapegrad/kernels/losses.h"

#include <cmath>

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
    // Two terms, one of which is 0: a loop without a branch, which would be mispredicted half the time.
    const T up = x[i] > 0 ? x[i] : T{0}, down = x[i] > 0 ? T{0} : -x[i];
    losses[i] += up * (1 - t[i]) + down * t[i];
  }
}

template <class T>
void cross_entropy(index_t rows, index_t classes, const T* x, const std::int32_t* labels, T spread, T* losses,
                   T* slopes, T scale) {
  // Less the largest of its row, no logit overflows.
  T* e = slopes != nullptr ? slopes : scratch<T>(rows * classes);
  for (index_t r = 0; r < rows; ++r) {
    const T* row = x + r * classes;
    T largest = row[0];
    for (index_t c = 1; c < classes; ++c) largest = row[c] > largest ? row[c] : largest;
    for (index_t c = 0; c < classes; ++c) e[r * classes + c] = row[c] - largest;
    losses[r] = e[r * classes + labels[r]];
    if (spread == 0) continue;  // a class that is ruled out by a logit of -infinity counts for itself alone
    double total = 0;
    for (index_t c = 0; c < classes; ++c) total += static_cast<double>(e[r * classes + c]);
    losses[r] = (1 - spread) * losses[r] + spread * static_cast<T>(total / static_cast<double>(classes));
  }
  exp_of(rows * classes, e);
  for (index_t r = 0; r < rows; ++r) {
    T* row = e + r * classes;
    double total = 0;
    for (index_t c = 0; c < classes; ++c) total += static_cast<double>(row[c]);
    losses[r] = static_cast<T>(std::log(total)) - losses[r];
    if (slopes == nullptr) continue;
    const T factor = static_cast<T>(1 / total), even = spread / static_cast<T>(classes);
    T& of_label = row[labels[r]];  // nearly cancels where the prediction is right
    of_label = static_cast<T>(static_cast<double>(of_label) - (1 - static_cast<double>(spread)) * total);
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
