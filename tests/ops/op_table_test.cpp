#include "op_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string_view>

namespace tapegrad::testing {
namespace {

// One test for each row: a row can be run alone, and one that crashes hides no other.
class OpTable : public ::testing::TestWithParam<const OpRow*> {};

// Names of tests are letters and digits: a row's number keeps apart what differs in other characters alone.
std::vector<std::string> names_of_tests() {
  std::vector<std::string> names;
  for (const OpRow& row : op_table()) {
    std::string made;
    for (const char c : row.name())
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || (c == '_' && !made.ends_with('_')))
        made += c;
      else if (!made.ends_with('_'))
        made += '_';
    names.push_back(made + "_" + std::to_string(names.size()));
  }
  return names;
}

// Made once, not once for each of the tests of a row.
std::string test_name(const ::testing::TestParamInfo<const OpRow*>& info) {
  static const std::vector<std::string> names = names_of_tests();
  return names.at(info.index);
}
INSTANTIATE_TEST_SUITE_P(Row, OpTable, ::testing::ValuesIn(op_rows()), test_name);

TEST_P(OpTable, FirstOrderGradcheck) {
  const OpRow& row = *GetParam();
  const GradcheckReport report = gradcheck(row.f, row.draw(), row.check);
  EXPECT_TRUE(report.passed) << report.str();
  // A comparison of nothing would pass too.
  for (const GradcheckTensor& tensor : report.tensors) EXPECT_GT(tensor.largest_gradient, 1e-3);
}

// Of what is compared, something must not be 0: the derivative of sum(g dx) by the output gradient g is not, in
// any row, and that by an input only where the op is linear in it.
TEST_P(OpTable, SecondOrderGradcheck) {
  const OpRow& row = *GetParam();
  const GradcheckReport report = gradcheck_second_order(row.f, row.draw(), row.check);
  EXPECT_TRUE(report.passed) << report.str();
  double largest = 0;
  for (const GradcheckTensor& tensor : report.tensors) largest = std::max(largest, tensor.largest_gradient);
  EXPECT_GT(largest, 1e-3) << "nothing was compared";
}

Tensor random_like(const Tensor& x, std::uint64_t stream) {
  Generator generator(5, stream);
  return normal(x.shape(), 0, 1, generator, x.dtype());
}

// The result of a row and its gradients of this order, with its inputs in `dtype`.
std::vector<Tensor> gradients_in(const OpRow& row, DType dtype, int order) {
  const auto drawn_like = [](const Tensor& t, std::uint64_t seed) {
    return cast(random_like(zeros(t.shape(), DType::Float64), seed), t.dtype());
  };
  std::vector<Tensor> xs;
  Tape tape;
  for (const Tensor& x : row.draw()) xs.push_back(tape.watch(cast(x, dtype)));
  const Tensor y = row.f(xs);
  Tensor target = y, seed = full(y.shape(), 0.75, y.dtype());
  if (order == 2) {
    const auto first =
        tape.gradient(y, xs, {.create_graph = true, .zeros_for_unreached = true, .output_gradient = seed});
    target = sum(seed * y);
    for (std::size_t i = 0; i < first.size(); ++i)
      target = target + cast(sum(first[i] * drawn_like(first[i], i)), target.dtype());
    seed = ones({}, target.dtype());
  }
  std::vector<Tensor> found =
      tape.gradient(target, xs, {.zeros_for_unreached = true, .output_gradient = seed});
  found.push_back(y);
  return found;
}

// `share`: of the largest number of a tensor, or of 1.
void expect_the_same_in_float32(const OpRow& row, int order, double share) {
  const std::vector<Tensor> exact = gradients_in(row, DType::Float64, order),
                            found = gradients_in(row, DType::Float32, order);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const Tensor single = cast(found[i], DType::Float64);
    ASSERT_EQ(single.shape().str(), exact[i].shape().str());
    double largest = 1;
    if (order == 2)
      for (const double v : exact[i].values<double>()) largest = std::max(largest, std::abs(v));
    for (index_t k = 0; k < single.size(); ++k) {
      const double right = exact[i].data<double>()[k];
      EXPECT_NEAR(single.data<double>()[k], right, share * std::max(largest, std::abs(right)))
          << "of input " << i;
    }
  }
}

TEST_P(OpTable, Float32GivesTheSameGradientsUpToRounding) {
  expect_the_same_in_float32(*GetParam(), 1, 5e-6);
}

TEST_P(OpTable, Float32GivesTheSameSecondGradientsUpToRounding) {
  expect_the_same_in_float32(*GetParam(), 2, 5e-6);
}

// Whole numbers: an op takes them, or says so in its own name.
TEST_P(OpTable, RefusesWholeNumbersInItsOwnName) {
  const OpRow& row = *GetParam();
  if (!row.only_this) GTEST_SKIP() << "other ops are called as well";
  for (const DType dtype : {DType::Int32, DType::UInt8}) {
    std::vector<Tensor> xs;
    for (const Tensor& x : row.draw()) xs.push_back(cast(abs(x), dtype));
    try {
      (void)row.f(xs);
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), row.op) << error.what();
    }
  }
}

// A tensor that was never given a value is an error, not a result without a value.
TEST_P(OpTable, RefusesUndefinedTensors) {
  const OpRow& row = *GetParam();
  EXPECT_THROW((void)row.f(std::vector<Tensor>(row.inputs.size())), Error);
}

// A forgotten Saved. Each input is changed in place between the forward pass and gradient(): the result must
// be that of the unchanged input, bit for bit, or an error; never a third number.

