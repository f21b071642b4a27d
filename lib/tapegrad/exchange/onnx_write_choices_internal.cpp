// How ops that choose elements by indices, or make indices, are written in ONNX.

#include "tapegrad/exchange/onnx_call_internal.h"
#include "tapegrad/ops/create.h"

namespace tapegrad::inline v0::onnx {
namespace {

void write_take_along(Call& call) {
  call.result(
      call.node("GatherElements", {call.in(1), call.in(0)}, {attribute("axis", std::int64_t{call.axis()})}));
}

void write_argsort(Call& call) {
  const int axis = call.axis();
  const Size size = call.sizes(0)[static_cast<std::size_t>(axis)];
  if (size.is_open()) call.fail("sorts along the batch, which cannot be exported");
  const auto sorted =
      call.graph.nodes("TopK", {call.in(0), call.graph.integers({size.number})}, 2,
                       {attribute("axis", std::int64_t{axis}),
                        attribute("largest", static_cast<std::int64_t>(call.number("descending"))),
                        attribute("sorted", std::int64_t{1})});
  call.result(call.graph.cast(sorted[1], ElementType::Int32));
}

void write_one_hot(Call& call) {
  // Of the types that ONNX allows, ONNX Runtime has INT32 and FLOAT.
  const Tensor off_and_on = tensor({0.0, 1.0});
  const std::string depth =
      call.graph.number(static_cast<double>(call.first().output.shape()[-1]), DType::Int32);
  const std::string hot = call.node("OneHot", {call.in(0), depth, call.graph.constant(off_and_on)},
                                    {attribute("axis", std::int64_t{-1})});
  call.result(call.dtype() == DType::Float32 ? hot : call.graph.cast(hot, element_type(call.dtype())));
}

// values instead of, or added to, elements of x.
void write_scatter(Call& call, bool adds) {
  if (call.inputs() != 3)
    call.fail("is the gradient of a choice of elements, which has no counterpart in ONNX");
  constexpr std::int64_t kAdds = 16;
  if (adds && call.graph.opset() < kAdds)
    call.fail("needs opset {} of ONNX, but opset = {} was asked for", kAdds, call.graph.opset());
  std::vector<AttributeProto> attributes = {attribute("axis", std::int64_t{call.axis()})};
  if (adds) attributes.push_back(attribute("reduction", "add"));
  call.result(call.node("ScatterElements", {call.in(0), call.in(1), call.in(2)}, attributes));
}

}  // namespace

void add_choices(OpTable& table) {
  table["take_along_axis"] = write_take_along;
  table["argsort"] = write_argsort;
  table["one_hot"] = write_one_hot;
  table["scatter"] = [](Call& call) { write_scatter(call, false); };
  table["scatter_add"] = [](Call& call) { write_scatter(call, true); };
}

}  // namespace tapegrad::inline v0::onnx
