#include "tapegrad/autograd/rules.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/helpers.h"

namespace tapegrad {
namespace {

using testing::Counted, testing::f64, testing::holders, testing::identity_op, testing::new_parameter,
    testing::number, testing::right_or_refused, testing::throws;

// x^3 with a rule of differentiable ops.
Tensor cube(const Tensor& x) {
  Tensor y = TensorAccess::clone(x);
  for (double& value : y.mutable_values<double>()) value = value * value * value;
  return record("cube", y, {{x, [x = Saved(x)](const Tensor& g) { return g * 3.0 * x() * x(); }}});
}

// x^3 with a rule that computes behind the tape's back.
Tensor opaque_cube(const Tensor& x) {
  Tensor y = TensorAccess::clone(x);
  for (double& value : y.mutable_values<double>()) value = value * value * value;
  return record("opaque_cube", y, {{x, [x = Saved(x)](const Tensor& g) {
                                      Tensor dx = TensorAccess::clone(g);
                                      for (std::size_t i = 0; i < dx.values<double>().size(); ++i)
                                        dx.mutable_values<double>()[i] *=
                                            3 * x().values<double>()[i] * x().values<double>()[i];
                                      return dx;
                                    }}});
}

// ---- The user's own op

TEST(Record, AUsersOpOfAnyOrder) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  const Tensor g = tape.gradient(sum(cube(x)), x, {.create_graph = true});
  EXPECT_TRUE(equal(g, f64({12, 27})));
  EXPECT_TRUE(equal(tape.gradient(sum(g), x), f64({12, 18})));
}

TEST(Record, PassesTheValuesOn) {
  const Tensor y = f64({1, 2});
  EXPECT_TRUE(testing::share_memory(y, record("mine", y, {})));
  Tape tape;
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(testing::share_memory(y, record("mine", y, {{x, [](const Tensor& g) { return g; }}})));
}

TEST(Record, WithoutTrackedInputsMakesAConstant) {
  const Tensor c = f64({1, 2});
  Tape tape;
  const Tensor y = identity_op("mine", c, [](const Tensor& g) { return g; });
  EXPECT_EQ(tape.size(), 0);
  EXPECT_EQ(holders(y), 1u);
}

TEST(Record, ManyInputs) {
  Tape tape;
  std::vector<Tensor> xs;
  for (int i = 0; i < 3; ++i) xs.push_back(tape.watch(number(i)));
  const Tensor constant = number(1);
  const Tensor y = record("weigh", number(5),
                          {{xs[0], [](const Tensor& g) { return g; }},
                           {constant, [](const Tensor& g) { return g * 10.0; }},
                           {xs[1], [](const Tensor& g) { return g * 2.0; }},
                           {xs[2], [](const Tensor& g) { return g * 3.0; }}});
  const auto gradients = tape.gradient(y, xs);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(gradients[i].item(), static_cast<double>(i + 1));
}

TEST(Record, ARuleMayTakeTheOutput) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 4}));
  const Tensor y = record("root", sqrt(TensorAccess::clone(x)),
                          {{x, [](const Tensor& g, const Tensor& out) { return g / (2.0 * out); }}});
  const Tensor g = tape.gradient(sum(y), x, {.create_graph = true});
  EXPECT_TRUE(equal(g, f64({0.5, 0.25})));
  EXPECT_TRUE(equal(tape.gradient(sum(g), x), f64({-0.25, -0.03125}))) << "the output it takes is tracked";
}

TEST(Record, TheOutputIsKeptOnlyIfARuleTakesIt) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 4})), constant = f64({1, 4});
  const Tensor without = identity_op("without", x, [](const Tensor& g) { return g; });
  const Tensor with = identity_op("with", x, [](const Tensor& g, const Tensor&) { return g; });
  const Tensor untracked = record(
      "untracked", f64({1, 2}),
      {{x, [](const Tensor& g) { return g; }}, {constant, [](const Tensor& g, const Tensor&) { return g; }}});
  EXPECT_EQ(holders(without), 1u);
  EXPECT_EQ(holders(untracked), 1u);
  EXPECT_GT(holders(with), 1u);
  tape.gradient(with, x, {.output_gradient = f64({1, 1})});
  EXPECT_EQ(holders(with), 1u);
}

