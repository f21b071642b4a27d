// Each function that takes tensors, with each of its tensors in turn replaced by a wrong one.

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "refusals/calls.h"
#include "refusals/public_headers.h"
#include "refusals/refused.h"

namespace tapegrad::testing {
namespace {

constexpr std::pair<char, DType> kDTypes[] = {
    {'f', DType::Float32}, {'d', DType::Float64}, {'i', DType::Int32}, {'u', DType::UInt8}};

std::vector<Tensor> values_of(const RightCall& row) {
  std::vector<Tensor> values;
  for (const Argument& argument : row.arguments) values.push_back(argument.value);
  return values;
}

// The call of a row, with `wrong` in the place of argument i.
void expect_refused(const RightCall& row, std::size_t i, const Tensor& wrong, const std::string& what) {
  std::vector<Tensor> arguments = values_of(row);
  arguments[i] = wrong;
  EXPECT_TRUE(is_refused(row.op, arguments, row.call)) << "argument " << i << ": " << what;
}

TEST(WrongTensors, RightCallsAreRight) {
  for (const RightCall& row : right_calls()) {
    const std::vector<Tensor> arguments = values_of(row);
    const Untouched before(arguments);
    EXPECT_NO_THROW(row.call(arguments)) << row.op;
    EXPECT_TRUE(before.holds(arguments)) << row.op;
    // Nor do the dtypes that are said to be right depend on anything.
    for (std::size_t i = 0; i < arguments.size(); ++i)
      for (const auto& [letter, dtype] : kDTypes)
        if (row.arguments[i].dtypes.find(letter) != std::string::npos) {
          std::vector<Tensor> others = arguments;
          others[i] = cast(others[i], dtype);
          EXPECT_NO_THROW(row.call(others)) << row.op << " " << i << " " << to_string(dtype);
        }
  }
}

TEST(WrongTensors, AreUndefinedOrMovedFrom) {
  for (const RightCall& row : right_calls())
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      if (row.arguments[i].may_be_undefined) continue;
      Tensor moved_from = copy(row.arguments[i].value);
      const Tensor moved_to = std::move(moved_from);
      for (const bool on_a_tape : {false, true}) {
        const std::unique_ptr<Tape> tape = on_a_tape ? std::make_unique<Tape>() : nullptr;
        expect_refused(row, i, Tensor(), "undefined");
        expect_refused(row, i, moved_from, "moved from");
      }
    }
}

TEST(WrongTensors, HaveAnotherDType) {
  for (const RightCall& row : right_calls())
    for (std::size_t i = 0; i < row.arguments.size(); ++i)
      for (const auto& [letter, dtype] : kDTypes)
        if (row.arguments[i].dtypes.find(letter) == std::string::npos)
          expect_refused(row, i, cast(abs(cast(row.arguments[i].value, DType::Float32)), dtype),
                         to_string(dtype));
}

TEST(WrongTensors, HaveAnotherShape) {
  for (const RightCall& row : right_calls())
    for (std::size_t i = 0; i < row.arguments.size(); ++i)
      for (const Shape& shape : row.arguments[i].wrong)
        expect_refused(row, i, zeros(shape, row.arguments[i].value.dtype()), shape.str());
}

// The gradient would end at such a tensor, and nothing would say so.
TEST(WrongTensors, BelongToAnotherTape) {
  for (const RightCall& row : right_calls())
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      const Tensor& value = row.arguments[i].value;
      if (!row.recorded || !is_floating(value.dtype())) continue;
      Tape open;
      const Tensor of_open = 1.0 * open.watch(value);
      const NoGrad apart;
      Tensor of_spent;
      {
        Tape other;
        of_spent = 1.0 * other.watch(value);
        (void)other.gradient(sum(of_spent), of_spent);
      }
      const Tape own;
      expect_refused(row, i, of_open, "of a tape that is open");
      expect_refused(row, i, of_spent, "of a tape that has ended");
    }
}

// How many of the calls above there are, told by the table itself.
TEST(WrongCalls, OfEveryFunctionAreMoreThanAThousand) {
  int undefined = 0, dtypes = 0, shapes = 0, tapes = 0;
  for (const RightCall& row : right_calls())
    for (const Argument& argument : row.arguments) {
      if (!argument.may_be_undefined) undefined += 4;
      dtypes += 4 - static_cast<int>(argument.dtypes.size());
      shapes += static_cast<int>(argument.wrong.size());
      if (row.recorded && is_floating(argument.value.dtype())) tapes += 2;
    }
  std::printf("  undefined or moved from: %d, dtypes: %d, shapes: %d, tapes: %d\n", undefined, dtypes, shapes,
              tapes);
  EXPECT_GE(undefined + dtypes + shapes + tapes, 1000);
}

