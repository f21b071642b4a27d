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

std::vector<Mistake> catalogue() {
  std::vector<Mistake> all = convolution_mistakes();
  for (const auto& more : {op_mistakes(), formula_mistakes()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

// In parts, so that each takes less than a second.
constexpr std::size_t kParts = 32;
class GradcheckMistakes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(GradcheckMistakes, AreNamedAndNoneIsCalledSomethingElse) {
  const std::vector<Mistake> all = catalogue();
  Score score;
  for (std::size_t i = GetParam(); i < all.size(); i += kParts) judge(all[i], score);
  EXPECT_EQ(score.named, score.all);
  EXPECT_EQ(score.silent, 0);
  EXPECT_EQ(score.misleading, 0);
}
INSTANTIATE_TEST_SUITE_P(Part, GradcheckMistakes, ::testing::Range(std::size_t{0}, kParts));

TEST(GradcheckCatalogue, IsLong) {
  EXPECT_GE(catalogue().size(), 225u);
}

}  // namespace
}  // namespace tapegrad::testing
