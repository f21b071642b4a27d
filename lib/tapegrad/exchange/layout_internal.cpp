#include "tapegrad/exchange/layout_internal.h"

#include <algorithm>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/nn/oihw_internal.h"
#include "tapegrad/ops/layout.h"

namespace tapegrad::inline v0::detail {
namespace {

bool is_norm(const Module& module) {
  return is_a<BatchNorm>(module) || is_a<LayerNorm>(module) || is_a<GroupNorm>(module);
}

bool is_convolution(const Module& module) {
  return is_a<Conv2D>(module) || is_a<Conv2DTranspose>(module) || is_a<DepthwiseConv2D>(module);
}

std::string parent_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

// Where a module's features are flattened images: told by its inner modules, in their order.
struct Flattenings {
  explicit Flattenings(Module& module) {
    Visitor visitor([](const std::string&, Tensor&) {},
                    [&](const std::string& path, Module& inner) { add(path, inner); });
    module.visit(visitor);
  }

  std::vector<std::string> behind_flatten{}, before_reshape{};

 private:
  void add(const std::string& path, const Module& inner) {
    if (is_a<Flatten>(inner)) is_flat_ = true;
    if (is_convolution(inner)) is_flat_ = false;
    if (is_a<Reshape>(inner)) {
      before_reshape.insert(before_reshape.end(), since_dense_.begin(), since_dense_.end());
      is_flat_ = false;
    }
    const bool is_dense = is_a<Dense>(inner);
    if (is_flat_ && (is_dense || is_norm(inner))) behind_flatten.push_back(path);
    if (is_dense) is_flat_ = false;
    if (is_dense || is_convolution(inner) || is_a<Flatten>(inner) || is_a<Reshape>(inner))
      since_dense_.clear();
    if (is_dense || (is_norm(inner) && !since_dense_.empty())) since_dense_.push_back(path);
  }

  bool is_flat_ = false;
  std::vector<std::string> since_dense_;  // the last Dense, and the normalizations behind it
};

// Turns the features along an axis from [channels, height, width] to [height, width, channels], or back.
Tensor reordered(const Tensor& x, int axis, const Shape& image, bool to_ours) {
  index_t before = 1, behind = 1;
  for (int i = 0; i < axis; ++i) before *= x.shape()[i];
  for (int i = axis + 1; i < x.rank(); ++i) behind *= x.shape()[i];
  const Tensor apart =
      to_ours ? permute(reshape(x, {before, image[0], image[1], image[2], behind}), {0, 2, 3, 1, 4})
              : permute(reshape(x, {before, image[1], image[2], image[0], behind}), {0, 3, 1, 2, 4});
  return reshape(apart, x.shape());
}

Tensor with_images(const ModuleTensor& own, Tensor x, bool to_ours) {
  if (own.input_image.rank() == 3) x = reordered(x, 0, own.input_image, to_ours);
  if (own.output_image.rank() == 3) x = reordered(x, x.rank() - 1, own.output_image, to_ours);
  return x;
}

void require_told(std::string_view op, const std::vector<std::string>& needed,
                  const std::map<std::string, Shape>& told, std::string_view where, std::string_view option) {
  for (const std::string& path : needed)
    if (!told.contains(path))
      fail(
          op,
          "'{}' stands {}, which PyTorch lays out channels first: tell the shape of the images there, {{.{} = {{{{\"{}\", "
          "{{channels, height, width}}}}}}}} ({{features, 1, 1}} if they are no images)",
          path, where, option, path);
}

// The images of the layer, whose features must be as many.
Shape image_of(std::string_view op, const std::map<std::string, Shape>& told, const std::string& path,
               index_t features) {
  const auto found = told.find(path);
  if (found == told.end()) return {};
  const Shape& image = found->second;
  if (image.rank() != 3 || image.size() != features)
    fail(
        op,
        "'{}' has {} features there; the images must be [channels, height, width] of as many elements, got {}",
        path, features, image);
  return image;
}

}  // namespace

bool ModuleTensor::is_generator() const {
  return is_a<Dropout>(*owner);
}

std::vector<ModuleTensor> tensors_of(Module& module) {
  std::map<std::string, const Module*> modules = {{"", &module}};
  std::vector<ModuleTensor> found;
  Visitor visitor(
      [&](const std::string& path, Tensor& tensor) {
        const std::size_t begin = path.rfind('.') + 1;  // of the last name; npos + 1 is 0
        found.push_back(
            {.path = path,
             .pytorch_path = path.substr(0, begin).append(pytorch_name(std::string_view(path).substr(begin))),
             .tensor = tensor,
             .owner = modules.at(parent_of(path))});
      },
      [&](const std::string& path, Module& inner) { modules[path] = &inner; });
  module.visit(visitor);
  return found;
}

std::vector<ModuleTensor> tensors_of(std::string_view op, Module& module, const ImageShapes& images) {
  const Flattenings flattenings(module);
  require_told(op, flattenings.behind_flatten, images.flattened, "behind a Flatten", "flattened");
  require_told(op, flattenings.before_reshape, images.unflattened, "in front of a Reshape", "unflattened");
  std::vector<ModuleTensor> found = tensors_of(module);
  for (ModuleTensor& own : found) {
    const bool is_dense = is_a<Dense>(*own.owner);
    const std::string layer = parent_of(own.path);
    if ((is_dense && own.tensor.rank() == 2) || (is_norm(*own.owner) && own.tensor.rank() == 1))
      own.input_image = image_of(op, images.flattened, layer, own.tensor.shape()[0]);
    if (is_dense || (is_norm(*own.owner) && own.tensor.rank() == 1))
      own.output_image = image_of(op, images.unflattened, layer, own.tensor.shape()[own.tensor.rank() - 1]);
  }
  const auto require_used = [&](const std::map<std::string, Shape>& told, Shape ModuleTensor::*image,
                                std::string_view kind) {
    for (const auto& entry : told) {
      const auto is_layer = [&](const ModuleTensor& own) {
        return parent_of(own.path) == entry.first && (own.*image).rank() == 3;
      };
      if (std::ranges::none_of(found, is_layer))
        fail(op, "the module has no {} called '{}', whose images are told to be {}", kind, entry.first,
             entry.second);
    }
  };
  require_used(images.flattened, &ModuleTensor::input_image, "Dense or normalization");
  require_used(images.unflattened, &ModuleTensor::output_image, "Dense or normalization");
  return found;
}

Tensor from_pytorch(const ModuleTensor& own, const Tensor& given, std::string& done) {
  const Tensor turned = from_oihw(*own.owner, own.path, own.tensor, given);
  if (own.tensor.rank() == 4 && TensorAccess::storage(turned) != TensorAccess::storage(given))
    done += ", OIHW to HWIO";
  if (own.tensor.rank() == 2 && is_a<Dense>(*own.owner)) done += ", transposed";
  if (turned.shape() != own.tensor.shape()) return turned;
  if (own.input_image.rank() == 3 || own.output_image.rank() == 3) done += ", channels last";
  return with_images(own, turned, true);
}

Tensor to_pytorch(const ModuleTensor& own) {
  const Tensor x = with_images(own, own.tensor, false);
  const Shape& shape = x.shape();
  if (x.rank() == 2 && is_a<Dense>(*own.owner)) return transpose(x);
  if (x.rank() != 4 || !is_convolution(*own.owner)) return x;
  if (is_a<DepthwiseConv2D>(*own.owner))
    return permute(reshape(x, {shape[0], shape[1], 1, shape[2] * shape[3]}), {3, 2, 0, 1});
  return permute(x, {3, 2, 0, 1});
}

}  // namespace tapegrad::inline v0::detail
