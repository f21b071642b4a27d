// The score of the hints: of more than a hundred wrong backward passes, how many are named, and that none is called
// something else.

#include "mistakes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tapegrad::testing {
namespace {

const GradcheckTensor* tensor_of(const GradcheckReport& report, const std::string& name) {
  for (const GradcheckTensor& t : report.tensors)
    if (t.name == name) return &t;
  return nullptr;
}

struct Score {
  int all = 0, named = 0, silent = 0, misleading = 0;
};

void judge(const Mistake& m, Score& score) {
  ++score.all;
  const GradcheckReport report = gradcheck_backward(m.forward, m.backward, m.inputs, m.options);
  EXPECT_EQ(report.verdict, GradcheckVerdict::Fail) << m.what << "\n" << report.str();
  const GradcheckTensor* t = tensor_of(report, m.tensor);
  ASSERT_NE(t, nullptr) << m.what << ": no tensor " << m.tensor;
  EXPECT_EQ(t->verdict, GradcheckVerdict::Fail) << m.what << "\n" << report.str();
  // The rest of the pair is right: what is tested is the mistake.
  for (const GradcheckTensor& other : report.tensors)
    if (other.name != m.tensor && m.what != "matmul: results exchanged") {
      EXPECT_EQ(other.verdict, GradcheckVerdict::Pass) << m.what << ": " << other.name << "\n"
                                                       << report.str();
    }
  const auto says = [&](const GradcheckHint& hint) {
    return std::ranges::any_of(m.words,
                               [&](const std::string& w) { return hint.text.find(w) != std::string::npos; });
  };
  const bool named = std::ranges::any_of(t->hints, says);
  score.named += named ? 1 : 0;
  score.silent += t->hints.empty() ? 1 : 0;
  bool misled = false;
  for (const GradcheckHint& hint : t->hints)
    misled = misled || (!says(hint) && std::ranges::find(m.patterns, hint.pattern) == m.patterns.end());
  score.misleading += misled ? 1 : 0;
  if (named && !misled) return;
  fmt::print("{}: {}\n",
             named              ? "named, and misled"
             : t->hints.empty() ? "no hint"
             : misled           ? "misled"
                                : "not named",
             m.what);
  for (const GradcheckHint& hint : t->hints) fmt::print("    {}: {}\n", hint.pattern, hint.text);
}

TEST(GradcheckMistakes, AreNamedAndNoneIsCalledSomethingElse) {
  Score score;
  for (const Mistake& m : convolution_mistakes()) judge(m, score);
  const Score convolutions = score;
  for (const Mistake& m : op_mistakes()) judge(m, score);
  fmt::print("{} mistakes ({} in convolutions): {} named, {} without a hint, {} misleading\n", score.all,
             convolutions.all, score.named, score.silent, score.misleading);
  EXPECT_GE(score.all, 165);
  EXPECT_EQ(score.named, score.all);
  EXPECT_EQ(score.misleading, 0);
}

}  // namespace
}  // namespace tapegrad::testing
