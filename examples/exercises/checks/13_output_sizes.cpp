#include "checks/13_output_sizes.h"

#include <fmt/format.h>

#include <algorithm>

namespace exercise_13 {
namespace {

using Sizes = std::vector<index_t>;

std::string text_of(index_t value) {
  return fmt::format("{}", value);
}
std::string text_of(const Sizes& sizes) {
  return fmt::format("{{{}}}", fmt::join(sizes, ", "));
}
std::string text_of(const Cut& cut) {
  return fmt::format("{{before {}, after {}}}", cut.before, cut.after);
}

/// One call: its arguments in words, and the number of each of them by name.
struct Call {
  std::string text;
  Axis a = {};
  index_t size = 0;   ///< what comes in
  index_t other = 0;  ///< output_padding, or the wanted size
};

template <class Result>
struct Rival {
  std::string text;  ///< what is said of an answer that agrees with it everywhere
  std::function<Result(const Call&)> formula;
};

// What all wrong calls have, and no right one.
std::string in_common(const std::vector<Call>& wrong, const std::vector<Call>& right) {
  const struct {
    const char* text;
    bool (*has)(const Call&);
  } features[] = {
      {"dilation is above 1", [](const Call& c) { return c.a.dilation > 1; }},
      {"the stride is above 1", [](const Call& c) { return c.a.stride > 1; }},
      {"before and after differ", [](const Call& c) { return c.a.before != c.a.after; }},
      {"there is padding", [](const Call& c) { return c.a.before + c.a.after > 0; }},
      {"output_padding is above 0", [](const Call& c) { return c.other > 0; }},
      {"the kernel is smaller than the stride", [](const Call& c) { return c.a.kernel < c.a.stride; }},
      {"the kernel is even", [](const Call& c) { return c.a.kernel % 2 == 0; }},
  };
  for (const auto& feature : features)
    if (std::ranges::all_of(wrong, feature.has) && std::ranges::none_of(right, feature.has))
      return feature.text;
  return "";
}

template <class Result>
void all_calls(Check& check, const char* function, const std::vector<Call>& calls,
               const std::function<Result(const Call&)>& answer,
               const std::function<Result(const Call&)>& truth, const std::vector<Rival<Result>>& rivals) {
  std::vector<Call> wrong, right;
  std::string text;
  std::vector<Result> answered;
  for (const Call& call : calls) {
    const Result got = answer(call), must = truth(call);
    answered.push_back(got);
    (got == must ? right : wrong).push_back(call);
    if (got != must && wrong.size() <= 3)
      text +=
          fmt::format("\n  {}({}) is {} and must be {}", function, call.text, text_of(got), text_of(must));
  }
  Finding finding{.text = fmt::format("{} is wrong in {} of {} calls{}{}", function, wrong.size(),
                                      calls.size(), text, wrong.size() > 3 ? "\n  ..." : ""),
                  .tensors = {function}};
  if (wrong.empty()) {
    check.expect(true, "");
    return;
  }
  for (const Rival<Result>& rival : rivals)
    if (finding.hints.empty() &&
        std::equal(calls.begin(), calls.end(), answered.begin(),
                   [&](const Call& c, const Result& r) { return rival.formula(c) == r; }))
      finding.hints.push_back(rival.text);
  if (const std::string common = in_common(wrong, right); finding.hints.empty() && !common.empty())
    finding.hints.push_back("it is wrong wherever " + common + ", and nowhere else");
  check.fail(std::move(finding));
}

index_t reach(const Axis& a) {
  return (a.kernel - 1) * a.dilation + 1;
}
index_t floor_div(index_t a, index_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}
index_t ceil_div(index_t a, index_t b) {
  return (a + b - 1) / b;
}

index_t convolved(index_t size, const Axis& a) {
  return (size + a.before + a.after - reach(a)) / a.stride + 1;
}
index_t transposed(index_t in, const Axis& a, index_t more) {
  return (in - 1) * a.stride + reach(a) - a.before - a.after + more;
}

Sizes leading_to(index_t out, index_t most, const std::function<index_t(index_t)>& f) {
  Sizes sizes;
  for (index_t size = 1; size <= most; ++size)
    if (f(size) == out) sizes.push_back(size);
  return sizes;
}
Sizes valid(index_t out, index_t kernel, index_t stride) {
  return leading_to(out, 200, [&](index_t size) { return size < kernel ? 0 : (size - kernel) / stride + 1; });
}
Sizes same(index_t out, index_t stride) {
  return leading_to(out, 200, [&](index_t size) { return ceil_div(size, stride); });
}
Sizes range(index_t first, index_t count) {
  Sizes sizes;
  for (index_t k = 0; k < count; ++k) sizes.push_back(first + k);
  return sizes;
}

Cut cut(index_t wanted, index_t in, index_t kernel, index_t stride) {
  const index_t total = std::max<index_t>((in - 1) * stride + kernel - wanted, 0);
  return {total / 2, (in - 1) * stride + kernel - wanted - total / 2};
}

// Dilations, unequal paddings and strides above the kernel among them.
const Axis kAxes[] = {{3, 2, 2, 1, 0}, {3, 1, 1, 0, 0}, {3, 2, 1, 1, 1}, {4, 3, 1, 0, 2}, {2, 3, 1, 0, 0},
                      {5, 2, 3, 2, 4}, {1, 4, 1, 0, 0}, {2, 2, 3, 0, 1}, {7, 1, 1, 3, 3}};

std::string words(const Axis& a) {
  return fmt::format("kernel {}, stride {}, dilation {}, before {}, after {}", a.kernel, a.stride, a.dilation,
                     a.before, a.after);
}

void convolved_part(Check& check, const Answers& answers) {
  std::vector<Call> calls;
  for (const Axis& a : kAxes)
    for (const index_t size : {7, 8, 9, 14, 28})
      if (size + a.before + a.after >= reach(a))
        calls.push_back({.text = fmt::format("size {}, {}", size, words(a)), .a = a, .size = size});
  const auto with = [](auto change) {
    return [change](const Call& c) {
      Axis a = c.a;
      change(a);
      return convolved(c.size, a);
    };
  };
  check.part(
      "convolved_size",
      "the drawing of sizes 5 and 6: at how many places can the filter stand? Without stride it is "
      "size + before + after - ke + 1; with a stride only every stride-th of them counts, the first always.",
      [&] {
        all_calls<index_t>(
            check, "convolved_size", calls,
            [&](const Call& c) { return answers.convolved_size(c.size, c.a); },
            [](const Call& c) { return convolved(c.size, c.a); },
            {{"dilation is left out: the filter reaches over (kernel - 1) dilation + 1 pixels",
              with([](Axis& a) { a.dilation = 1; })},
             {"the filter's reach is taken as kernel times dilation: between 3 taps there are 2 gaps, not 3",
              [](const Call& c) {
                return (c.size + c.a.before + c.a.after - c.a.kernel * c.a.dilation) / c.a.stride + 1;
              }},
             {"it is 2 before in place of before + after: the two sides may differ",
              with([](Axis& a) { a.after = a.before; })},
             {"it is 2 after in place of before + after: the two sides may differ",
              with([](Axis& a) { a.before = a.after; })},
             {"the quotient is rounded up: a window that hangs over the end does not count, so it is the floor",
              [](const Call& c) {
                return ceil_div(c.size + c.a.before + c.a.after - reach(c.a), c.a.stride) + 1;
              }},
             {"the + 1 belongs behind the division: it is the window at the beginning, which is always there",
              [](const Call& c) { return (c.size + c.a.before + c.a.after - reach(c.a) + 1) / c.a.stride; }},
             {"the + 1 is missing: the window at the beginning counts as well",
              [](const Call& c) { return convolved(c.size, c.a) - 1; }},
             {"this is size / stride, which no rule but SAME gives (and that one rounds up)",
              [](const Call& c) { return c.size / c.a.stride; }},
             {"padding is left out", with([](Axis& a) { a.before = a.after = 0; })}});
      });
}

void sources_parts(Check& check, const Answers& answers) {
  std::vector<Call> calls;
  for (const index_t out : {1, 2, 3, 7})
    for (const auto& [kernel, stride] :
         std::vector<std::pair<index_t, index_t>>{{3, 1}, {3, 2}, {2, 3}, {5, 4}, {1, 3}})
      calls.push_back({.text = fmt::format("out {}, kernel {}, stride {}", out, kernel, stride),
                       .a = {.kernel = kernel, .stride = stride},
                       .size = out});
  const auto first = [](const Call& c) { return (c.size - 1) * c.a.stride + c.a.kernel; };
  check.part(
      "valid_sources",
      "with the smallest size the last window ends at the last pixel. How many pixels can be added before "
      "there is room for one more window?",
      [&] {
        all_calls<Sizes>(
            check, "valid_sources", calls,
            [&](const Call& c) { return answers.valid_sources(c.size, c.a.kernel, c.a.stride); },
            [](const Call& c) { return valid(c.size, c.a.kernel, c.a.stride); },
            {{"only the smallest size is there: up to stride - 1 more pixels fit behind the last window",
              [=](const Call& c) { return range(first(c), 1); }},
             {"one size too many: with stride more pixels there is room for another window",
              [=](const Call& c) { return range(first(c), c.a.stride + 1); }},
             {"out times stride is SAME's rule; VALID's smallest size is (out - 1) stride + kernel",
              [](const Call& c) { return range((c.size - 1) * c.a.stride + 1, c.a.stride); }},
             {"the first window is counted twice: `out` windows are out - 1 steps apart from first to last",
              [](const Call& c) { return range(c.size * c.a.stride + c.a.kernel, c.a.stride); }}});
      });
  std::vector<Call> without_kernel;
  for (const index_t out : {1, 2, 3, 14})
    for (const index_t stride : {1, 2, 3, 5})
      without_kernel.push_back(
          {.text = fmt::format("out {}, stride {}", out, stride), .a = {.stride = stride}, .size = out});
  check.part("same_sources", "for which sizes is ceil(size / 2) equal to 3?", [&] {
    all_calls<Sizes>(
        check, "same_sources", without_kernel,
        [&](const Call& c) { return answers.same_sources(c.size, c.a.stride); },
        [](const Call& c) { return same(c.size, c.a.stride); },
        {{"only out times stride is there, the size that transposed layers make: smaller ones lead to the same result",
          [](const Call& c) { return range(c.size * c.a.stride, 1); }},
         {"SAME rounds up, not down: out times stride is the largest of them, not the smallest",
          [](const Call& c) { return range(c.size * c.a.stride, c.a.stride); }}});
  });
}

void transposed_parts(Check& check, const Answers& answers) {
  std::vector<Call> calls, wanted;
  for (const Axis& a : kAxes)
    for (const index_t in : {3, 4, 7}) {
      for (index_t more = 0; more < a.stride; ++more)
        if (transposed(in, a, more) > 0)
          calls.push_back({.text = fmt::format("in {}, {}, output_padding {}", in, words(a), more),
                           .a = a,
                           .size = in,
                           .other = more});
      for (index_t more = -1; more <= a.stride; ++more)
        if (const index_t size = transposed(in, a, more); size > 0)
          wanted.push_back({.text = fmt::format("wanted {}, in {}, {}", size, in, words(a)),
                            .a = a,
                            .size = in,
                            .other = size});
    }
  const auto with = [](auto change) {
    return [change](const Call& c) {
      Axis a = c.a;
      change(a);
      return transposed(c.size, a, c.other);
    };
  };
  check.part(
      "transposed_size",
      "how many pixels do the stamps of exercise 12 cover, from the first pixel of the first to the last of the last? "
      "Then take away what is cut off, and add output_padding.",
      [&] {
        all_calls<index_t>(
            check, "transposed_size", calls,
            [&](const Call& c) { return answers.transposed_size(c.size, c.a, c.other); },
            [](const Call& c) { return transposed(c.size, c.a, c.other); },
            {{"dilation is left out: a stamp is (kernel - 1) dilation + 1 pixels long",
              with([](Axis& a) { a.dilation = 1; })},
             {"this is o = (i - 1) s + k - 2 p, which leaves out dilation and output_padding",
              [](const Call& c) { return (c.size - 1) * c.a.stride + c.a.kernel - 2 * c.a.before; }},
             {"output_padding is left out", [](const Call& c) { return transposed(c.size, c.a, 0); }},
             {"output_padding is added on both sides: it counts once, at the end",
              [](const Call& c) { return transposed(c.size, c.a, 2 * c.other); }},
             {"it is in stride in place of (in - 1) stride: `in` stamps are in - 1 steps apart from first to last",
              [](const Call& c) { return transposed(c.size + 1, c.a, c.other); }},
             {"padding is added: in the transposed convolution it is what is cut off",
              [](const Call& c) { return transposed(c.size, c.a, c.other) + 2 * (c.a.before + c.a.after); }},
             {"it is 2 before in place of before + after", with([](Axis& a) { a.after = a.before; })}});
      });
  const auto padding_for = [](const Call& c) { return c.other - transposed(c.size, c.a, 0); };
  check.part(
      "output_padding_for",
      "it is wanted minus the smallest size. When is that no possible output_padding: when is there a convolution "
      "that leads back from `wanted` to `in`?",
      [&] {
        all_calls<index_t>(
            check, "output_padding_for", wanted,
            [&](const Call& c) { return answers.output_padding_for(c.other, c.size, c.a); },
            [=](const Call& c) {
              const index_t p = padding_for(c);
              return p >= 0 && p < c.a.stride ? p : -1;
            },
            {{"sizes that no convolution leads back from are not refused: output_padding must be from 0 to "
              "stride - 1",
              padding_for},
             {"an output_padding of `stride` is let through: from there the convolution makes one pixel more",
              [=](const Call& c) {
                const index_t p = padding_for(c);
                return p >= 0 && p <= c.a.stride ? p : -1;
              }},
             {"sizes below the smallest are not refused", [=](const Call& c) {
                const index_t p = padding_for(c);
                return p < c.a.stride ? p : -1;
              }}});
      });
}

void cut_part(Check& check, const Answers& answers) {
  std::vector<Call> calls;
  for (const auto& [kernel, stride] :
       std::vector<std::pair<index_t, index_t>>{{3, 2}, {5, 2}, {4, 3}, {2, 3}, {2, 1}, {7, 1}, {3, 5}})
    for (const index_t in : {3, 4})
      for (const index_t wanted : same(in, stride))
        calls.push_back(
            {.text = fmt::format("wanted {}, in {}, kernel {}, stride {}", wanted, in, kernel, stride),
             .a = {.kernel = kernel, .stride = stride},
             .size = in,
             .other = wanted});
  const auto total = [](const Call& c) { return (c.size - 1) * c.a.stride + c.a.kernel - c.other; };
  check.part(
      "same_cut",
      "which padding would SAME give to a convolution from `wanted` to `in`? That is what is cut off. What the stamps do "
      "not reach at the end is a negative `after`.",
      [&] {
        all_calls<Cut>(
            check, "same_cut", calls,
            [&](const Call& c) { return answers.same_cut(c.other, c.size, c.a.kernel, c.a.stride); },
            [](const Call& c) { return cut(c.other, c.size, c.a.kernel, c.a.stride); },
            {{"the odd pixel is cut off before: SAME pads it after, so that is where it goes",
              [=](const Call& c) {
                const index_t t = std::max<index_t>(total(c), 0);
                return Cut{t - t / 2, total(c) - (t - t / 2)};
              }},
             {"everything is cut off at the end, \"the last row and column\": that is right only where SAME pads "
              "nothing before",
              [=](const Call& c) {
                return Cut{0, total(c)};
              }},
             {"both sides are cut by floor(kernel / 2), which is SAME's padding for odd kernels and stride 1 only",
              [](const Call& c) {
                return Cut{c.a.kernel / 2, c.a.kernel / 2};
              }},
             {"the padding of stride 1 is used, kernel - 1 in all: with a stride it depends on the size as well",
              [](const Call& c) {
                return Cut{(c.a.kernel - 1) / 2, c.a.kernel - 1 - (c.a.kernel - 1) / 2};
              }},
             {"where the stamps do not reach the wanted size, zeros stand at the end: before is 0 there, and after is "
              "negative",
              [=](const Call& c) {
                const index_t t = total(c), half = floor_div(t, 2);
                return Cut{half, t - half};
              }},
             {"where the stamps do not reach the wanted size, zeros stand at the end: before is 0 there, and after is "
              "negative",
              [=](const Call& c) {
                return Cut{total(c) / 2, total(c) - total(c) / 2};
              }},
             {"where the stamps do not reach the wanted size, after must be negative: so many rows of zeros are missing",
              [=](const Call& c) {
                const index_t t = std::max<index_t>(total(c), 0);
                return Cut{t / 2, t - t / 2};
              }}});
      });
}

}  // namespace

void check(Check& check, const Answers& answers) {
  convolved_part(check, answers);
  sources_parts(check, answers);
  transposed_parts(check, answers);
  cut_part(check, answers);
}

}  // namespace exercise_13