TEST(Record, ForwardMadeOfDifferentiableOpsIsReplacedByTheRule) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = record("mine", x * x, {{x, [](const Tensor& g) { return g * 100.0; }}});
  EXPECT_EQ(tape.gradient(y, x).item(), 100);
}

TEST(Record, ItsInputAsItsOutput) {
  // Reversal of the gradient: the result is the input's own memory.
  const Tensor p = new_parameter({3}), c = f64({4});
  Tape tape;
  const Tensor x = tape.watch(c);
  const auto reversed = [](const Tensor& t) {
    return record("reverse", t, {{t, [](const Tensor& g) { return -g; }}});
  };
  const auto gradients = tape.gradient(reversed(p) * reversed(reversed(x)) + p + x, {p, x});
  EXPECT_EQ(gradients[0].item(), -4 + 1);
  EXPECT_EQ(gradients[1].item(), 3 + 1);
}

TEST(Record, AStoppedOutputIsStillTheResultOfTheOp) {
  // Straight through: the values are a constant's, the gradient is the rule's.
  Tape tape;
  const Tensor x = tape.watch(number(3));
  EXPECT_TRUE(right_or_refused(number(5), [&] {
    const Tensor y =
        record("straight_through", stop_gradient(number(2)), {{x, [](const Tensor& g) { return g; }}});
    return tape.gradient(y * x, x);  // x + 2
  }));
}

TEST(Record, OfNoInputsIsAConstantWhateverTheOutputWasBefore) {
  Tape tape;
  const Tensor x = tape.watch(number(3)), constant = number(1);
  const Tensor y = record("mine", x * x, {{constant, [](const Tensor& g) { return g; }}});
  EXPECT_TRUE(right_or_refused(number(9), [&] { return tape.gradient(y * x, x); }));
}

TEST(Record, RefusesAnUndefinedOutput) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(throws({"mine"}, [&] {
    (void)record("mine", Tensor(), {{x, [](const Tensor& g) { return g; }}});
  }));
}

TEST(Record, RefusesAnUndefinedInput) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(throws({}, [&] {
    (void)record("mine", number(1), {{Tensor(), [](const Tensor& g) { return g; }}});
  }));
  EXPECT_EQ(tape.gradient(x * x, x).item(), 2);
}

TEST(Record, JointlyRefusesUndefinedTensorsByTheNameOfTheOp) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const auto rule = [](const Tensor& g, const std::vector<bool>&) { return std::vector<Tensor>{g}; };
  EXPECT_TRUE(throws({"[mine] the op's result"}, [&] { (void)record_joint("mine", Tensor(), {x}, rule); }));
  EXPECT_TRUE(throws({"[mine] an input"}, [&] { (void)record_joint("mine", number(1), {Tensor()}, rule); }));
}

TEST(Record, JointlyTheOutputIsKeptOnlyIfTheRuleTakesIt) {
  int alive = 0;
  {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    using Found = std::vector<Tensor>;
    const Tensor without = record_joint(
        "without", f64({1, 2}), {x},
        [counted = Counted(&alive)](const Tensor& g, const std::vector<bool>&) { return Found{g}; });
    const Tensor with = record_joint(
        "with", f64({1, 2}), {x},
        [](const Tensor& g, const Tensor& out, const std::vector<bool>&) { return Found{g * out}; });
    EXPECT_EQ(holders(without), 1u);
    EXPECT_EQ(holders(with), 2u);
    EXPECT_EQ(alive, 1) << "the closure was moved into the tape's memory";
    EXPECT_TRUE(equal(tape.gradient(sum(with) + sum(without), x), f64({2, 3})));
    EXPECT_EQ(holders(with), 1u);
    EXPECT_EQ(alive, 0);
  }
}

