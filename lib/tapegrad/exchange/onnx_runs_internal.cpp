#include "tapegrad/exchange/onnx_runs_internal.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/create.h"
#include "tapegrad/ops/index.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::onnx {
namespace {

constexpr index_t kBatches[] = {3, 5};  // whose multiples are easily told apart

// Rows 0, 1, 2, ... of x, again from the first where there are no more.
Tensor with_rows(const Tensor& x, index_t count) {
  Tensor rows = zeros({count}, DType::Int32);
  for (index_t i = 0; i < count; ++i)
    rows.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(i % x.shape()[0]);
  return gather(x, rows, 0);
}

// Other numbers of x's kind: in another order, and floating ones each made smaller.
Tensor changed(const Tensor& x, Generator& generator) {
  Tensor mixed = copy(x);
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    const std::span<T> values = mixed.mutable_values<T>();
    if (is_floating(x.dtype()))
      for (T& value : values) value = static_cast<T>((value == 0 ? 1 : value) * generator.uniform(0.5, 1));
    for (std::size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[static_cast<std::size_t>(generator.integer(i))]);
  });
  return mixed;
}

// Whether something that the op read or made was written to since.
bool is_changed(const TracedOp& op) {
  const auto differs = [&](const Tensor& x, std::size_t i) {
    return TensorAccess::storage(x)->version() != op.versions[i];
  };
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    if (differs(op.inputs[i], i)) return true;
  return differs(op.output, op.inputs.size());
}

void require_same(const TracedOp& first, const TracedOp& second, const Runs::Questions& questions) {
  for (const TracedOp* op : {&first, &second})
    if (is_changed(*op))
      fail("save_onnx",
           "a tensor that {} takes or makes is changed in place afterwards, which cannot be exported",
           questions.called(*op));
  if (first.op != second.op)
    fail(
        "save_onnx",
        "{} is computed with one batch, and {} with another: a model that computes other ops for other inputs cannot be "
        "exported",
        questions.called(first), questions.called(second));
  if (first.inputs.size() != second.inputs.size())
    fail("save_onnx", "{} takes {} tensors with one batch, and {} with another, which cannot be exported",
         questions.called(first), first.inputs.size(), second.inputs.size());
}

}  // namespace

std::vector<Tensor> results_of(const OnnxFunction& f, const std::vector<Tensor>& inputs, bool has_batch) {
  try {
    return f(inputs);
  } catch (const Error& error) {
    if (!has_batch) throw;
    fail(
        "save_onnx",
        "the function was called with inputs made of the example's rows (input 0: {}), and failed: {}; with dynamic_batch "
        "= false the batch stays that of the example",
        inputs[0].shape(), error.what());
  }
}

Key key_of(const Tensor& x) {
  return {TensorAccess::elements(x), {x.shape().begin(), x.shape().end()}, x.dtype()};
}

Runs::Runs(const OnnxFunction& f, const std::vector<Tensor>& examples, const OnnxExportOptions& options) {
  const NoGrad no_grad;
  const index_t own = examples[0].rank() == 0 ? 0 : examples[0].shape()[0];
  for (const Tensor& x : examples) {
    examples_.push_back(stop_gradient(x));
    has_batch_.push_back(options.dynamic_batch && own > 0 && x.rank() > 0 && x.shape()[0] == own);
  }
  Generator generator(0);
  for (std::size_t at = 0; at < 2; ++at) {
    Run& run = runs_[at];
    batches_[at] = has_batch_[0] ? kBatches[at] : 1;
    for (const Tensor& x : batch(batches_[at])) run.inputs.push_back(at == 0 ? x : changed(x, generator));
    run.ops = trace_ops([&] { run.outputs = results_of(f, run.inputs, has_batch_[0]); });
  }
  const std::size_t results = runs_[0].outputs.size();
  if (results == 0) fail("save_onnx", "the function must return at least one tensor, got none");
  if (results != runs_[1].outputs.size())
    fail("save_onnx", "the function must always return as many tensors, got {} and {}", results,
         runs_[1].outputs.size());
  for (std::size_t i = 0; i < examples.size(); ++i)
    inputs.push_back({runs_[0].inputs[i], runs_[1].inputs[i]});
  for (std::size_t i = 0; i < results; ++i) outputs.push_back({runs_[0].outputs[i], runs_[1].outputs[i]});
  for (const auto& [first, second] : outputs)
    if (!first.defined() || !second.defined()) fail("save_onnx", "a result of the function is not defined");
}

