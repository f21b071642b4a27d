#pragma once

// Conversions between images, which hold bytes, and tensors, which hold numbers in [0, 1] for a net.

#include "tapegrad/io/image.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The pixels divided by 255, [height, width, channels], Float32, as a Loader converts them. A net takes a batch of
/// images: expand_dims(to_tensor(image), 0), or stack() of several.
[[nodiscard]] Tensor to_tensor(const Image& image);

/// The image of a tensor [height, width, channels], [height, width] or [1, height, width, channels], with 1 or 3
/// channels. Float32 and Float64: 0 is black and 1 is full intensity; values are clamped to [0, 1] and rounded to the
/// nearest byte. UInt8: the bytes themselves. Throws for other shapes and dtypes, and for NaN.
[[nodiscard]] Image to_image(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
