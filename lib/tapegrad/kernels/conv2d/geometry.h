#pragma once

// From options and shapes to a checked geometry.

#include <optional>
#include <string_view>

#include "tapegrad/base/window.h"
#include "tapegrad/version.h"

namespace tapegrad::inline v0 {

/// The geometry of conv2d(x, w, options). Throws an Error of op that names both shapes when channels or
/// groups do not fit, a stride or dilation is below 1, a rank is not 4, or the filter does not fit into the
/// padded image.
Conv2DGeometry resolve_conv2d(std::string_view op, const Shape& x, const Shape& w,
                              const Conv2DOptions& options);

/// The geometry of the conv2d that conv2d_transpose(x, w) is the transpose of: from its output, with w of
/// shape [kh, kw, out / groups, in], back to x. The output's height and width come from output_size, or from
/// output_padding, or are the natural ones (see conv2d_transpose). Throws as resolve_conv2d, and when no
/// convolution leads from the asked size back to x's: the message lists the sizes that do.
Conv2DGeometry resolve_conv2d_transpose(std::string_view op, const Shape& x, const Shape& w,
                                        const Conv2DOptions& options,
                                        const std::optional<Size2D>& output_size,
                                        const std::optional<Size2D>& output_padding);

}  // namespace tapegrad::inline v0