std::vector<Tensor> Runs::batch(index_t rows) const {
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < examples_.size(); ++i)
    made.push_back(has_batch_[i] ? with_rows(examples_[i], rows) : copy(examples_[i]));
  return made;
}

// The op that makes each value. A view of the same shape is the value itself; one that goes back to an earlier shape is the
// earlier value.
void Runs::find_makers(Run& run, const Questions& questions) {
  std::set<Key> given;
  for (const Tensor& x : run.inputs) given.insert(key_of(x));
  for (std::size_t i = 0; i < run.ops.size(); ++i) {
    const TracedOp& op = run.ops[i];
    const Key made = key_of(op.output);
    const auto is_same = [&](const Tensor& x) { return key_of(x) == made; };
    const auto shares = [&](const Tensor& x) { return key_of(x).elements == made.elements; };
    if (given.contains(made) || questions.has_name(op.output) || std::ranges::any_of(op.inputs, is_same))
      continue;
    const auto [found, is_new] = run.made_by.emplace(made, i);
    if (is_new || std::ranges::any_of(op.inputs, shares)) continue;
    if (questions.is_known(op) || !questions.is_known(run.ops[found->second])) found->second = i;
  }
}

void Runs::find_ops(const Questions& questions) {
  for (Run& run : runs_) find_makers(run, questions);
  std::map<std::size_t, std::size_t> pairs;
  std::vector<Twin> open = outputs;
  while (!open.empty()) {
    const Twin value = open.back();
    open.pop_back();
    const auto first = runs_[0].made_by.find(value.key());
    const auto second = runs_[1].made_by.find(key_of(value.second));
    const bool is_leaf_in_first = first == runs_[0].made_by.end(),
               is_leaf_in_second = second == runs_[1].made_by.end();
    if (is_leaf_in_first && is_leaf_in_second) continue;
    if (is_leaf_in_first || is_leaf_in_second)
      fail(
          "save_onnx",
          "{} computes a value (shape {}) with one batch that is given with another: a model that computes other ops for "
          "other inputs cannot be exported",
          questions.called(is_leaf_in_first ? runs_[1].ops[second->second] : runs_[0].ops[first->second]),
          value.first.shape());
    const TwinOp op{&runs_[0].ops[first->second], &runs_[1].ops[second->second]};
    require_same(*op.first, *op.second, questions);
    if (!pairs.emplace(first->second, second->second).second) continue;
    for (std::size_t i = 0; i < op.first->inputs.size(); ++i) open.push_back(op.input(i));
  }
  for (const auto& [first, second] : pairs) {
    for (const Tensor& x : runs_[0].ops[first].inputs) uses[key_of(x)].push_back(ops.size());
    ops.push_back({&runs_[0].ops[first], &runs_[1].ops[second]});
  }
}

std::optional<Size> Runs::size(index_t first, index_t second) const {
  if (first == second) return Size{first, 0};
  if (first % batches_[0] != 0 || first / batches_[0] * batches_[1] != second) return std::nullopt;
  return Size{first, first / batches_[0]};
}

Sizes Runs::sizes(const Twin& value, const std::string& what) const {
  const Shape &first = value.first.shape(), &second = value.second.shape();
  if (first.rank() != second.rank())
    fail("save_onnx",
         "{} has shape {} with one batch, and {} with another: the number of axes must stay the same", what,
         first, second);
  Sizes found;
  for (int axis = 0; axis < first.rank(); ++axis) {
    const std::optional<Size> found_size = size(first[axis], second[axis]);
    if (!found_size)
      fail(
          "save_onnx",
          "{} has shape {} with a batch of {}, and {} with {}: its sizes must be fixed, or multiples of the batch's; "
          "with dynamic_batch = false the file has the sizes of the examples",
          what, first, batches_[0], second, batches_[1]);
    found.push_back(*found_size);
  }
  return found;
}

}  // namespace tapegrad::inline v0::onnx
