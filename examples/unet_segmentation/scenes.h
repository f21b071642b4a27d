#pragma once

#include <cstdint>

#include "tapegrad/data/samples.h"

namespace unet_segmentation {

namespace tg = tapegrad;

/// What a pixel may show.
inline constexpr const char* kClasses[] = {"background", "ellipse", "rectangle", "triangle"};
inline constexpr tg::index_t kClassCount = 4;
inline constexpr tg::index_t kSize = 32;  ///< pixels along each side of an image

/// Noisy pictures of ellipses, rectangles and triangles that cover each other, and what each pixel shows. A
/// colour says nothing about the kind of a shape.
struct Scenes {
  tg::Samples images;  ///< UInt8, [n, kSize, kSize, 3]
  tg::Samples masks;   ///< Int32, [n, kSize, kSize], numbers in kClasses
};

/// Scenes that are drawn when they are read: scene i is a function of the seed and of i alone.
Scenes make_scenes(tg::index_t count, std::uint64_t seed);

}  // namespace unet_segmentation