TEST(Record, BytesAreThoseOfWhatRulesSave) {
  Tape tape;
  const Tensor x = tape.watch(zeros({10})), y = tape.watch(zeros({10})), large = zeros({1000});
  const auto bytes = [&] { return tape.graph().nodes.back().bytes; };
  (void)record_joint("nothing", zeros({10}), {x, y}, [](const Tensor& g, const std::vector<bool>&) {
    return std::vector<Tensor>{g, g};
  });
  EXPECT_EQ(bytes(), 0u) << "not its inputs";
  (void)record_joint("one", zeros({10}), {x, y}, [x = Saved(x)](const Tensor& g, const std::vector<bool>&) {
    return std::vector<Tensor>{g * x(), g};
  });
  EXPECT_EQ(bytes(), 40u);
  (void)record_joint("output", zeros({5}), {x},
                     [x = Saved(x)](const Tensor&, const Tensor&, const std::vector<bool>&) {
                       return std::vector<Tensor>{x()};
                     });
  EXPECT_EQ(bytes(), 60u);
  (void)record("rules", zeros({10}),
               {{x, [y = Saved(y)](const Tensor& g) { return g * y(); }},
                {large, [l = Saved(large)](const Tensor& g) { return g * l(); }},
                {y, [x = Saved(x), y = Saved(y)](const Tensor& g) { return g * x() * y(); }}});
  EXPECT_EQ(bytes(), 120u) << "the rule of a constant is not kept";
  (void)record("next", zeros({10}), {{x, [](const Tensor& g) { return g; }}});
  EXPECT_EQ(bytes(), 0u);
  {
    const NoGrad no_grad;
    (void)(large * large);
  }
  (void)record("after a pause", zeros({10}), {{x, [](const Tensor& g) { return g; }}});
  EXPECT_EQ(bytes(), 0u);
}

// As the README says it: without the NoGrad the products would be recorded, too, which keeps five tensors.
TEST(Record, TheReadmesCubeKeepsOneTensor) {
  const auto kept = [](bool products_too) {
    Tape tape;
    const Tensor x = tape.watch(zeros({100}, DType::Float64));
    Tensor y;
    {
      std::optional<NoGrad> no_grad;
      if (!products_too) no_grad.emplace();
      y = x * x * x;
    }
    y = record("cube", y, {{x, [x = Saved(x)](const Tensor& g) { return g * (3.0 * x() * x()); }}});
    return tape.graph().bytes();
  };
  EXPECT_EQ(kept(false), 800u);
  EXPECT_EQ(kept(true), 5 * 800u);
}

// A rule is made before its op looks at its arguments: the op says which of them is undefined, in its own name.
TEST(Record, RefusesUndefinedTensors) {
  const auto undefined = std::make_unique<Tensor>();
  const Saved saved(*undefined);
  EXPECT_TRUE(throws({"never given a value"}, [&] { (void)saved(); }));
  EXPECT_TRUE(throws({"[mine]", "never given a value"}, [&] {
    (void)record("mine", number(1),
                 {{*undefined, [x = Saved(*undefined)](const Tensor& g) { return g * x(); }}});
  }));
}

TEST(Record, LargeAndMoveOnlyClosures) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  std::array<double, 20000> large{};
  large.back() = 7;
  Tensor y = identity_op("large", x, [large](const Tensor& g) { return g * large.back(); });
  y = y +
      identity_op("small", x, [owned = std::make_unique<double>(5)](const Tensor& g) { return g * *owned; });
  y = y + identity_op("large", x, [large](const Tensor& g) { return g * large.back(); });
  EXPECT_EQ(tape.gradient(y, x).item(), 19);
}

// ---- Which rules are kept and run

TEST(Rules, OfUntrackedInputsAreNotStored) {
  int alive = 0;
  const Tensor c = number(1);
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const Tensor y = record(
      "mine", number(1),
      {{c, [k = Counted(&alive)](const Tensor& g) { return g; }}, {x, [](const Tensor& g) { return g; }}});
  EXPECT_EQ(alive, 0);
  const Tensor z =
      identity_op("mine", stop_gradient(x), [k = Counted(&alive)](const Tensor& g) { return g; });
  EXPECT_EQ(alive, 0);
}

