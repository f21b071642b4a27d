#include "scenes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "tapegrad/base/random.h"

namespace unet_segmentation {
namespace {

using Rgb = std::array<double, 3>;

Rgb draw_colour(tg::Generator& generator) {
  return {generator.uniform(30, 225), generator.uniform(30, 225), generator.uniform(30, 225)};
}

struct Shape {
  std::int32_t kind;    // as in kClasses
  double x, y, radius;  // of the circle around it, before it is narrowed
  double cosine, sine;  // of the angle by which it is turned
  double narrowing;
  Rgb colour;

  bool covers(double at_x, double at_y) const {
    const double dx = at_x - x, dy = at_y - y;
    const double u = (cosine * dx + sine * dy) / radius;
    const double v = std::abs(cosine * dy - sine * dx) / radius * narrowing;  // all are symmetric
    if (kind == 1) return u * u + v * v < 1;
    if (kind == 2) return std::max(std::abs(u), v) < std::numbers::sqrt2 / 2;
    return std::max(-u, u / 2 + v * std::numbers::sqrt3 / 2) < 0.5;
  }
};

Shape draw_shape(tg::Generator& generator) {
  constexpr auto size = static_cast<double>(kSize);
  Shape shape{};
  shape.kind = 1 + static_cast<std::int32_t>(generator.integer(kClassCount - 1));
  shape.x = generator.uniform(0.15, 0.85) * size;
  shape.y = generator.uniform(0.15, 0.85) * size;
  shape.radius = generator.uniform(0.2, 0.33) * size;
  const double angle = generator.uniform(0, 2 * std::numbers::pi);
  shape.cosine = std::cos(angle);
  shape.sine = std::sin(angle);
  shape.narrowing = generator.uniform(1, 1.4);
  shape.colour = draw_colour(generator);
  return shape;
}

struct Scene {
  tg::Tensor image = tg::zeros({kSize, kSize, 3}, tg::DType::UInt8);
  tg::Tensor mask = tg::zeros({kSize, kSize}, tg::DType::Int32);
};

Scene draw_scene(tg::Generator generator) {
  const Rgb background = draw_colour(generator);
  std::vector<Shape> shapes;
  for (std::uint64_t left = 2 + generator.integer(2); left > 0; --left)
    shapes.push_back(draw_shape(generator));
  const tg::Tensor noise = tg::normal({kSize, kSize, 3}, 0, 12, generator);

  Scene scene;
  auto pixel = scene.image.mutable_values<std::uint8_t>().begin();
  auto kind = scene.mask.mutable_values<std::int32_t>().begin();
  auto grain = noise.values<float>().begin();
  for (tg::index_t y = 0; y < kSize; ++y)
    for (tg::index_t x = 0; x < kSize; ++x) {
      // The last shape that covers a pixel hides the others.
      const auto top = std::find_if(shapes.rbegin(), shapes.rend(), [&](const Shape& shape) {
        return shape.covers(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5);
      });
      *kind++ = top == shapes.rend() ? 0 : top->kind;
      for (const double channel : top == shapes.rend() ? background : top->colour)
        *pixel++ = static_cast<std::uint8_t>(std::clamp(channel + *grain++, 0.0, 255.0));
    }
  return scene;
}

}  // namespace

Scenes make_scenes(tg::index_t count, std::uint64_t seed) {
  const auto scene = [seed](tg::index_t i) {
    return draw_scene(tg::Generator(seed).child(static_cast<std::uint64_t>(i)));
  };
  return {
      tg::Samples({count, kSize, kSize, 3}, tg::DType::UInt8,
                  [scene](tg::index_t i) { return scene(i).image; }),
      tg::Samples({count, kSize, kSize}, tg::DType::Int32, [scene](tg::index_t i) { return scene(i).mask; })};
}

}  // namespace unet_segmentation
