#include <gtest/gtest.h>

#include <functional>
#include <string_view>
#include <vector>

#include "refuses.h"
#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {
namespace {

// A wrong call, the function that must refuse it, and what its message must say: what is wrong, both shapes
// with their layouts, and the way out.
struct WrongCall {
  std::string_view what, op;
  std::vector<std::string_view> words;
  std::function<void()> call;
};

class Conv2DErrors : public ::testing::Test {
 protected:
  static void check(const std::vector<WrongCall>& calls) {
    for (const WrongCall& wrong : calls)
      for (const std::string_view word : wrong.words)
        EXPECT_TRUE(refuses(wrong.op, {word}, wrong.call)) << wrong.what;
  }
  static Tensor image(index_t channels = 1) { return ones({1, 5, 5, channels}); }
  static Tensor filter(index_t in = 1, index_t out = 1) { return ones({3, 3, in, out}); }
  static Tensor small() { return ones({1, 2, 2, 1}); }
};

constexpr index_t kHuge = 2147483646;

TEST_F(Conv2DErrors, Convolution) {
  check({
      {"channels",
       "conv2d",
       {"input has 3 channels (x: [1, 5, 5, 3], NHWC)", "the filter takes 2 (w: [3, 3, 2, 4], HWIO)"},
       [] { (void)conv2d(image(3), filter(2, 4)); }},
      {"an NCHW image",
       "conv2d",
       {"input has 28 channels (x: [4, 1, 28, 28], NHWC)", "if x is NCHW, convert it with nchw_to_nhwc(x)"},
       [] {
         (void)conv2d(ones({4, 1, 28, 28}), filter(1, 8));
       }},
      {"an NCHW image of several groups",
       "conv2d",
       {"28 input channels cannot be cut into 3 groups", "if x is NCHW, convert it with nchw_to_nhwc(x)"},
       [] {
         (void)conv2d(ones({4, 3, 28, 28}), filter(1, 3), {.groups = 3});
       }},
      {"an OIHW filter",
       "conv2d",
       {"input has 4 channels", "the filter takes 3", "if w is OIHW, convert it with oihw_to_hwio(w)"},
       [] {
         (void)conv2d(image(4), ones({16, 4, 3, 3}));
       }},
      {"an NCHW image and an OIHW filter",
       "conv2d",
       {"if x is NCHW, convert it with nchw_to_nhwc(x); if w is OIHW, convert it with oihw_to_hwio(w)"},
       [] {
         (void)conv2d(ones({4, 1, 28, 28}), ones({16, 1, 3, 3}));
       }},
      {"an NCHW image given to the gradients",
       "conv2d_backprop_filter",
       {"if x is NCHW, convert it with nchw_to_nhwc(x)"},
       [] {
         (void)conv2d_backprop_filter(ones({4, 1, 28, 28}), {3, 3, 1, 8}, ones({4, 26, 26, 8}));
       }},
      {"channels of each group",
       "conv2d",
       {"has 4 channels (x: [1, 5, 5, 4], NHWC)", "takes 2, 1 in each of 2 groups (w: [3, 3, 1, 4], HWIO)"},
       [] { (void)conv2d(image(4), filter(1, 4), {.groups = 2}); }},
      {"groups of the input",
       "conv2d",
       {"3 input channels cannot be cut into 2 groups", "x: [1, 5, 5, 3], NHWC", "w: [3, 3, 1, 4], HWIO"},
       [] { (void)conv2d(image(3), filter(1, 4), {.groups = 2}); }},
      {"groups of the output",
       "conv2d",
       {"3 output channels cannot be cut into 2 groups", "x: [1, 5, 5, 4], NHWC", "w: [3, 3, 2, 3], HWIO"},
       [] { (void)conv2d(image(4), filter(2, 3), {.groups = 2}); }},
      {"groups 0",
       "conv2d",
       {"groups is 0", "at least 1", "[1, 5, 5, 1], NHWC", "[3, 3, 1, 1], HWIO"},
       [] { (void)conv2d(image(), filter(), {.groups = 0}); }},
      {"groups -2",
       "conv2d",
       {"groups is -2", "at least 1"},
       [] { (void)conv2d(image(), filter(), {.groups = -2}); }},
      {"stride 0",
       "conv2d",
       {"strides are 0 x 1", "at least 1", "x: [1, 5, 5, 1], NHWC", "w: [3, 3, 1, 1], HWIO"},
       [] {
         (void)conv2d(image(), filter(), {.strides = {0, 1}});
       }},
      {"stride -1",
       "conv2d",
       {"strides are 1 x -1", "at least 1"},
       [] {
         (void)conv2d(image(), filter(), {.strides = {1, -1}});
       }},
      {"dilation 0",
       "conv2d",
       {"dilations are 1 x 0", "at least 1", "x: [1, 5, 5, 1], NHWC", "w: [3, 3, 1, 1], HWIO"},
       [] {
         (void)conv2d(image(), filter(), {.dilations = {1, 0}});
       }},
      {"no taps",
       "conv2d",
       {"no taps", "w: [0, 3, 1, 1], HWIO", "x: [1, 5, 5, 1], NHWC", "at least 1"},
       [] {
         (void)conv2d(image(), ones({0, 3, 1, 1}));
       }},
      {"filter taller than the image",
       "conv2d",
       {"larger than the image", "height is 3", "x: [1, 2, 5, 1], NHWC", "w: [3, 3, 1, 1], HWIO", "VALID",
        "pad more, or use a smaller filter"},
       [] {
         (void)conv2d(ones({1, 2, 5, 1}), filter());
       }},
      {"dilated filter wider than the padded image",
       "conv2d",
       {"larger than the image", "width is 9", "5 + 1 + 2", "EXPLICIT{0,0,1,2}"},
       [] {
         (void)conv2d(image(), filter(), {.padding = Padding::Explicit(0, 0, 1, 2), .dilations = {1, 4}});
       }},
      {"an image of three axes",
       "conv2d",
       {"3 axes", "x: [5, 5, 1]", "w: [3, 3, 1, 1]", "NHWC", "reshape"},
       [] {
         (void)conv2d(ones({5, 5, 1}), filter());
       }},
      {"a filter of three axes",
       "conv2d",
       {"3 axes", "w: [3, 3, 1]", "x: [1, 5, 5, 1]", "HWIO", "reshape"},
       [] {
         (void)conv2d(image(), ones({3, 3, 1}));
       }},
      {"mixed dtypes",
       "conv2d",
       {"x is Float32 [1, 5, 5, 1]", "w is Float64 [3, 3, 1, 1]", "convert one with cast()"},
       [] { (void)conv2d(image(), cast(filter(), DType::Float64)); }},
      {"whole numbers",
       "conv2d",
       {"Float32 or Float64, not Int32", "[1, 5, 5, 1]", "[3, 3, 1, 1]", "cast()"},
       [] { (void)conv2d(cast(image(), DType::Int32), cast(filter(), DType::Int32)); }},
      {"too many elements",
       "conv2d",
       {"too large", "w: [2, 2, 1, 1]"},
       [] {
         (void)conv2d(image(), ones({2, 2, 1, 1}), {.padding = Padding::Full, .dilations = kHuge});
       }},
      {"a stride that no index can hold",
       "conv2d",
       {"too large", "stride 4611686018427387904"},
       [] { (void)conv2d(image(), filter(), {.strides = index_t{1} << 62}); }},
      {"negative padding",
       "padding",
       {"top 0, bottom -1, left 2, right 0", "0 to"},
       [] { (void)Padding::Explicit(0, -1, 2, 0); }},
      {"negative padding on both sides",
       "padding",
       {"left -1, right -1"},
       [] {
         (void)Padding::Explicit({0, -1});
       }},
  });
}

TEST_F(Conv2DErrors, Gradients) {
  check({
      {"dy of another size",
       "conv2d_backprop_input",
       {"dy has shape [1, 4, 3, 2] (NHWC)", "x: [1, 5, 5, 1] (NHWC)", "w: [3, 3, 1, 2] (HWIO)",
        "[1, 3, 3, 2]"},
       [] {
         (void)conv2d_backprop_input({1, 5, 5, 1}, filter(1, 2), ones({1, 4, 3, 2}));
       }},
      {"dy of another batch",
       "conv2d_backprop_filter",
       {"dy has shape [2, 3, 3, 2] (NHWC)", "x: [1, 5, 5, 1] (NHWC)", "w: [3, 3, 1, 2] (HWIO)",
        "[1, 3, 3, 2]"},
       [] {
         (void)conv2d_backprop_filter(image(), {3, 3, 1, 2}, ones({2, 3, 3, 2}));
       }},
      {"an image shape of three axes",
       "conv2d_backprop_input",
       {"3 axes", "[5, 5, 1]", "NHWC"},
       [] {
         (void)conv2d_backprop_input({5, 5, 1}, filter(), ones({1, 3, 3, 1}));
       }},
      {"a filter shape of other channels",
       "conv2d_backprop_filter",
       {"1 channels (x: [1, 5, 5, 1], NHWC)", "takes 2 (w: [3, 3, 2, 1], HWIO)"},
       [] {
         (void)conv2d_backprop_filter(image(), {3, 3, 2, 1}, ones({1, 3, 3, 1}));
       }},
      {"mixed dtypes",
       "conv2d_backprop_filter",
       {"x is Float32", "dy is Float64", "cast()"},
       [] {
         (void)conv2d_backprop_filter(image(), {3, 3, 1, 1}, ones({1, 3, 3, 1}, DType::Float64));
       }},
      {"mixed dtypes",
       "conv2d_backprop_input",
       {"dy is Float64", "w is Float32", "cast()"},
       [] {
         (void)conv2d_backprop_input({1, 5, 5, 1}, filter(), ones({1, 3, 3, 1}, DType::Float64));
       }},
  });
}

Tensor transposed_to(const Tensor& x, const Tensor& w, const std::vector<index_t>& output_shape,
                     Padding padding = Padding::Valid) {
  return conv2d_transpose(x, w, {.strides = 2, .padding = padding, .output_shape = output_shape});
}

Tensor transposed_by(const Tensor& w, Size2D output_padding, Padding padding = Padding::Same) {
  return conv2d_transpose(ones({1, 2, 2, 1}), w,
                          {.strides = 2, .padding = padding, .output_padding = output_padding});
}

TEST_F(Conv2DErrors, Transpose) {
  check({
      {"channels",
       "conv2d_transpose",
       {"input has 3 channels (x: [1, 2, 2, 3], NHWC)", "takes 1 (w: [3, 3, 2, 1], HWOI"},
       [] {
         (void)conv2d_transpose(ones({1, 2, 2, 3}), filter(2, 1));
       }},
      {"an NCHW image",
       "conv2d_transpose",
       {"input has 7 channels", "takes 3", "if x is NCHW, convert it with nchw_to_nhwc(x)"},
       [] {
         (void)conv2d_transpose(ones({1, 3, 7, 7}), ones({3, 3, 8, 3}));
       }},
      {"an IOHW filter",
       "conv2d_transpose",
       {"input has 8 channels", "takes 3", "if w is IOHW, convert it with iohw_to_hwoi(w)"},
       [] {
         (void)conv2d_transpose(ones({1, 4, 4, 8}), ones({8, 2, 3, 3}));
       }},
      {"an NCHW image of a fused layer",
       "Conv2D",
       {"if x is NCHW, convert it with nchw_to_nhwc(x)"},
       [] {
         (void)fused_conv2d(ones({4, 1, 28, 28}), filter(1, 8), Tensor(), {.op = "Conv2D"});
       }},
      {"groups of the input",
       "conv2d_transpose",
       {"3 input channels cannot be cut into 2 groups", "[1, 2, 2, 3], NHWC", "[3, 3, 1, 3], HWOI"},
       [] {
         (void)conv2d_transpose(ones({1, 2, 2, 3}), filter(1, 3), {.groups = 2});
       }},
      {"stride 0",
       "conv2d_transpose",
       {"strides are 0 x 0", "NHWC", "HWOI"},
       [] { (void)conv2d_transpose(small(), filter(), {.strides = 0}); }},
      {"no taps",
       "conv2d_transpose",
       {"no taps", "[3, 0, 1, 1], HWOI"},
       [] {
         (void)conv2d_transpose(small(), ones({3, 0, 1, 1}));
       }},
      {"too tall",
       "conv2d_transpose",
       {"output_shape", "height of 7", "kernel 3", "stride 2", "VALID", "back to 2", "x: [1, 2, 2, 1], NHWC",
        "w: [3, 3, 1, 1], HWOI", "possible are 5 to 6"},
       [] {
         transposed_to(small(), filter(), {1, 7, 5, 1});
       }},
      {"too narrow",
       "conv2d_transpose",
       {"width of 2", "SAME", "possible are 3 to 4"},
       [] {
         transposed_to(small(), filter(), {4, 2}, Padding::Same);
       }},
      {"stride 1 leaves one size",
       "conv2d_transpose",
       {"the only possible one is 4"},
       [] {
         (void)conv2d_transpose(small(), filter(), {.output_shape = {{5, 5}}});
       }},
      {"a negative size",
       "conv2d_transpose",
       {"height of -1", "possible are 3 to 4"},
       [] {
         transposed_to(small(), filter(), {1, -1, -1, 1}, Padding::Same);
       }},
      {"more padding than there is",
       "conv2d_transpose",
       {"width of -1", "EXPLICIT{0,0,2,2}", "there is none"},
       [] {
         (void)conv2d_transpose(ones({1, 3, 1, 1}), filter(), {.padding = Padding::Explicit(0, 0, 2, 2)});
       }},
      {"output_shape of three numbers",
       "conv2d_transpose",
       {"output_shape [5, 5, 1]", "[height, width] or [batch, height, width, channels]", "[1, 2, 2, 1], NHWC",
        "[3, 3, 1, 1], HWOI"},
       [] {
         transposed_to(small(), filter(), {5, 5, 1});
       }},
      {"output_shape of no numbers",
       "conv2d_transpose",
       {"output_shape []", "[height, width]"},
       [] { transposed_to(small(), filter(), {}); }},
      {"another batch",
       "conv2d_transpose",
       {"output_shape [2, 5, 5, 1]", "x: [1, 2, 2, 1] (NHWC)", "w: [3, 3, 1, 1] (HWOI)", "batch of 1"},
       [] {
         transposed_to(small(), filter(), {2, 5, 5, 1});
       }},
      {"other channels",
       "conv2d_transpose",
       {"output_shape [1, 5, 5, 3]", "2 channels"},
       [] {
         transposed_to(small(), filter(2, 1), {1, 5, 5, 3});
       }},
      {"output_shape and output_padding",
       "conv2d_transpose",
       {"output_shape and output_padding were both given", "[1, 2, 2, 1], NHWC", "[3, 3, 1, 1], HWOI",
        "leave one out"},
       [] {
         (void)conv2d_transpose(small(), filter(),
                                {.strides = 2, .output_shape = {{5, 5}}, .output_padding = 0});
       }},
      {"output_padding of a whole stride",
       "conv2d_transpose",
       {"output_padding is 2 along the width", "0 to 1", "NHWC", "HWOI", "leave output_padding out",
        "output_shape"},
       [] {
         transposed_by(filter(), {1, 2});
       }},
      {"negative output_padding",
       "conv2d_transpose",
       {"output_padding is -1 along the height", "0 to 1"},
       [] {
         transposed_by(filter(), {-1, 0});
       }},
      {"output_padding 0 with Same and an even kernel",
       "conv2d_transpose",
       {"output_padding asks for an output height of 2", "possible are 3 to 4", "leave output_padding out",
        "give one of these as output_shape"},
       [] {
         transposed_by(ones({2, 2, 1, 1}), 0);
       }},
      {"mixed dtypes",
       "conv2d_transpose",
       {"x is Float32", "w is Float64", "cast()"},
       [] { (void)conv2d_transpose(small(), cast(filter(), DType::Float64)); }},
      {"an image of two axes",
       "conv2d_transpose",
       {"2 axes", "x: [2, 2]", "NHWC", "reshape"},
       [] {
         (void)conv2d_transpose(ones({2, 2}), filter());
       }},
      {"too many elements",
       "conv2d_transpose",
       {"too large", "w: [3, 3, 1, 1]"},
       [] { (void)conv2d_transpose(image(), filter(), {.strides = kHuge}); }},
  });
}

TEST_F(Conv2DErrors, WindowsMatricesAndLayouts) {
  check({
      {"groups", "unfold", {"groups must be 1", "got 2"}, [] { (void)unfold(image(2), 3, {.groups = 2}); }},
      {"no kernel",
       "unfold",
       {"no taps", "[1, 5, 5, 1], NHWC"},
       [] {
         (void)unfold(image(), {0, 3});
       }},
      {"kernel larger than the image",
       "unfold",
       {"larger than the image", "pad more"},
       [] { (void)unfold(image(), 6); }},
      {"a single image",
       "unfold",
       {"3 axes", "[5, 5, 1]", "NHWC"},
       [] {
         (void)unfold(ones({5, 5, 1}), 3);
       }},
      {"whole numbers",
       "unfold",
       {"not UInt8", "cast()"},
       [] {
         (void)unfold(zeros({1, 5, 5, 1}, DType::UInt8), 3);
       }},
      {"columns of another kernel",
       "fold",
       {"[1, 3, 3, 4]", "[1, 5, 5, 1] (NHWC)", "[1, 3, 3, 9]"},
       [] {
         (void)fold(ones({1, 3, 3, 4}), {1, 5, 5, 1}, 3);
       }},
      {"columns of another stride",
       "fold",
       {"[1, 3, 3, 9]", "[1, 2, 2, 9]"},
       [] {
         (void)fold(ones({1, 3, 3, 9}), {1, 5, 5, 1}, 3, {.strides = 2});
       }},
      {"a filter of another geometry",
       "conv2d_matrix",
       {"[2, 2, 1, 1] (HWIO)", "[3, 3, 1, 1]"},
       [] {
         (void)conv2d_matrix(ones({2, 2, 1, 1}), conv2d_geometry({1, 5, 5, 1}, {3, 3, 1, 1}, {}));
       }},
      {"a matrix",
       "nhwc_to_nchw",
       {"[batch, height, width, channels]", "[5, 5]"},
       [] {
         (void)nhwc_to_nchw(ones({5, 5}));
       }},
      {"a matrix",
       "nchw_to_nhwc",
       {"[batch, channels, height, width]", "[5, 5]"},
       [] {
         (void)nchw_to_nhwc(ones({5, 5}));
       }},
      {"a matrix",
       "hwio_to_oihw",
       {"[kh, kw, in, out]", "[5, 5]"},
       [] {
         (void)hwio_to_oihw(ones({5, 5}));
       }},
      {"a matrix",
       "oihw_to_hwio",
       {"[out, in, kh, kw]", "[5, 5]"},
       [] {
         (void)oihw_to_hwio(ones({5, 5}));
       }},
      {"a matrix",
       "hwoi_to_iohw",
       {"[kh, kw, out, in]", "[5, 5]"},
       [] {
         (void)hwoi_to_iohw(ones({5, 5}));
       }},
      {"a matrix",
       "iohw_to_hwoi",
       {"[in, out, kh, kw]", "[5, 5]"},
       [] {
         (void)iohw_to_hwoi(ones({5, 5}));
       }},
      {"a vector", "rot180", {"two axes", "[5]"}, [] { (void)rot180(ones({5})); }},
  });
}

// A call that was refused leaves nothing on the tape.
TEST_F(Conv2DErrors, NothingIsRecorded) {
  Tape tape;
  const Tensor x = tape.watch(image(3)), w = tape.watch(filter(2, 4));
  const index_t before = tape.size();
  EXPECT_THROW((void)conv2d(x, w), Error);
  EXPECT_THROW((void)conv2d_transpose(x, w), Error);
  EXPECT_EQ(tape.size(), before);
}

}  // namespace
}  // namespace tapegrad::testing
