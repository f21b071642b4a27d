#include "tapegrad/io/image_tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "refuses.h"

namespace tapegrad::testing {
namespace {

TEST(ImageTensor, PixelsAreNumbersFromZeroToOne) {
  Image image(2, 3, 3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 15);
  const Tensor x = to_tensor(image);
  EXPECT_EQ(x.shape().str(), "[2, 3, 3]");
  EXPECT_EQ(x.dtype(), DType::Float32);
  EXPECT_EQ(x.at({0, 0, 1}), static_cast<double>(15.0F / 255.0F));
  EXPECT_EQ(x.at({1, 2, 2}), 1);
  const Image back = to_image(x);
  EXPECT_EQ(back.pixels, image.pixels);
  EXPECT_EQ(back.height, 2);
  EXPECT_EQ(back.width, 3);
  EXPECT_EQ(back.channels, 3);
}

// All 256 values come back.
TEST(ImageTensor, EveryByteComesBack) {
  Image image(16, 16, 1);
  for (std::size_t i = 0; i < 256; ++i) image.pixels[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(to_image(to_tensor(image)).pixels, image.pixels);
}

TEST(ImageTensor, ShapesAndRanges) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Image image = to_image(tensor({{-1, 0.5, 2}, {infinity, -infinity, 0.998}}));
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{0, 128, 255, 255, 0, 254}));
  EXPECT_EQ(to_image(full({1, 2, 3, 1}, 1, DType::Float64)).pixels, std::vector<std::uint8_t>(6, 255));
  EXPECT_EQ(to_image(full({2, 3, 1}, 7, DType::UInt8)).pixels, std::vector<std::uint8_t>(6, 7));
  EXPECT_TRUE(refuses("to_image", {"[3, 28, 28]", "channels"}, [] { to_image(ones({3, 28, 28})); }));
  EXPECT_TRUE(refuses("to_image", {"[2, 4, 4, 1]"}, [] { to_image(ones({2, 4, 4, 1})); }));
  EXPECT_TRUE(refuses("to_image", {"[4]"}, [] { to_image(ones({4})); }));
  EXPECT_TRUE(refuses("to_image", {"[0, 4]", "1 to"}, [] { to_image(ones({0, 4})); }));
  EXPECT_TRUE(refuses("to_image", {"[4, 0, 3]", "1 to"}, [] { to_image(ones({4, 0, 3})); }));
  EXPECT_TRUE(refuses("to_image", {"Int32"}, [] { to_image(ones({2, 2}, DType::Int32)); }));
  EXPECT_TRUE(refuses("to_image", {"NaN"}, [] {
    to_image(full({2, 2}, std::numeric_limits<double>::quiet_NaN()));
  }));
  Image broken(2, 2, 1);
  broken.pixels.pop_back();
  EXPECT_TRUE(refuses("to_tensor", {"[2, 2, 1]", "got 3"}, [&] { to_tensor(broken); }));
}

}  // namespace
}  // namespace tapegrad::testing
