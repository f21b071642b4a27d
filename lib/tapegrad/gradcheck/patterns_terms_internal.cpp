// A gradient is a sum over the results that the entry reaches. Which of these terms arrived?

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/gradcheck/case_internal.h"

namespace tapegrad::inline v0::detail {
namespace {

/// The terms of some entries, wrong ones first.
class Terms {
 public:
  explicit Terms(const Case& c) : c_(c) {
    for (const Tensor& r : c.e.rs) outputs_ += static_cast<std::size_t>(r.size());
    const std::size_t room = std::clamp<std::size_t>(4'000'000 / std::max<std::size_t>(outputs_, 1), 4, 48);
    const auto pick = [&](const std::vector<std::size_t>& from, std::size_t most) {
      const std::size_t count = std::min(from.size(), most);
      for (std::size_t n = 0; n < count; ++n) picked_.push_back(from[n * from.size() / count]);
    };
    pick(c.wrong, room);
    wrong_ones_ = picked_.size();
    pick(c.right, room / 2);
    for (const std::size_t i : picked_) {
      Line line(c.e.xs[c.e.k], {{static_cast<index_t>(i), 1.0}});
      parts_.push_back(c.e.prober.contributions(line, c.e.steps[i]));
    }
  }

  /// Would the entries be what they are if only these results counted?
  template <class Counts>
  bool only(Counts&& counts) const {
    for (std::size_t n = 0; n < picked_.size(); ++n) {
      double sum = 0;
      for (std::size_t j = 0; j < outputs_; ++j)
        if (counts(j)) sum += parts_[n][j];
      if (!c_.close(sum, c_.analytic[picked_[n]])) return false;
    }
    return true;
  }

  Hint find() const {
    std::size_t begin = 0;
    for (std::size_t o = 0; o < c_.e.rs.size(); ++o) {
      const Result result{*this, c_.e.result_names[o], c_.e.rs[o].shape(), begin};
      if (c_.e.rs.size() > 1 && only([&](std::size_t j) { return result.elsewhere(j); }))
        return GradcheckHint{
            "missing-term",
            fmt::format("the part that comes through the {} is missing: a rule takes something for "
                        "a constant that is none",
                        result.name)};
      for (const auto search : {&Result::one_axis, &Result::two_axes, &Result::border, &Result::corner})
        if (Hint hint = (result.*search)()) return hint;
      begin += static_cast<std::size_t>(result.shape.size());
    }
    return std::nullopt;
  }

  // One single term, or all but one, whichever it is.
  Hint find_one() const {
    if (const Hint found = one_term(parts_)) return found;
    if (c_.e.rs.size() > 1) return std::nullopt;
    const Shape& shape = c_.e.rs[0].shape();
    for (int d = 0; d < shape.rank(); ++d) {
      std::vector<Values> sums;
      for (const Values& part : parts_) sums.push_back(summed(part, shape, d));
      if (Hint found = one_term(sums)) {
        found->text += fmt::format(" (a term is here a sum along axis {} of the result)", d);
        return found;
      }
    }
    return std::nullopt;
  }

 private:
  /// One of the results, and which of its entries count.
  struct Result {
    const Terms& terms;
    std::string name;
    Shape shape;
    std::size_t begin;

    bool elsewhere(std::size_t j) const {
      return j < begin || j >= begin + static_cast<std::size_t>(shape.size());
    }
    index_t at(std::size_t j, int d) const {
      index_t inner = 1;
      for (int after = d + 1; after < shape.rank(); ++after) inner *= shape[after];
      return static_cast<index_t>(j - begin) / inner % shape[d];
    }
    template <class Counts>
    bool only(Counts&& counts) const {
      return terms.only([&](std::size_t j) { return elsewhere(j) || counts(j); });
    }

    Hint one_axis() const {
      for (int d = 0; d < shape.rank(); ++d) {
        const index_t size = shape[d];
        if (size < 2) continue;
        const std::string which = fmt::format("axis {} of the {} (size {})", d, name, size);
        if (only([&](std::size_t j) { return at(j, d) == size - 1; }))
          return GradcheckHint{
              "overwritten",
              fmt::format(
                  "overwritten instead of accumulated (= in place of +=): only the last index of {} counts",
                  which)};
        if (size > 2 && only([&](std::size_t j) { return at(j, d) == 0; }))
          return GradcheckHint{"overwritten",
                               fmt::format("not accumulated: only the first index of {} counts", which)};
        if (only([&](std::size_t j) { return at(j, d) != size - 1; }))
          return GradcheckHint{
              "missing-term",
              fmt::format("the last term is missing: the last index of {} is left out of the sum", which)};
        if (only([&](std::size_t j) { return at(j, d) != 0; }))
          return GradcheckHint{
              "missing-term",
              fmt::format("the first term is missing: index 0 of {} is left out of the sum", which)};
      }
      return std::nullopt;
    }