TEST(Rules, AreNotStoredWhileNothingIsRecorded) {
  int alive = 0;
  const Tensor p = new_parameter({1});
  const auto op = [&] { identity_op("mine", p, [k = Counted(&alive)](const Tensor& g) { return g; }); };
  op();
  EXPECT_EQ(alive, 0);
  Tape tape;
  {
    const NoGrad no_grad;
    op();
    EXPECT_EQ(alive, 0);
  }
  op();
  EXPECT_EQ(alive, 1);
}

TEST(Rules, AreDestroyedOnceWithTheTapeOrTheGradient) {
  int alive = 0;
  const auto op = [&](const Tensor& x) {
    return identity_op("mine", x, [k = Counted(&alive)](const Tensor& g) { return g; });
  };
  {
    Tape tape;
    op(op(tape.watch(number(1))));
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const Tensor aside = op(x), y = op(op(x));
  const Tensor after = op(y);
  tape.gradient(y, x);
  EXPECT_EQ(alive, 0) << "those off the path, and after y, as well";
}

TEST(Rules, AreDestroyedWhenAnotherInputIsRefused) {
  int alive = 0;
  Tensor stale;
  {
    Tape tape;
    stale = tape.watch(number(1));
  }
  Tape tape;
  const Tensor x = tape.watch(number(1));
  EXPECT_TRUE(throws({"stop_gradient"}, [&] {
    (void)record("mine", number(1),
                 {{x, [k = Counted(&alive)](const Tensor& g) { return g; }},
                  {stale, [k = Counted(&alive)](const Tensor& g) { return g; }}});
  }));
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(tape.gradient(x * x, x).item(), 2);
}

TEST(Rules, OnlyThoseThatLeadToTheSourcesRun) {
  std::vector<std::string> ran;
  const auto rule = [&](const char* name) {
    return [&ran, name](const Tensor& g) {
      ran.push_back(name);
      return g;
    };
  };
  Tape tape;
  const Tensor a = tape.watch(number(1)), b = tape.watch(number(1));
  const Tensor from_a = identity_op("op", a, rule("a")), from_b = identity_op("op", b, rule("b"));
  const Tensor aside = identity_op("op", from_a, rule("aside"));
  const Tensor y = record("op", number(1), {{from_a, rule("y to a")}, {from_b, rule("y to b")}});
  const Tensor after = identity_op("op", y, rule("after"));
  tape.gradient(y, a);
  EXPECT_EQ(ran, (std::vector<std::string>{"y to a", "a"}));
}

TEST(Rules, BelowAnIntermediateSourceDoNotRun) {
  int runs = 0;
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const Tensor z = identity_op("op", x, [&](const Tensor& g) {
    ++runs;
    return g;
  });
  tape.gradient(z * z, z);
  EXPECT_EQ(runs, 0);
}

TEST(Rules, RunInReverseOrderOfExecutionAndOnce) {
  std::vector<int> ran;
  Tape tape;
  const Tensor x = tape.watch(number(1));
  Tensor y = x;
  for (int i = 0; i < 5; ++i)
    y = identity_op("op", y,
                    [&ran, i](const Tensor& g) {
                      ran.push_back(i);
                      return g;
                    }) +
        y;
  tape.gradient(y, x);
  EXPECT_EQ(ran, (std::vector<int>{4, 3, 2, 1, 0}));
}

TEST(Rules, AreNotRecordedByAPlainGradient) {
  bool recording = true;
  const auto rule = [&](const Tensor& g) {
    recording = is_recording();
    return g * 2.0;
  };
  Tape tape;
  const Tensor x = tape.watch(number(1));
  const Tensor y = identity_op("op", x, rule);
  tape.gradient(y, x, {.create_graph = true});
  EXPECT_TRUE(recording);
  tape.gradient(y, x);
  EXPECT_FALSE(recording);
  Tape persistent({.persistent = true});
  const Tensor z = persistent.watch(number(1));
  recording = true;
  persistent.gradient(identity_op("op", z, rule), z);
  EXPECT_FALSE(recording);
}

TEST(Rules, MayUseATapeOfTheirOwn) {
  // As checkpointing does: the forward pass again, on a tape inside the rule.
  const Tensor p = new_parameter({3});
  const auto checkpointed = [&](const Tensor& x) {
    return record("checkpoint", TensorAccess::clone(x * x * x), {{x, [x = Saved(x)](const Tensor& g) {
                                                                    const NoGrad no_grad;
                                                                    Tape again;
                                                                    const Tensor w = again.watch(x());
                                                                    return again.gradient(
                                                                        w * w * w, w, {.output_gradient = g});
                                                                  }}});
  };
  Tape tape;
  const Tensor y = checkpointed(p * 2.0);
  EXPECT_EQ(tape.gradient(y * p, p).item(), 4 * 8 * 27);  // 8 p^4
  EXPECT_FALSE(is_recording());
}

TEST(Rules, MayUseAnInnerTapeUnderCreateGraph) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor y = record("checkpoint", TensorAccess::clone(x * x * x),
                          {{x, [x = Saved(x)](const Tensor& g) {
                              Tape again;
                              const Tensor& w = x();
                              return again.gradient(w * w * w, w, {.output_gradient = g});
                            }}});
  const Tensor g = tape.gradient(y, x, {.create_graph = true});
  EXPECT_EQ(g.item(), 27);
  EXPECT_EQ(tape.gradient(g, x).item(), 18);
}