// One run over a row: the forward pass, then gradients of this order, with input `changed` overwritten before
// the last call of gradient() (none, if it is -1).
std::vector<Tensor> gradients_with_change(const OpRow& row, bool as_parameters, int order, int changed) {
  std::vector<Tensor> memory = row.draw(), xs;
  Tape tape;
  for (Tensor& x : memory) {
    if (as_parameters) x = parameter(x);
    xs.push_back(as_parameters ? x : tape.watch(x));
  }
  Tensor y = 1.0 * row.f(xs);  // some ops give back their input, and a parameter is not a result
  Tensor seed = random_like(y, 1);
  if (order == 2) {
    const auto first =
        tape.gradient(y, xs, {.create_graph = true, .zeros_for_unreached = true, .output_gradient = seed});
    // The term of y makes the second gradient reach a linear op's inputs too.
    Tensor total = sum(seed * y);
    for (std::size_t i = 0; i < first.size(); ++i)
      total = total + sum(first[i] * random_like(first[i], 2 + i));
    y = total;
    seed = ones({}, y.dtype());
  }
  if (changed >= 0)
    for (double& value : memory[static_cast<std::size_t>(changed)].mutable_values<double>())
      value = value * 0.5 + 0.25;
  return tape.gradient(y, xs, {.zeros_for_unreached = true, .output_gradient = seed});
}

// How many changes were refused, and how many did not matter.
struct Changes {
  int refused = 0, unaffected = 0;
};

Changes expect_change_is_noticed(const OpRow& row, int order) {
  Changes found;
  for (const bool as_parameters : {false, true}) {
    const std::vector<Tensor> right = gradients_with_change(row, as_parameters, order, -1);
    for (int input = 0; input < static_cast<int>(row.inputs.size()); ++input) {
      SCOPED_TRACE("input " + std::to_string(input) + (as_parameters ? ", parameter" : ""));
      try {
        const std::vector<Tensor> gradients = gradients_with_change(row, as_parameters, order, input);
        for (std::size_t i = 0; i < right.size(); ++i)
          EXPECT_TRUE(equal(gradients[i], right[i])) << "the gradient of input " << i << " is another one: a "
                                                     << "rule reads a tensor that it did not save as Saved";
        ++found.unaffected;
      } catch (const Error& error) {
        ++found.refused;
        EXPECT_NE(error.message().find("changed in place"), std::string::npos) << error.what();
        if (order != 1) continue;
        const bool named = row.recorded_as.empty()
                               ? error.op() == row.op
                               : std::ranges::find(row.recorded_as, error.op()) != row.recorded_as.end();
        EXPECT_TRUE(named) << error.what();
      }
    }
  }
  return found;
}

TEST_P(OpTable, ChangedInputIsNoticed) {
  expect_change_is_noticed(*GetParam(), 1);
}

TEST_P(OpTable, ChangedInputIsNoticedInTheSecondGradient) {
  expect_change_is_noticed(*GetParam(), 2);
}

// Both ways out are taken: ops that need their inputs, and linear ones that do not.
TEST(OpTableAsAWhole, ChangesAreRefusedOrDoNotMatter) {
  Changes all;
  for (const OpRow& row : op_table()) {
    const Changes found = expect_change_is_noticed(row, 1);
    all.refused += found.refused;
    all.unaffected += found.unaffected;
  }
  EXPECT_GT(all.refused, 100);
  EXPECT_GT(all.unaffected, 100);
}

// The names of the functions that return tensors in the headers of the ops, with the number of overloads.
std::map<std::string, int> declared_ops() {
  std::vector<std::filesystem::path> headers = {TAPEGRAD_SOURCE "/lib/tapegrad/nn/losses.h"};
  for (const auto& entry : std::filesystem::directory_iterator(TAPEGRAD_SOURCE "/lib/tapegrad/ops"))
    if (entry.path().extension() == ".h" && !entry.path().stem().string().ends_with("_internal") &&
        entry.path().stem() != "derivatives")  // derivatives of functions, not ops
      headers.push_back(entry.path());
  std::map<std::string, int> found;
  for (const auto& path : headers) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    for (std::string line; std::getline(file, line);) {
      // Names that are macros to some stand in parentheses: Tensor(max)(...).
      static const std::regex declaration(
          R"((?:\[\[nodiscard\]\] )?(?:inline )?(?:Tensor|std::vector<Tensor>|BatchNormResult|TopK) ?\(?([a-z0-9_]+)\)?\(.*)");
      std::smatch match;
      if (std::regex_match(line, match, declaration)) ++found[match[1]];
    }
  }
  return found;
}

TEST(OpTableAsAWhole, EveryOpHasARow) {
  const std::set<std::string> without_derivative = {
      "conv2d_matrix", "less",        "less_equal", "greater",     "greater_equal", "equals",  "not_equals",
      "argmax",        "argmin",      "any",        "all",         "one_hot",       "isnan",   "isinf",
      "isfinite",      "logical_and", "logical_or", "logical_xor", "logical_not",   "argsort", "nonzero",
      "count_nonzero", "isclose",     "full_like",  "linspace",    "eye",           "randint", "randperm"};
  const std::map<std::string, int> declared = declared_ops();
  ASSERT_GE(declared.size(), 45u) << "the headers are not read as they should be";
  ASSERT_TRUE(declared.contains("conv2d_transpose") && declared.contains("mse_loss"));
  std::map<std::string, int> rows;
  for (const OpRow& row : op_table()) ++rows[row.op];
  for (const auto& [op, overloads] : declared) {
    if (without_derivative.contains(op)) continue;
    EXPECT_GE(rows[op], overloads) << op << " is declared " << overloads
                                   << " times but has fewer rows in op_table.h";
  }
  for (const auto& [op, count] : rows) EXPECT_TRUE(declared.contains(op)) << "no op is called " << op;
  for (const std::string& op : without_derivative) EXPECT_TRUE(declared.contains(op)) << op;
}

}  // namespace
}  // namespace tapegrad::testing
