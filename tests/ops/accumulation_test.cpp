#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "refuses.h"
#include "tapegrad/base/blocks_internal.h"
#include "tapegrad/tapegrad.h"

// Many slices of one tensor: the gradient of each is added to its place in the sum.

namespace tapegrad::testing {
namespace {

struct Way {
  std::string name;
  std::function<std::vector<Tensor>(const Tensor& x, index_t count)> parts;  // of x, [count, 16]
};

Tensor whole_number(index_t i) {
  return full({1}, static_cast<double>(i), DType::Int32);
}

std::vector<Way> ways() {
  const auto each = [](std::function<Tensor(const Tensor&, index_t)> part) {
    return [part](const Tensor& x, index_t count) {
      std::vector<Tensor> parts;
      for (index_t i = 0; i < count; ++i) parts.push_back(part(x, i));
      return parts;
    };
  };
  return {
      {"row", each([](const Tensor& x, index_t i) { return row(x, i); })},
      {"slice", each([](const Tensor& x, index_t i) { return slice(x, i, i + 1); })},
      {"slice of both axes", each([](const Tensor& x, index_t i) {
         return slice(x, {{i, i + 1}, {i % 3, Range::kToEnd, 5}});
       })},
      {"slice with steps", each([](const Tensor& x, index_t i) {
         return slice(x, {{i, i + 4, 3}});
       })},
      {"split",
       [](const Tensor& x, index_t count) {
         return split(x, std::vector<index_t>(static_cast<std::size_t>(count), 1));
       }},
      {"split of the other axis",
       [](const Tensor& x, index_t count) {
         return split(transpose(x), std::vector<index_t>(static_cast<std::size_t>(count), 1), 1);
       }},
      {"gather", each([](const Tensor& x, index_t i) { return gather(x, whole_number(i)); })},
      {"embedding", each([](const Tensor& x, index_t i) { return embedding(x, whole_number(i)); })},
      {"take_along_axis", each([](const Tensor& x, index_t i) {
         return take_along_axis(x, full({1, 16}, static_cast<double>(i), DType::Int32), 0);
       })},
      {"row of a row", each([](const Tensor& x, index_t i) { return row(row(x, i), i % 16); })},
      {"row of a view",
       [each](const Tensor& x, index_t count) {
         const Tensor seen = reshape(x, {count, 4, 4});
         return each([](const Tensor& v, index_t i) { return row(v, i); })(seen, count);
       }},
  };
}

Tensor total(const std::vector<Tensor>& parts) {
  Tensor sums = zeros({}, parts[0].dtype());
  for (std::size_t i = 0; i < parts.size(); ++i)
    sums = sums + static_cast<double>(i % 7 + 1) * sum(parts[i] * parts[i]);
  return sums;
}

// Whole numbers, so that sums are exact in any order.
Tensor numbers(index_t count) {
  Tensor x = zeros({count, 16}, DType::Float64);
  Generator generator(5);
  for (double& v : x.mutable_values<double>()) v = static_cast<double>(generator.integer(9)) - 4;
  return x;
}

// Counted in what ops write: a slice that costs a pass over the whole tensor writes a tensor of that size. Ten times as
// many slices of a tensor ten times as large are ten times as much, or a hundred times if each costs such a pass.
TEST(Accumulation, SlicesCostWhatTheyHave) {
  const ThreadCountScope one(1);
  for (const bool twice : {false, true})  // gradients of gradients as well
    for (const Way& way : ways()) {
      const auto written = [&](index_t count) {
        Tape tape;
        const Tensor x = tape.watch(zeros({count, 16}));
        const Tensor y = total(way.parts(x, count));
        const std::uint64_t before = detail::bytes_taken();
        const Tensor g = tape.gradient(y, x, {.create_graph = twice});
        if (twice) (void)tape.gradient(sum(g * g), x);
        return static_cast<double>(detail::bytes_taken() - before);
      };
      const double few = written(100), many = written(1000);
      EXPECT_GT(few, 100 * 16 * 4) << way.name << ": the gradient itself at least";
      EXPECT_LT(many, 12 * few) << way.name << (twice ? ", twice: " : ": ") << few << " bytes, " << many
                                << " bytes";
    }
}

// Recorded, sums are never made in place.
TEST(Accumulation, SumsInPlaceAreTheSums) {
  constexpr index_t kCount = 12;
  const Tensor from = numbers(kCount);
  for (const Way& way : ways())
    for (const bool as_parameter : {false, true})
      for (int others = 0; others < 4; ++others) {
        SCOPED_TRACE(way.name + (as_parameter ? ", parameter, " : ", ") + std::to_string(others));
        const auto gradient = [&](bool create_graph) {
          Tape tape;
          const Tensor x = as_parameter ? parameter(from) : tape.watch(from);
          Tensor y = zeros({}, DType::Float64);
          if (others & 1) y = y + sum(x * x * 3.0);  // uses of the whole, before and after
          y = y + total(way.parts(x, kCount));
          if (others & 2) y = y + sum(reshape(x, -1) * 5.0);
          return tape.gradient(y, x, {.create_graph = create_graph});
        };
        EXPECT_TRUE(equal(gradient(false), gradient(true)));
      }
}

// Derivatives of higher orders through sums of many parts, against those of one sum over the whole.
TEST(Accumulation, SumsOfPartsHaveDerivativesOfEveryOrder) {
  constexpr index_t kCount = 6;
  for (const Way& way : ways())
    for (int others = 0; others < 4; ++others) {
      SCOPED_TRACE(way.name + ", " + std::to_string(others));
      const auto cubes = [&](const Tensor& x) {
        Tensor y = zeros({}, DType::Float64);
        if (others & 1) y = y + sum(x * x * x);
        for (const Tensor& part : way.parts(x, kCount)) y = y + sum(part * part * part);
        if (others & 2) y = y + sum(reshape(x, -1) * 5.0);
        return y;
      };
      // Each cube is (the number of parts that have the element) x^3: second and third derivatives follow.
      const auto derivative = [&](int order) {
        Tape tape;
        const Tensor x = tape.watch(numbers(kCount));
        Tensor y = cubes(x);
        for (int i = 1; i < order; ++i) y = sum(tape.gradient(y, x, {.create_graph = true}));
        return tape.gradient(y, x);
      };
      const Tensor x = numbers(kCount), third = derivative(3);
      EXPECT_TRUE(equal(derivative(2), third * x));
      EXPECT_TRUE(equal(2.0 * derivative(1), (third * x) * x + (others & 2 ? 10.0 : 0.0)));
      EXPECT_GE(min(third).item(), others & 1 ? 6 : 0);
      EXPECT_GE(max(third).item(), 6);
    }
}

// A tape's own nodes may be gone when a hook asks for what stands above them.
TEST(Accumulation, PartsOfAFreedTapeAreRefused) {
  Tape tape;
  const Tensor x = tape.watch(numbers(4));
  Tensor y = zeros({}, DType::Float64);
  for (index_t i = 0; i < 4; ++i) y = y + sum(row(x, i) * row(x, i));
  const Tensor g = tape.gradient(y, x, {.create_graph = true});
  int refused = 0;
  bool asked = false;
  tape.on_gradient(x, [&](const Tensor&) {
    if (std::exchange(asked, true)) return;
    try {
      (void)tape.gradient(sum(g * g), x, {.create_graph = true});
    } catch (const Error&) {
      ++refused;
    }
  });
  (void)tape.gradient(y, x);
  EXPECT_EQ(refused, 1);
}

TEST(Accumulation, DuplicateIndicesAddUp) {
  Tape tape;
  const Tensor x = tape.watch(numbers(4));
  const Tensor twice = tensor({1, 3, 1}, DType::Int32);
  const Tensor y = sum(gather(x, twice)) + 2.0 * sum(gather(x, twice)) + 4.0 * sum(row(x, 3));
  const Tensor g = tape.gradient(y, x);
  for (index_t i = 0; i < 16; ++i) {
    EXPECT_EQ(g.at({0, i}), 0);
    EXPECT_EQ(g.at({1, i}), 6);
    EXPECT_EQ(g.at({2, i}), 0);
    EXPECT_EQ(g.at({3, i}), 7);
  }
}

// What a hook holds, and the caller's own output gradient, are not added to.
TEST(Accumulation, WhatOthersHoldIsNotChanged) {
  for (const Way& way : ways()) {
    Tape tape;
    const Tensor x = tape.watch(numbers(6));
    const Tensor early = total(way.parts(x, 6));
    const Tensor late = reshape(x, {96});  // its gradient and x's first one are the same memory
    Tensor held, before;
    tape.on_gradient(late, [&](const Tensor& g) { held = g, before = copy(g); });
    const Tensor right = [&] {
      Tape other;
      const Tensor v = other.watch(numbers(6));
      const Tensor parts = total(way.parts(v, 6));
      return other.gradient(parts + sum(reshape(v, {96}) * 3.0), v);
    }();
    EXPECT_TRUE(equal(tape.gradient(early + sum(late * 3.0), x), right)) << way.name;
    ASSERT_TRUE(held.defined());
    EXPECT_TRUE(equal(held, before)) << way.name << ": a gradient that a hook holds was changed";
  }
  Tape tape;
  const Tensor x = tape.watch(numbers(6)), seed = ones({6, 16}, DType::Float64);
  const Tensor used = row(x, 0) * 2.0;
  const Tensor y = reshape(x, {6, 16}) * stop_gradient(ones({6, 16}, DType::Float64));
  const Tensor z = y + reshape(used, {1, 16}) * 0.0;
  (void)tape.gradient(z, x, {.output_gradient = seed});
  EXPECT_TRUE(equal(seed, ones({6, 16}, DType::Float64)));
}

// The order of additions, and so the last bit, does not depend on who holds a sum, on what is recorded or checked.
TEST(Accumulation, TheOrderIsTheSameWhoeverHoldsTheSum) {
  const Tensor at = tensor({3, 0, 3, 5, 3, 0, 3}, DType::Int32);  // elements of x several times
  Generator random(5);
  const Tensor numbers = uniform({6, 5}, -1, 1, random), w = uniform({7, 5}, 0, 1, random),
               v = uniform({6, 5}, 0, 1e4, random);
  enum class Held { Nobody, ByAHook, ByASecondSum };
  const auto run = [&](Held held, const TapeOptions& options, const GradientOptions& asked) {
    Tape tape(options);
    const Tensor x = tape.watch(numbers);
    Tensor y = sum(gather(x, at) * w) + sum(gather(x, at) / w);  // the rules of these come last
    const Tensor late = reshape(x, {6, 5});
    y = y + sum(late * v);
    Tensor kept;
    if (held == Held::ByAHook) tape.on_gradient(late, [&](const Tensor& g) { kept = g; });
    if (held == Held::ByASecondSum) y = y + sum((x + 0.0) * 0.0);
    return stop_gradient(tape.gradient(y, x, asked));
  };
  const Tensor right = run(Held::Nobody, {}, {});
  for (const Held held : {Held::Nobody, Held::ByAHook, Held::ByASecondSum})
    for (const bool persistent : {false, true})
      for (const bool check_finite : {false, true})
        for (const bool create_graph : {false, true})
          EXPECT_TRUE(equal(run(held, {.persistent = persistent, .check_finite = check_finite},
                                {.create_graph = create_graph}),
                            right))
              << static_cast<int>(held) << persistent << check_finite << create_graph;
}

// A rule of the user's own with a second form. It is called where it may be, and nowhere else.
struct Calls {
  int whole = 0, in_place = 0;
};
struct FirstElement {
  Shape shape;
  std::shared_ptr<Calls> calls;
  Tensor operator()(const Tensor& g) const {
    ++calls->whole;
    return pad(reshape(g, {1}), {{0, shape.size() - 1}});
  }
  void add_to(Tensor& sum, const Tensor& g) const {
    ++calls->in_place;
    sum.mutable_data<double>()[0] += g.item();
  }
};

TEST(Accumulation, AUsersRuleMayAddInPlace) {
  const auto first = [](const Tensor& x, const std::shared_ptr<Calls>& calls) {
    return record("first", TensorAccess::clone(reshape(stop_gradient(slice(x, 0, 1)), Shape{})),
                  {{x, FirstElement{x.shape(), calls}}});
  };
  const auto run = [&](const TapeOptions& options, const GradientOptions& asked) {
    const auto calls = std::make_shared<Calls>();
    Tape tape(options);
    const Tensor x = tape.watch(tensor({2, 3}, DType::Float64));
    Tensor y = zeros({}, DType::Float64);
    for (int i = 0; i < 5; ++i) y = y + first(x, calls);
    EXPECT_TRUE(equal(tape.gradient(y, x, asked), tensor({5, 0}, DType::Float64)));
    EXPECT_EQ(calls->whole + calls->in_place, 5);
    return *calls;
  };
  EXPECT_EQ(run({}, {}).in_place, 4);
  EXPECT_EQ(run({.persistent = true}, {}).in_place, 4);
  EXPECT_EQ(run({}, {.create_graph = true}).in_place, 0);
  EXPECT_EQ(run({.check_finite = true}, {}).in_place, 0);  // what it adds could not be looked through
}

// What such a rule leaves is checked as a result is.
struct Careless {
  std::function<void(Tensor& sum, const Tensor& g)> add;
  Tensor operator()(const Tensor& g) const { return pad(reshape(g, {1}), {{0, 1}}); }
  void add_to(Tensor& sum, const Tensor& g) const { add(sum, g); }
};

TEST(Accumulation, WhatARuleLeavesOfTheSumIsChecked) {
  const auto run = [](std::function<void(Tensor & sum, const Tensor& g)> add) {
    Tape tape;
    const Tensor x = tape.watch(tensor({2, 3}, DType::Float64));
    const auto first = [&](const Careless& rule) {
      return record("careless", TensorAccess::clone(reshape(stop_gradient(slice(x, 0, 1)), Shape{})),
                    {{x, rule}});
    };
    const Tensor part = first({add}) * 2.0, y = part + sum(x);  // the rule of sum(x) comes first
    return tape.gradient(y, x);
  };
  EXPECT_TRUE(equal(run([](Tensor& sum, const Tensor& g) { sum.mutable_data<double>()[0] += g.item(); }),
                    tensor({3, 1}, DType::Float64)));
  EXPECT_TRUE(equal(run([](Tensor& sum, const Tensor& g) {
                      sum = sum + pad(reshape(g, {1}), {{0, 1}});
                    }),
                    tensor({3, 1}, DType::Float64)));
  const auto refused = [&](std::initializer_list<std::string_view> words,
                           std::function<void(Tensor&, const Tensor&)> add) {
    EXPECT_TRUE(refuses("careless", words, [&] { (void)run(add); }));
  };
  refused({"Float64 [1, 2]", "Float64 [2]"}, [](Tensor& sum, const Tensor&) { sum = reshape(sum, {1, 2}); });
  refused({"Float64 [3]", "Float64 [2]"},
          [](Tensor& sum, const Tensor&) { sum = zeros({3}, DType::Float64); });
  refused({"Float32 [2]", "Float64 [2]"},
          [](Tensor& sum, const Tensor&) { sum = cast(sum, DType::Float32); });
  refused({"no tensor", "[2]"}, [](Tensor& sum, const Tensor&) { sum = Tensor(); });
  refused({"changed the output gradient"}, [](Tensor&, const Tensor& g) {
    Tensor mine = g;
    mine.set({}, 99);
  });
}

TEST(Accumulation, ErrorsAreThoseOfTheRule) {
  Tensor at = tensor({1}, DType::Int32);
  Tape tape;
  const Tensor x = tape.watch(numbers(4));
  const Tensor first = sum(gather(x, at)), y = first + sum(row(x, 2));
  at.set({0}, 3);
  EXPECT_TRUE(refuses("gather", {"changed in place"}, [&] { (void)tape.gradient(y, x); }));
  Tape strict({.check_finite = true});
  const Tensor v = strict.watch(zeros({4, 16}, DType::Float64));
  const Tensor z = sum(sqrt(row(v, 1))) + sum(row(v, 2));
  EXPECT_TRUE(refuses("sqrt", {"not finite"}, [&] { (void)strict.gradient(z, v); }));
}

}  // namespace
}  // namespace tapegrad::testing