TEST(Rules, MayReturnWhatTheForwardPassComputed) {
  // As a fused loss does that has its gradient at hand: a value of this tape, in a plain gradient.
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor z = x * x, slope = z * 3.0;
  const Tensor loss = record("fused", sum(TensorAccess::clone(z)),
                             {{z, [slope = Saved(slope)](const Tensor&) { return slope(); }}});
  EXPECT_TRUE(equal(tape.gradient(loss, x), f64({6, 48})));
}

TEST(Rules, AreNotDestroyedWhileTheyRun) {
  int alive = 0;
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor early = x * x;
  const Tensor y = identity_op("again", early, [&, k = Counted(&alive)](const Tensor& g) {
    throws({}, [&] { tape.gradient(early, x); });
    EXPECT_EQ(alive, 1) << "the tape was emptied under the running rule";
    return g;
  });
  EXPECT_TRUE(right_or_refused(number(6), [&] { return tape.gradient(y, x); }));
}

TEST(Rules, MayNotAskTheTapeThatRunsThem) {
  Tape tape;
  const Tensor x = tape.watch(number(3));
  const Tensor early = x * x;
  const Tensor y = identity_op("again", early, [&](const Tensor& g) { return g + tape.gradient(early, x); });
  EXPECT_TRUE(throws({}, [&] { tape.gradient(y, x); }));
}

// ---- Wrong rules

TEST(WrongRules, ResultOfAWrongShape) {
  for (const Tensor& wrong : {f64({1, 2, 3}), f64({{1, 2}}), number(1)}) {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    const Tensor y = sum(identity_op("planted", x, [&](const Tensor&) { return wrong; }));
    EXPECT_TRUE(throws({"planted", wrong.shape().str(), "[2]"}, [&] { tape.gradient(y, x); }));
  }
}

TEST(WrongRules, ResultOfAWrongDtype) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = sum(identity_op("planted", x, [](const Tensor&) { return tensor({1, 2}); }));
  EXPECT_TRUE(throws({"planted", "Float32", "Float64"}, [&] { tape.gradient(y, x); }));
}

TEST(WrongRules, UndefinedResult) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = sum(identity_op("planted", x, [](const Tensor&) { return Tensor(); }));
  EXPECT_TRUE(throws({"planted"}, [&] { tape.gradient(y, x); }));
}

TEST(WrongRules, AreNamedWhenTheirResultIsTheSecondOfASum) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = sum(identity_op("planted", x, [](const Tensor&) { return f64({{1, 2}}); }) + x * x);
  EXPECT_TRUE(throws({"planted"}, [&] { tape.gradient(y, x); }));
}

