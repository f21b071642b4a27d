#pragma once

// Images as tensors, and back: what read_image() gives is bytes, what a net takes is numbers in [0, 1].

#include "tapegrad/io/image.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The pixels divided by 255, [height, width, channels], Float32, as a Loader makes them. A net takes a batch:
/// expand_dims(to_tensor(image), 0), or stack() of several.
[[nodiscard]] Tensor to_tensor(const Image& image);

/// The picture of a tensor [height, width, channels], [height, width] or [1, height, width, channels], of 1 or 3
/// channels. Float32 and Float64: 0 is black and 1 is full light, what lies outside is cut off, and between
/// bytes the nearest one is taken. UInt8: the bytes themselves. Throws for another shape or dtype, and for NaN.
[[nodiscard]] Image to_image(const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
