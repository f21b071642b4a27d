#include "tapegrad/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string_view>
#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kConcatenate = "concatenate";

// Which child of the seed's generator splits: a program that seeds a loader alike gets other numbers there.
constexpr std::uint64_t kSplitting = 0x73706c6974;

using Numbers = std::shared_ptr<const std::vector<index_t>>;

Shape with_samples(const Samples& samples, index_t count) {
  std::vector<index_t> sizes(samples.shape().begin(), samples.shape().end());
  sizes.front() = count;
  return Shape(sizes);
}

Samples select(const Samples& from, const Numbers& numbers) {
  if (!from.defined()) return {};
  return Samples(with_samples(from, static_cast<index_t>(numbers->size())), from.dtype(),
                 [from, numbers](index_t i) { return from[(*numbers)[static_cast<std::size_t>(i)]]; });
}

Samples concatenated(std::string_view what, std::vector<Samples> parts) {
  std::vector<index_t> ends;  // of each part
  for (const Samples& part : parts) {
    const Samples& first = parts.front();
    if (part.defined() != first.defined())
      fail(kConcatenate, "some of the sets have {}, others do not", what);
    if (!part.defined()) continue;
    if (part.dtype() != first.dtype() || part.sample_shape() != first.sample_shape())
      fail(kConcatenate, "{} of {} with shape {} cannot follow those of {} with shape {}", what, part.dtype(),
           part.shape(), first.dtype(), first.shape());
    ends.push_back((ends.empty() ? 0 : ends.back()) + part.size());
  }
  if (ends.empty()) return {};
  const Samples& first = parts.front();
  const Shape shape = with_samples(first, ends.back());
  const DType dtype = first.dtype();
  return Samples(shape, dtype, [parts = std::move(parts), ends = std::move(ends)](index_t i) {
    const auto part = static_cast<std::size_t>(std::ranges::upper_bound(ends, i) - ends.begin());
    return parts[part][i - (ends[part] - parts[part].size())];
  });
}

}  // namespace

Dataset subset(const Dataset& data, std::vector<index_t> numbers) {
  for (const index_t number : numbers)
    if (number < 0 || number >= data.inputs.size())
      fail("subset",
           "the index of a sample must be at least 0 and less than {}, the number of samples, got {}",
           data.inputs.size(), number);
  const Numbers shared = std::make_shared<const std::vector<index_t>>(std::move(numbers));
  return {.inputs = select(data.inputs, shared),
          .targets = select(data.targets, shared),
          .class_names = data.class_names};
}

Dataset concatenate(const std::vector<Dataset>& sets) {
  if (sets.empty()) fail(kConcatenate, "there must be at least one data set, got none");
  std::vector<Samples> inputs, targets;
  for (const Dataset& set : sets) {
    if (set.class_names != sets.front().class_names)
      fail(kConcatenate, "the sets have different classes: {}; {}", join(sets.front().class_names, ", "),
           join(set.class_names, ", "));
    inputs.push_back(set.inputs);
    targets.push_back(set.targets);
  }
  return {.inputs = concatenated("inputs", std::move(inputs)),
          .targets = concatenated("targets", std::move(targets)),
          .class_names = sets.front().class_names};
}

std::vector<Dataset> split_counts(const Dataset& data, const std::vector<index_t>& counts,
                                  std::uint64_t seed) {
  std::vector<index_t> order(static_cast<std::size_t>(data.inputs.size()));
  std::iota(order.begin(), order.end(), index_t{0});
  Generator(seed).child(kSplitting).shuffle(std::span(order));
  std::vector<Dataset> sets;
  auto at = order.begin();
  for (const index_t count : counts) {
    if (count < 0 || count > order.end() - at)
      fail("split_counts",
           "counts must be at least 0 and add up to at most {}, the number of samples, got {}", order.size(),
           join(counts, ", "));
    sets.push_back(subset(data, std::vector<index_t>(at, at + static_cast<std::ptrdiff_t>(count))));
    at += static_cast<std::ptrdiff_t>(count);
  }
  return sets;
}

std::vector<Dataset> split_fractions(const Dataset& data, const std::vector<double>& fractions,
                                     std::uint64_t seed) {
  std::vector<index_t> counts;
  double sum = 0;
  index_t before = 0;
  for (const double fraction : fractions) {
    sum += fraction;
    constexpr double kRounding = 1e-9;
    if (!(fraction >= 0) || sum > 1 + kRounding)
      fail("split_fractions", "fractions must be at least 0 and add up to at most 1, got {}",
           join(fractions, ", "));
    const auto end =
        std::min(static_cast<index_t>(std::floor(sum * static_cast<double>(data.inputs.size()) + 0.5)),
                 data.inputs.size());
    counts.push_back(end - std::exchange(before, end));
  }
  return split_counts(data, counts, seed);
}

}  // namespace tapegrad::inline v0