struct CustomException : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a rule throws passes through the tape inside of an error that names the op.
template <class F>
::testing::AssertionResult throws_nested_custom_exception(std::string_view op, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    if (error.op() != op || error.message().find("on purpose") == std::string_view::npos)
      return ::testing::AssertionFailure() << error.what();
    try {
      std::rethrow_if_nested(error);
    } catch (const CustomException&) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "nothing is nested in: " << error.what();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

TEST(WrongRules, LackOfMemoryPassesAsItIs) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = sum(identity_op("throws", x, [](const Tensor& g) {
    throw std::bad_alloc();
    return g;
  }));
  EXPECT_THROW(tape.gradient(y, x), std::bad_alloc);
}

// Whatever a rule throws is nested in an error that names the op.
template <class Thrown>
void is_nested(const Thrown& thrown, bool joint) {
  Tape tape;
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = joint ? record_joint("throws", f64({1, 2}), {x},
                                        [&](const Tensor& g, const std::vector<bool>&) {
                                          throw thrown;
                                          return std::vector<Tensor>{g};
                                        })
                         : identity_op("throws", x, [&](const Tensor& g) {
                             throw thrown;
                             return g;
                           });
  try {
    tape.gradient(sum(y), x);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.op(), "throws");
    EXPECT_NE(error.message().find("while computing a gradient"), std::string_view::npos) << error.what();
    try {
      std::rethrow_if_nested(error);
      ADD_FAILURE() << "nothing is nested";
    } catch (const Thrown&) {
    }
  }
}

TEST(WrongRules, WhateverTheyThrowIsNested) {
  for (const bool joint : {false, true}) {
    is_nested(7, joint);
    is_nested(std::string("on purpose"), joint);
    is_nested(Error("mine", "on purpose"), joint);
    is_nested(CustomException("on purpose"), joint);
    is_nested(std::bad_function_call(), joint);
  }
}

// The name of the op that threw, once: where the op's own rule threw, it is the same name.
TEST(WrongRules, TheOpIsNamedOnce) {
  const auto message_of = [](const char* thrown_by) {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    const Tensor y = identity_op("mine", x, [&](const Tensor& g) {
      throw Error(thrown_by, "on purpose");
      return g;
    });
    try {
      tape.gradient(sum(y), x);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message_of("mine"), "[mine] while computing a gradient: on purpose");
  EXPECT_EQ(message_of("other"), "[mine] while computing a gradient: [other] on purpose");
}

TEST(WrongRules, AnExceptionPassesAndAllIsWellAfter) {
  for (const bool create_graph : {false, true})
    for (const bool own_error : {false, true}) {
      const Tensor c = f64({1, 2});
      Tape tape;
      const Tensor x = tape.watch(f64({1, 2}));
      const Tensor y = sum(identity_op("throws", x * c, [&](const Tensor& g) {
        if (own_error) throw Error("mine", "on purpose");
        throw CustomException("on purpose");
        return g;
      }));
      if (own_error) {
        EXPECT_TRUE(
            throws({"[mine] on purpose"}, [&] { tape.gradient(y, x, {.create_graph = create_graph}); }));
      } else {
        EXPECT_TRUE(throws_nested_custom_exception(
            "throws", [&] { tape.gradient(y, x, {.create_graph = create_graph}); }));
      }
      // Spent or not, it must say so, and never give anything else.
      EXPECT_TRUE(right_or_refused(f64({1, 2}), [&] { return tape.gradient(sum(x * c), x); }));
      const NoGrad no_grad;
      Tape next;
      const Tensor z = next.watch(f64({1, 2}));
      EXPECT_TRUE(is_recording());
      EXPECT_TRUE(equal(next.gradient(sum(z * z), z), f64({2, 4})));
    }
  EXPECT_FALSE(is_recording());
}

TEST(WrongRules, AnExceptionOnAPersistentTapeCanBeRecoveredFrom) {
  bool broken = true;
  Tape tape({.persistent = true});
  const Tensor x = tape.watch(f64({1, 2}));
  const Tensor y = sum(identity_op("sometimes", x * x,
                                   [&](const Tensor& g) {
                                     if (broken) throw CustomException("on purpose");
                                     return g;
                                   }) +
                       x);
  EXPECT_TRUE(throws_nested_custom_exception("sometimes", [&] { tape.gradient(y, x); }));
  EXPECT_TRUE(
      throws_nested_custom_exception("sometimes", [&] { tape.gradient(y, x, {.create_graph = true}); }));
  EXPECT_TRUE(is_recording());
  broken = false;
  EXPECT_TRUE(equal(tape.gradient(y, x), f64({3, 5}))) << "nothing is left of the first attempts";
}

TEST(WrongRules, AnExceptionFreesWhatWasSaved) {
  int alive = 0;
  const Tensor c = f64({1, 2});
  {
    Tape tape;
    const Tensor x = tape.watch(f64({1, 2}));
    const Tensor y = sum(identity_op("throws", x * c,
                                     [k = Counted(&alive)](const Tensor& g) {
                                       throw CustomException("on purpose");
                                       return g;
                                     }) *
                         c);
    EXPECT_TRUE(throws_nested_custom_exception("throws", [&] { tape.gradient(y, x); }));
  }
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(holders(c), 1u);
}

TEST(OpaqueRules, ArePerfectlyFineOnce) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  EXPECT_TRUE(equal(tape.gradient(sum(opaque_cube(x)), x), f64({12, 27})));
}

