#include "tapegrad/nn/oihw_internal.h"

#include <array>
#include <map>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::detail {

std::string_view pytorch_name(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames{
      {{"kernel", "weight"},
       {"embeddings", "weight"},
       {"gamma", "weight"},
       {"beta", "bias"},
       {"moving_mean", "running_mean"},
       {"moving_variance", "running_var"}}};
  for (const auto& [own, other] : kNames)
    if (own == name) return other;
  return name;
}

// The filter of a convolution is [out, in / groups, kh, kw] there, that of a transposed one [in, out /
// groups, kh, kw]: turned around, both are ours. A depthwise filter has its two channel axes in one.
//
// A tensor of rank 4 in a module of the user's may be a filter or anything else: its shape tells, unless all sizes are equal.
Tensor from_oihw(const Module& owner, const std::string& path, const Tensor& own, const Tensor& given) {
  if (own.rank() == 4 && given.rank() == 4) {
    const Tensor turned = permute(given, {2, 3, 1, 0});
    const bool depthwise = is_a<DepthwiseConv2D>(owner);
    const bool filter = depthwise || is_a<Conv2D>(owner) || is_a<Conv2DTranspose>(owner);
    const Shape& shape = own.shape();
    if (!filter && shape == given.shape()) {
      if (shape == turned.shape())
        fail(
            "load_state",
            "'{}' of shape {} may be a filter of PyTorch, whose axes must be permuted, or another tensor: hold a filter "
            "in a Conv2D, or convert filters with oihw_to_hwio() and load the state without Layout::OIHW",
            path, shape);
      return given;
    }
    return depthwise && turned.shape() == Shape{shape[0], shape[1], 1, shape[2] * shape[3]}
               ? reshape(turned, shape)
               : turned;
  }
  if (own.rank() == 2 && given.rank() == 2 && is_a<Dense>(owner)) return transpose(given);
  return given;
}

State from_oihw(Module& module, const State& state) {
  State made;
  std::map<std::string, const Module*> modules = {{"", &module}};
  std::map<std::string, std::pair<std::string, Tensor>> renamed;  // by PyTorch's name
  Visitor visitor(
      [&](const std::string& path, Tensor& tensor) {
        const std::size_t begin = path.rfind('.') + 1;  // of the last name; npos + 1 is 0
        const std::string outer = path.substr(0, begin == 0 ? 0 : begin - 1);
        const std::string other =
            path.substr(0, begin).append(pytorch_name(std::string_view(path).substr(begin)));
        const Tensor* given = state.find(path);
        const std::string& name = given != nullptr ? path : other;
        if (given == nullptr) given = state.find(other);
        if (given == nullptr && is_a<Dropout>(*modules.at(outer)))
          made.tensors.emplace_back(path, tensor);  // a generator's position, which PyTorch does not save
        if (given != nullptr) renamed[name] = {path, from_oihw(*modules.at(outer), path, tensor, *given)};
      },
      [&](const std::string& path, Module& inner) { modules[path] = &inner; });
  module.visit(visitor);

  for (const auto& [name, tensor] : state.tensors) {
    if (name.ends_with("num_batches_tracked"))
      continue;  // BatchNorm counts there; nothing depends on it here
    const auto found = renamed.find(name);
    made.tensors.push_back(found == renamed.end() ? std::pair(name, tensor) : found->second);
  }
  return made;
}

}  // namespace tapegrad::inline v0::detail