    // One index of two axes: what is left when a sum runs over the other axes alone.
    Hint two_axes() const {
      for (int a = 0; a < shape.rank(); ++a)
        for (int b = a + 1; b < shape.rank(); ++b) {
          if (shape[a] < 2 || shape[b] < 2) continue;
          const std::string which = fmt::format("axis {} and axis {} of the {}", a, b, name);
          if (only([&](std::size_t j) { return at(j, a) == 0 && at(j, b) == 0; }))
            return GradcheckHint{
                "overwritten",
                fmt::format("not accumulated: only the first index of {} counts: the sum over them is "
                            "missing",
                            which)};
          if (only([&](std::size_t j) { return at(j, a) == shape[a] - 1 && at(j, b) == shape[b] - 1; }))
            return GradcheckHint{"overwritten",
                                 fmt::format("overwritten instead of accumulated (= in place of +=): "
                                             "only the last index of {} counts",
                                             which)};
        }
      return std::nullopt;
    }

    Hint border() const {
      if (shape.rank() != 4 || std::min(shape[1], shape[2]) <= 2) return std::nullopt;
      const auto inside = [&](std::size_t j, int d) { return at(j, d) > 0 && at(j, d) < shape[d] - 1; };
      if (!only([&](std::size_t j) { return inside(j, 1) && inside(j, 2); })) return std::nullopt;
      return GradcheckHint{"border",
                           fmt::format("the border of the {} (its first and last rows and columns) is left "
                                       "out of the sum: look at padding and at the bounds of loops",
                                       name)};
    }

    // Loops over the result's rows and columns that end too early.
    Hint corner() const {
      if (shape.rank() != 4 || shape[1] * shape[2] > 400) return std::nullopt;
      for (index_t rows = shape[1]; rows > 0; --rows)
        for (index_t columns = shape[2]; columns > 0; --columns) {
          if (rows == shape[1] && columns == shape[2]) continue;
          if (!only([&](std::size_t j) { return at(j, 1) < rows && at(j, 2) < columns; })) continue;
          return GradcheckHint{
              "missing-term",
              fmt::format("only {} of {} rows and {} of {} columns of the {} are visited: the loops end "
                          "too early; their bounds are the sizes of the {} itself",
                          rows, shape[1], columns, shape[2], name, name)};
        }
      return std::nullopt;
    }
  };

  /// Values of this shape, added up along an axis.
  static Values summed(const Values& values, const Shape& shape, int axis) {
    std::size_t inner = 1;
    for (int after = axis + 1; after < shape.rank(); ++after) inner *= static_cast<std::size_t>(shape[after]);
    const std::size_t slice = inner * static_cast<std::size_t>(shape[axis]);
    Values sums(values.size() / slice * inner, 0);
    for (std::size_t j = 0; j < values.size(); ++j) sums[j / slice * inner + j % inner] += values[j];
    return sums;
  }

  Hint one_term(const std::vector<Values>& parts) const {
    bool single = true, all_but_one = true;
    std::size_t most = 0;
    for (std::size_t n = 0; n < wrong_ones_; ++n) {
      const std::size_t i = picked_[n];
      bool is_one = false, lacks_one = false;
      std::size_t count = 0;
      for (const double part : parts[n]) {
        count += std::abs(part) > c_.tolerance ? 1 : 0;
        is_one = is_one || (part != 0 && c_.close(part, c_.analytic[i]));
        lacks_one = lacks_one || (part != 0 && c_.close(part, c_.numeric[i] - c_.analytic[i]));
      }
      single = single && is_one;
      all_but_one = all_but_one && lacks_one;
      most = std::max(most, count);
    }
    if (most < 2) return std::nullopt;
    if (wrong_ones_ < 2 && most > 100) return std::nullopt;  // one of many numbers is near by chance
    if (single)
      return GradcheckHint{"overwritten", fmt::format("overwritten instead of accumulated (= in place of "
                                                      "+=): one single term of a sum of up to {} is left",
                                                      most)};
    if (all_but_one)
      return GradcheckHint{
          "missing-term",
          fmt::format(
              "one term of each sum (of up to {}) is missing: a loop that ends too early or begins too late",
              most)};
    return std::nullopt;
  }

  const Case& c_;
  std::size_t outputs_ = 0, wrong_ones_ = 0;
  std::vector<std::size_t> picked_;
  std::vector<Values> parts_;
};

Hint sum_over_results(const Case& c) {
  return Terms(c).find();
}
Hint one_of_a_sum(const Case& c) {
  return Terms(c).find_one();
}

bool several_results(const Case& c) {
  index_t outputs = 0;
  for (const Tensor& r : c.e.rs) outputs += r.size();
  return !c.wrong.empty() && outputs > 1;
}

constexpr Pattern kTermsPatterns[] = {
    {"terms", Strength::Exact, several_results, sum_over_results, true},
    {"terms", Strength::Likely, several_results, one_of_a_sum, true},
};

}  // namespace

std::span<const Pattern> term_patterns() {
  return kTermsPatterns;
}

}  // namespace tapegrad::inline v0::detail
