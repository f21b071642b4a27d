#include "tapegrad/transforms/subtrees_internal.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tapegrad {
namespace {

using detail::Subtree;

// What is added to what, written out: for 6 chunks (((0+1)+(2+3))+(4+5)).
std::string tree(index_t first, index_t width, index_t count) {
  if (width == 1) return std::to_string(first);
  if (first + width / 2 >= count) return tree(first, width / 2, count);
  return "(" + tree(first, width / 2, count) + "+" + tree(first + width / 2, width / 2, count) + ")";
}

TEST(Subtrees, OfAnySharesAddUpToTheOneTree) {
  EXPECT_EQ(tree(0, 8, 6), "(((0+1)+(2+3))+(4+5))");
  for (index_t count = 1; count <= 40; ++count)
    for (index_t processes = 1; processes <= 9; ++processes) {
      std::vector<Subtree> all;
      for (index_t p = 0; p < processes; ++p) {
        const index_t first = count * p / processes, end = count * (p + 1) / processes;
        for (const Subtree& subtree : detail::subtrees_of(first, end, count)) all.push_back(subtree);
      }
      std::vector<std::string> sums;
      index_t at = 0;
      for (const Subtree& subtree : all) {
        EXPECT_EQ(subtree.first, at);
        sums.push_back(tree(subtree.first, subtree.width, count));
        at += subtree.width;
      }
      EXPECT_GE(at, count);
      detail::add_subtrees(all, count, [&](std::size_t i, std::size_t j) {
        std::string sum = "(";
        sums[i] = sum.append(sums[i]).append("+").append(sums[j]).append(")");
      });
      EXPECT_EQ(sums[0], tree(0, 64, count)) << count << " chunks, " << processes << " processes";
    }
}

TEST(Subtrees, AreFewAndAsLargeAsTheyCanBe) {
  EXPECT_EQ(detail::subtrees_of(0, 16, 32).size(), 1u);
  EXPECT_EQ(detail::subtrees_of(16, 32, 32).size(), 1u);
  EXPECT_EQ(detail::subtrees_of(8, 13, 13).size(), 1u);
  const std::vector<Subtree> found = detail::subtrees_of(11, 22, 32);  // 11, 12-15, 16-19, 20-21
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[1].width, 4);
  EXPECT_TRUE(detail::subtrees_of(3, 3, 8).empty());
}

}  // namespace
}  // namespace tapegrad
