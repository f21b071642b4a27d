#pragma once

// Rectangles, lines and text in images.

#include <initializer_list>
#include <span>
#include <string_view>

#include "tapegrad/io/image.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A position in an image, in pixels: x to the right, y down. (0, 0) is the top left corner of the first pixel, whose
/// centre is (0.5, 0.5).
struct Point {
  double x = 0, y = 0;
};

// All functions here anti-alias edges, clip to the image, and use a colour's green channel as the grey value of a grey
// image. opacity is from 0 (leaves the image as it is) to 1.

/// A filled rectangle with these corners; whole numbers give sharp edges.
void draw_rectangle(Image& image, Point top_left, Point bottom_right, Colour colour, double opacity = 1);

/// A line through the points, with round joints and ends. Points that are not finite interrupt the line.
void draw_polyline(Image& image, std::span<const Point> points, Colour colour, double width = 1,
                   double opacity = 1);
inline void draw_polyline(Image& image, std::initializer_list<Point> points, Colour colour, double width = 1,
                          double opacity = 1) {
  draw_polyline(image, std::span(points.begin(), points.size()), colour, width, opacity);
}

/// One line of text, in a built-in font of the printable ASCII characters (others are shown as a box). (x, y) is the
/// top left corner of the line of text, which is text_height(scale) high. At scale 1 capitals are 10 pixels high.
void draw_text(Image& image, double x, double y, std::string_view text, Colour colour = kBlack,
               double scale = 1);

/// One line of text that reads from bottom to top; (x, y) is the bottom left corner of the turned text.
void draw_text_upwards(Image& image, double x, double y, std::string_view text, Colour colour = kBlack,
                       double scale = 1);

/// The size of a text that draw_text() draws, in pixels.
[[nodiscard]] double text_width(std::string_view text, double scale = 1);
[[nodiscard]] double text_height(double scale = 1);

}  // namespace v0
}  // namespace tapegrad