TEST(OpaqueRules, AreRefusedInAGraphOfGradients) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  const Tensor y = sum(square(opaque_cube(x)));
  EXPECT_TRUE(throws({"opaque_cube"}, [&] { tape.gradient(y, x, {.create_graph = true}); }));
}

TEST(OpaqueRules, AreRefusedAtTheEndOfTheGraphAsWell) {
  // Here the output gradient is a mere 1. If the result passed as a constant, the x * x below would hide
  // that half of the second derivative is missing.
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = opaque_cube(x);
  EXPECT_TRUE(right_or_refused(number(12 + 4), [&] {
    const Tensor g = tape.gradient(y, x, {.create_graph = true});
    return tape.gradient(g + x * x, x);
  }));
}

TEST(OpaqueRules, AreRefusedBehindALinearOp) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  const Tensor y = sum(opaque_cube(x) * 2.0);  // the gradient that arrives is a constant 2
  EXPECT_TRUE(right_or_refused(f64({24 + 4, 36 + 6}), [&] {
    const Tensor g = tape.gradient(y, x, {.create_graph = true});
    return tape.gradient(sum(g + x * x), x);
  }));
}

TEST(OpaqueRules, AreRefusedWithAConstantSeed) {
  Tape tape;
  const Tensor x = tape.watch(f64({2, 3}));
  const Tensor y = opaque_cube(x);
  EXPECT_TRUE(right_or_refused(f64({12 + 4, 18 + 6}), [&] {
    const Tensor g = tape.gradient(y, x, {.create_graph = true, .output_gradient = f64({1, 1})});
    return tape.gradient(sum(g + x * x), x);
  }));
}

TEST(OpaqueRules, AreRefusedOnANestedTape) {
  Tape outer;
  const Tensor x = outer.watch(number(2));
  EXPECT_TRUE(right_or_refused(number(12 + 4), [&] {
    Tensor g;
    {
      Tape inner;
      g = inner.gradient(opaque_cube(x), x);
    }
    return outer.gradient(g + x * x, x);
  }));
}

TEST(OpaqueRules, AStoppedResultIsOpaque) {
  Tape tape;
  const Tensor x = tape.watch(number(2));
  const Tensor y = identity_op("stops", x * x, [](const Tensor& g) { return stop_gradient(g * 3.0); });
  EXPECT_TRUE(throws({"stops"}, [&] { tape.gradient(y * x, x, {.create_graph = true}); }));
}

}  // namespace
}  // namespace tapegrad