// Rows of values_test.cpp and classes_test.cpp: members of classes, and functions that take tensors among other things.
const std::set<std::string> kCalledElsewhere = {"Activation::Activation",
                                                "Adagrad::Adagrad",
                                                "Adam::Adam",
                                                "Adam::update",
                                                "AdamW::AdamW",
                                                "AveragePooling2D::forward",
                                                "BatchNorm::forward",
                                                "BestValue::load_state",
                                                "Conv2D::forward",
                                                "Conv2DTranspose::forward",
                                                "Dense::forward",
                                                "DepthwiseConv2D::forward",
                                                "Dropout::forward",
                                                "ELU::forward",
                                                "EarlyStopping::load_state",
                                                "Embedding::forward",
                                                "ExponentialMovingAverage::ExponentialMovingAverage",
                                                "ExponentialMovingAverage::load_state",
                                                "ExponentialMovingAverage::update",
                                                "Flatten::forward",
                                                "GELU::forward",
                                                "GlobalAveragePooling2D::forward",
                                                "GlobalMaxPooling2D::forward",
                                                "GradientAccumulator::GradientAccumulator",
                                                "GradientAccumulator::add",
                                                "GradientAccumulator::load_state",
                                                "Gradients::Gradients",
                                                "Gradients::of",
                                                "GroupNorm::forward",
                                                "Input::Input",
                                                "Lambda::forward",
                                                "LayerNorm::forward",
                                                "LeakyReLU::forward",
                                                "MaxPooling2D::forward",
                                                "Metrics::load_state",
                                                "Module::forward",
                                                "Module::load_state",
                                                "Module::summary",
                                                "Optimizer::load_state",
                                                "Optimizer::step",
                                                "ParameterList::ParameterList",
                                                "RMSprop::RMSprop",
                                                "RealTimeScope::RealTimeScope",
                                                "ReLU::forward",
                                                "ReduceOnPlateau::load_state",
                                                "Report::gallery",
                                                "Report::matrix",
                                                "Reshape::forward",
                                                "SELU::forward",
                                                "SGD::SGD",
                                                "Samples::Samples",
                                                "Saved::Saved",
                                                "Schedule::load_state",
                                                "Sequential::forward",
                                                "SiLU::forward",
                                                "Sigmoid::forward",
                                                "Softmax::forward",
                                                "Softplus::forward",
                                                "Tanh::forward",
                                                "Tape::gradient",
                                                "Tape::on_gradient",
                                                "Tape::watch",
                                                "TrainingState::add",
                                                "TrainingState::load_state",
                                                "UpSampling2D::forward",
                                                "batch_gradient",
                                                "checkpoint",
                                                "clip_by_norm",
                                                "clip_by_value",
                                                "filters_image",
                                                "global_norm",
                                                "gradcheck",
                                                "gradcheck_adjoint",
                                                "gradcheck_backward",
                                                "gradcheck_parameters",
                                                "gradcheck_second_order",
                                                "grid",
                                                "hessian",
                                                "hvp",
                                                "jacobian",
                                                "jvp",
                                                "load_state",
                                                "record",
                                                "record_joint",
                                                "sheet",
                                                "to_image",
                                                "vjp",
                                                "write_idx",
                                                "write_npy",
                                                "write_npz",
                                                "write_safetensors"};
// Not for users; what derived classes call; and what takes any tensor as it is.
const std::set<std::string> kNotCalled = {
    "Module::remember_draw", "Optimizer::add_group", "Optimizer::update", "Tape::graph",
    "Tensor::Tensor",        "Tensor::operator=",    "operator<<",        "to_string"};

// Every function, operator, member and constructor of the public headers that takes tensors has a row.
TEST(WrongCalls, NoFunctionIsLeftOut) {
  std::set<std::string> called;
  for (const RightCall& row : right_calls()) called.insert(row.op);
  const std::map<std::string, std::string> operators = {
      {"operator+", "add"},         {"operator-", "subtract"}, {"operator*", "multiply"},
      {"operator/", "divide"},      {"operator+=", "add"},     {"operator-=", "subtract"},
      {"operator*=", "multiply"},   {"operator/=", "divide"},  {"operator<", "less"},
      {"operator<=", "less_equal"}, {"operator>", "greater"},  {"operator>=", "greater_equal"}};
  int found = 0;
  for (const PublicFunction& function : public_functions()) {
    if (!function.takes_tensors || function.scope == "TensorAccess") continue;
    ++found;
    const auto as = operators.find(function.name);
    const std::string name = function.free ? (as == operators.end() ? function.name : as->second)
                                           : function.scope + "::" + function.name;
    EXPECT_TRUE(called.contains(name) || kCalledElsewhere.contains(name) || kNotCalled.contains(name))
        << name << " of " << function.header
        << " has no row: add one to calls.h, or to classes_test.cpp and kCalledElsewhere";
  }
  EXPECT_GE(found, 320);
}

}  // namespace
}  // namespace tapegrad::testing
