// How losses are written in ONNX: as what they are made of.

#include "tapegrad/exchange/onnx_call_internal.h"
#include "tapegrad/nn/losses.h"

namespace tapegrad::inline v0::onnx {
namespace {

// The single losses, reduced to the result.
void reduce(Call& call, const std::string& losses) {
  const auto reduction = static_cast<Reduction>(call.number("reduction"));
  if (reduction == Reduction::PerElement) return call.result(losses);
  const AttributeProto keepdims = attribute("keepdims", std::int64_t{0});
  call.result(call.node(reduction == Reduction::Mean ? "ReduceMean" : "ReduceSum", {losses}, {keepdims}));
}

// (prediction - target)^2
void write_mse(Call& call) {
  const std::string off = call.node("Sub", {call.in(0), call.in(1)});
  reduce(call, call.node("Mul", {off, off}));
}

// softplus(logits) - target logits
void write_logistic(Call& call) {
  const std::string logits = call.in(0);
  reduce(call, call.node("Sub", {call.node("Softplus", {logits}), call.node("Mul", {logits, call.in(1)})}));
}

// Of labels: (1 - s) (-log p[label]) + s (-mean(log p)), with the label smoothing s.
void write_cross_entropy(Call& call) {
  Graph& graph = call.graph;
  const double smoothing = call.number("label_smoothing");
  const std::int64_t last = call.rank(1) - 1;
  const std::string logs = call.node("LogSoftmax", {call.in(1)}, {attribute("axis", last)});
  const std::string labels = call.node("Unsqueeze", {call.in(0), graph.integers({last})});
  const std::string chosen = call.node("GatherElements", {logs, labels}, {attribute("axis", last)});
  std::string losses = call.node("Neg", {call.node("Squeeze", {chosen, graph.integers({last})})});
  if (smoothing != 0) {
    const std::string mean = call.node(
        "ReduceMean", {logs}, {attribute("axes", Ints{last}), attribute("keepdims", std::int64_t{0})});
    losses = call.node("Sub", {call.node("Mul", {losses, call.constant(1 - smoothing)}),
                               call.node("Mul", {mean, call.constant(smoothing)})});
  }
  reduce(call, losses);
}

}  // namespace

void add_losses(OpTable& table) {
  table["mse_loss"] = write_mse;
  table["binary_cross_entropy_with_logits"] = write_logistic;
  table["cross_entropy"] = write_cross_entropy;
}

}  // namespace tapegrad::inline v0::onnx
