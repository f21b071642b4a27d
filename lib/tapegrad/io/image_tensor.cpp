#include "tapegrad/io/image_tensor.h"

#include <algorithm>
#include <cmath>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {
namespace {

std::uint8_t byte_of(double value) {
  if (std::isnan(value)) fail("to_image", "the elements must be numbers, got NaN");
  return static_cast<std::uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
}

}  // namespace

Tensor to_tensor(const Image& image) {
  const Shape shape = {image.height, image.width, image.channels};
  if (static_cast<index_t>(image.pixels.size()) != shape.size())
    fail("to_tensor", "an image of shape {} must have {} bytes of pixels, got {}", shape, shape.size(),
         image.pixels.size());
  Tensor x = TensorAccess::empty(shape, DType::Float32, "to_tensor");
  // A division, as the Loader's: a product with 1 / 255 is another number.
  std::ranges::transform(image.pixels, x.mutable_data<float>(),
                         [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  return x;
}

Image to_image(const Tensor& x) {
  if (!x.defined()) fail("to_image", "x was never given a value");
  const Shape& shape = x.shape();
  const int first = shape.rank() == 4 && shape[0] == 1 ? 1 : 0;
  const int rank = shape.rank() - first;
  const index_t channels = rank == 3 ? shape[-1] : 1;
  if ((rank != 2 && rank != 3) || (channels != 1 && channels != 3))
    fail("to_image", "takes [height, width, channels] with 1 or 3 channels, or [height, width], got shape {}",
         shape);
  if (x.dtype() == DType::Int32)
    fail("to_image", "takes Float32, Float64 or UInt8, got {} {}: convert with cast()", x.dtype(), shape);
  constexpr index_t kMost = index_t{1} << 28;  // as Image
  if (shape.size() < 1 || shape.size() > kMost)
    fail("to_image", "an image must have 1 to {} elements, got shape {}", kMost, shape);
  Image image(static_cast<int>(shape[first]), static_cast<int>(shape[first + 1]), static_cast<int>(channels));
  dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
    std::ranges::transform(x.values<T>(), image.pixels.begin(), [](T value) {
      if constexpr (std::is_same_v<T, std::uint8_t>)
        return value;
      else
        return byte_of(static_cast<double>(value));
    });
  });
  return image;
}

}  // namespace tapegrad::inline v0
