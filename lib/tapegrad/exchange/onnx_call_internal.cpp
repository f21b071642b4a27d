#include "tapegrad/exchange/onnx_call_internal.h"

#include <algorithm>
#include <cmath>

namespace tapegrad::inline v0::onnx {

const OpOption* Call::find(const TracedOp& op, std::string_view option) const {
  read_.insert(option);
  const auto found = std::ranges::find(op.options, option, &OpOption::name);
  return found == op.options.end() ? nullptr : &*found;
}

bool Call::has(std::string_view option) const {
  return find(first(), option) != nullptr;
}

std::pair<std::vector<double>, std::vector<double>> Call::both(std::string_view option) const {
  const OpOption *a = find(first(), option), *b = find(second(), option);
  if (a == nullptr || b == nullptr) fail("does not tell its option '{}'", option);
  return {a->values, b->values};
}

Twin Call::input(std::size_t i) const {
  if (i >= inputs())
    fail("takes {} tensors, fewer than an op of this name: is it one of your own?", inputs());
  return op_.input(i);
}

double Call::number(std::string_view option) const {
  const auto [a, b] = both(option);
  const bool same = a.at(0) == b.at(0) || (std::isnan(a[0]) && std::isnan(b.at(0)));
  if (!same)
    fail(
        "has the {} {} with one batch, and {} with another: it must depend neither on the batch nor on the "
        "input; with dynamic_batch = false the batch is that of the example",
        option, a.at(0), b.at(0));
  return a.at(0);
}

double Call::number(std::string_view option, double otherwise) const {
  return has(option) ? number(option) : otherwise;
}

std::vector<int> Call::axes(std::string_view option) const {
  const auto [a, b] = both(option);
  if (a != b) fail("has other {} with another batch", option);
  return {a.begin(), a.end()};
}

const Conv2DGeometry& Call::geometry() const {
  if (!first().geometry || !second().geometry)
    fail("has no windows: is it one of your own, called like another?");
  Conv2DGeometry a = *first().geometry, b = *second().geometry;
  a.batch = b.batch = 0;
  if (a != b) fail("has other windows with another batch");
  return *first().geometry;
}

void Call::require_all_read() const {
  for (const OpOption& option : first().options)
    if (!read_.contains(option.name))
      fail("has the option '{}', which ONNX has no counterpart of", option.name);
}

const Sizes& Call::sizes(std::size_t i) const {
  return exporter.value(input(i), str()).sizes;
}

std::string Call::in(std::size_t i) const {
  return exporter.natural(exporter.value(input(i), str()));
}

std::string Call::in_nchw(std::size_t i) const {
  return exporter.nchw(exporter.value(input(i), str()));
}

std::string Call::in_beside_nchw(std::size_t i) const {
  if (rank(i) == 4) return in_nchw(i);
  if (rank(i) == 0) return in(i);
  if (rank(i) == 1) return graph.node("Unsqueeze", {in(i), graph.integers({1, 2})});  // [c, 1, 1]
  Ints leading;
  for (int axis = 0; axis < 4 - rank(i); ++axis) leading.push_back(axis);
  return graph.transposed(graph.node("Unsqueeze", {in(i), graph.integers(leading)}), to_nchw());
}

bool Call::prefers_nchw(std::size_t i) const {
  if (rank(i) != 4) return false;
  const FileValue& value = exporter.value(input(i), str());
  return value.natural.empty() && !value.nchw.empty();
}

bool Call::any_prefers_nchw() const {
  if (rank() != 4) return false;
  for (std::size_t i = 0; i < inputs(); ++i)
    if (prefers_nchw(i)) return true;
  return false;
}

void Call::result(const std::string& name) {
  exporter.values[op_.output().key()] = {result_sizes(), name, ""};
}

void Call::result_nchw(const std::string& name) {
  exporter.values[op_.output().key()] = {result_sizes(), "", name};
}

const TwinOp* Call::only_use() const {
  const Key made = op_.output().key();
  const auto uses = exporter.runs.uses.find(made);
  if (uses == exporter.runs.uses.end() || uses->second.size() != 1) return nullptr;
  for (const Twin& output : exporter.runs.outputs)
    if (output.key() == made) return nullptr;
  return &exporter.runs.ops[uses->second[0]];
}

void Call::computes(const TwinOp& next) {
  FileValue value = exporter.values.at(op_.output().key());
  exporter.values[next.output().key()] = std::move(value);
  exporter.folded.insert(next.output().key());
}

void Call::bool_result(const std::string& name, bool is_nchw) {
  result(graph.cast(name, ElementType::UInt8), is_nchw);
}

std::string reshaped(Call& call, const std::string& x, const Sizes& from, const Sizes& to) {
  if (from == to) return x;
  Ints target;
  bool has_open = false, fits = true, has_zero = false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (!to[i].is_open()) {
      target.push_back(to[i].number);
      has_zero = has_zero || to[i].number == 0;
    } else if (i < from.size() && from[i] == to[i]) {
      target.push_back(0);  // as it is
    } else {
      fits = fits && !std::exchange(has_open, true);
      target.push_back(-1);
    }
  }
  if (has_zero)
    call.fail("has a result without elements (shape {}), which cannot be exported",
              call.first().output.shape());
  return call.node("Reshape", {x, fits ? call.graph.integers(target) : call.graph.sizes(to)});
}

}  // namespace tapegrad::inline v0::onnx
