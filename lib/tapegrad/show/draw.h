#pragma once

// Rectangles, lines and text in images.

#include <span>
#include <string_view>

#include "tapegrad/io/image.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// A place in an image, in pixels: x to the right, y down, and (0, 0) the top left corner of the first pixel,
/// so that its centre is (0.5, 0.5).
struct Point {
  double x = 0, y = 0;
};

/// All of these smooth their edges, draw only what lies inside the image, and take a colour's green for a
/// grey one. opacity is 0 (leaves the image as it is) to 1.

/// A filled rectangle with these corners; whole numbers give sharp edges.
void draw_rectangle(Image& image, Point top_left, Point bottom_right, Colour colour, double opacity = 1);

/// The line through the points, with round joints and ends. Points that are not finite interrupt it.
void draw_polyline(Image& image, std::span<const Point> points, Colour colour, double width = 1,
                   double opacity = 1);

/// Text of one line, in a font of our own that holds the printable characters of ASCII (others are shown as a
/// box). (x, y) is the top left corner of the line of text, which is text_height(scale) high. At scale 1
/// capitals are 10 pixels high.
void draw_text(Image& image, double x, double y, std::string_view text, Colour colour = kBlack,
               double scale = 1);

/// The same, reading from bottom to top; (x, y) is the bottom left corner of the turned text.
void draw_text_upwards(Image& image, double x, double y, std::string_view text, Colour colour = kBlack,
                       double scale = 1);

/// What draw_text takes up, in pixels.
[[nodiscard]] double text_width(std::string_view text, double scale = 1);
[[nodiscard]] double text_height(double scale = 1);

}  // namespace v0
}  // namespace tapegrad
