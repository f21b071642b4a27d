#include "tapegrad/show/draw.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "tapegrad/base/options_internal.h"
#include "tapegrad/io/from_chars_internal.h"

namespace tapegrad::inline v0 {
namespace {

// ---- Pixels
// ----------------------------------------------------------------------------------------------------

void blend(Image& image, int y, int x, Colour colour, double share) {
  const auto mix = [share](std::uint8_t& channel, std::uint8_t to) {
    channel = static_cast<std::uint8_t>(std::lround(channel + (to - channel) * share));
  };
  std::uint8_t* pixel = image.at(y, x);
  if (image.channels == 1) {
    mix(pixel[0], colour.brightness());
  } else {
    mix(pixel[0], colour.red), mix(pixel[1], colour.green), mix(pixel[2], colour.blue);
  }
}

// The pixels of an axis that [low, high] touches.
struct Reach {
  int begin, end;
};
Reach reach(double low, double high, int size) {
  return {static_cast<int>(std::clamp(std::floor(low), 0.0, double(size))),
          static_cast<int>(std::clamp(std::ceil(high), 0.0, double(size)))};
}

void require_opacity(std::string_view op, double opacity) {
  detail::require(op, opacity >= 0 && opacity <= 1, "opacity", opacity, "in [0, 1]");
}

bool is_finite(Point p) {
  return std::isfinite(p.x) && std::isfinite(p.y);
}

double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  const double along =
      length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

// ---- The font
// --------------------------------------------------------------------------------------------------

// Each glyph is its width and its strokes: points "x,y" joined by lines, "~x,y" the control point of a
// parabola between its neighbours, "/" where the pen is lifted. Capitals reach from 0 to the baseline at 10,
// small letters from 3, and what hangs below ends at 13. Straight strokes lie on whole numbers, so that they
// are sharp at scale 1.
constexpr char kFirstGlyph = ' ', kLastGlyph = '~';
constexpr std::string_view kUnknownGlyph = "5 0,0 5,0 5,10 0,10 0,0";
constexpr std::array<std::string_view, kLastGlyph - kFirstGlyph + 1> kGlyphs{
    /*   */ "1",
    /* ! */ "0 0,0 0,6.5 / 0,9.7 0,10",
    /* " */ "3 0,0 0,3 / 3,0 3,3",
    /* # */ "7 2.5,0 1,10 / 6,0 4.5,10 / 0.5,3 7,3 / 0,7 6.5,7",
    /* $ */ "6 5.8,2.7 ~5.4,1 3,1 ~0.2,1 0.2,3 ~0.2,4.6 3,5 ~6,5.4 6,7 ~6,9 3,9 ~0.3,9 0,7.2 / 3,-1 3,11",
    /* % */
    "9 8,0 1,10 / 2,0 ~0,0 0,2.3 ~0,4.6 2,4.6 ~4,4.6 4,2.3 ~4,0 2,0 / "
    "7,5.4 ~5,5.4 5,7.7 ~5,10 7,10 ~9,10 9,7.7 ~9,5.4 7,5.4",
    /* & */
    "7 7,10 1.7,3.4 ~1,2.5 1,1.8 ~1.1,0 2.9,0 ~4.7,0 4.7,1.8 ~4.7,3.3 2.5,4.4 ~0,5.6 0,7.4 ~0,10 3,10 "
    "~6,10 6.6,5.6",
    /* ' */ "0 0,0 0,3",
    /* ( */ "2 2.3,-1 ~0,2 0,5.5 ~0,9 2.3,12",
    /* ) */ "2 0,-1 ~2.3,2 2.3,5.5 ~2.3,9 0,12",
    /* * */ "4 2,0 2,4.4 / 0.1,1.1 3.9,3.3 / 3.9,1.1 0.1,3.3",
    /* + */ "6 3,3 3,9 / 0,6 6,6",
    /* , */ "1 0.8,9.6 0.8,10 ~0.8,11.3 0,12",
    /* - */ "3 0,6 3,6",
    /* . */ "0 0,9.7 0,10",
    /* / */ "4 4,-0.5 0,11",
    /* 0 */ "5 2.5,0 ~0,0 0,5 ~0,10 2.5,10 ~5,10 5,5 ~5,0 2.5,0",
    /* 1 */ "5 0.7,2.3 ~2.4,1.7 3,0 3,10",
    /* 2 */ "5 0.1,2.8 ~0.1,0 2.5,0 ~4.9,0 4.9,2.6 ~4.9,4.3 3.3,6 0,10 5,10",
    /* 3 */
    "5 0.2,2.3 ~0.5,0 2.5,0 ~4.7,0 4.7,2.4 ~4.7,4.8 2.4,4.8 1.7,4.8 / 2.4,4.8 ~5,4.8 5,7.3 ~5,10 2.4,10 "
    "~0.2,10 0,7.6",
    /* 4 */ "5 4,10 4,0 0,7 5.4,7",
    /* 5 */ "5 4.6,0 0.8,0 0.3,4.8 ~1.1,3.7 2.6,3.7 ~5,3.7 5,6.8 ~5,10 2.5,10 ~0.3,10 0,7.8",
    /* 6 */ "5 4.7,2 ~4.3,0 2.6,0 ~0,0 0,5.5 ~0,10 2.6,10 ~5,10 5,7 ~5,4.1 2.6,4.1 ~0.2,4.1 0,6.6",
    /* 7 */ "5 0,0 5,0 ~2,4.5 1.6,10",
    /* 8 */
    "5 2.5,4.7 ~0.3,4.7 0.3,2.3 ~0.3,0 2.5,0 ~4.7,0 4.7,2.3 ~4.7,4.7 2.5,4.7 ~0,4.7 0,7.3 ~0,10 2.5,10 "
    "~5,10 5,7.3 ~5,4.7 2.5,4.7",
    /* 9 */ "5 0.3,8 ~0.7,10 2.4,10 ~5,10 5,4.5 ~5,0 2.4,0 ~0,0 0,3 ~0,5.9 2.4,5.9 ~4.8,5.9 5,3.4",
    /* : */ "0 0,4 0,4.3 / 0,9.7 0,10",
    /* ; */ "1 0.8,4 0.8,4.3 / 0.8,9.6 0.8,10 ~0.8,11.3 0,12",
    /* < */ "6 6,3 0,6 6,9",
    /* = */ "6 0,4 6,4 / 0,8 6,8",
    /* > */ "6 0,3 6,6 0,9",
    /* ? */ "5 0,2.6 ~0,0 2.5,0 ~5,0 5,2.4 ~5,4 3.6,5 ~2.5,5.8 2.5,7 / 2.5,9.7 2.5,10",
    /* @ */
    "10 7,3.5 7,6.4 ~7,8 8.3,8 ~10,8 10,5 ~10,0 5,0 ~0,0 0,5.5 ~0,11 5.3,11 ~6.8,11 8,10.3 / "
    "7,5.7 ~7,3.4 5,3.4 ~2.9,3.4 2.9,5.7 ~2.9,8 4.9,8 ~7,8 7,5.7",
    /* A */ "8 0,10 4,0 8,10 / 1.2,7 6.8,7",
    /* B */ "6 0,0 0,10 3.4,10 ~6.2,10 6.2,7.4 ~6.2,5 3.4,5 0,5 / 3.4,5 ~5.7,5 5.7,2.5 ~5.7,0 3.4,0 0,0",
    /* C */ "7 7,2.7 ~6.4,0 3.8,0 ~0,0 0,5 ~0,10 3.8,10 ~6.5,10 7,7.1",
    /* D */ "7 0,0 2.8,0 ~7,0 7,5 ~7,10 2.8,10 0,10 0,0",
    /* E */ "6 6,0 0,0 0,10 6,10 / 0,5 5.3,5",
    /* F */ "5 5.6,0 0,0 0,10 / 0,5 4.9,5",
    /* G */ "7 7,2.6 ~6.3,0 3.8,0 ~0,0 0,5 ~0,10 3.8,10 ~5.7,10 7,8.7 7,6 4,6",
    /* H */ "7 0,0 0,10 / 7,0 7,10 / 0,5 7,5",
    /* I */ "0 0,0 0,10",
    /* J */ "5 5,0 5,7 ~5,10 2.5,10 ~0,10 0,7.2",
    /* K */ "6 0,0 0,10 / 6,0 0,6.2 / 2.2,4 6.4,10",
    /* L */ "5 0,0 0,10 5.3,10",
    /* M */ "8 0,10 0,0 4,9 8,0 8,10",
    /* N */ "7 0,10 0,0 7,10 7,0",
    /* O */ "8 4,0 ~0,0 0,5 ~0,10 4,10 ~8,10 8,5 ~8,0 4,0",
    /* P */ "6 0,10 0,0 3.3,0 ~6,0 6,3 ~6,6 3.3,6 0,6",
    /* Q */ "8 4,0 ~0,0 0,5 ~0,10 4,10 ~8,10 8,5 ~8,0 4,0 / 5.2,7.2 8,10.8",
    /* R */ "6 0,10 0,0 3.4,0 ~6,0 6,2.5 ~6,5 3.4,5 0,5 / 3.6,5 6.4,10",
    /* S */ "6 5.8,2.5 ~5.4,0 3,0 ~0.2,0 0.2,2.5 ~0.2,4.4 3,4.9 ~6,5.4 6,7.4 ~6,10 3,10 ~0.3,10 0,7.2",
    /* T */ "6 -0.3,0 6.3,0 / 3,0 3,10",
    /* U */ "7 0,0 0,6.5 ~0,10 3.5,10 ~7,10 7,6.5 7,0",
    /* V */ "7 0,0 3.5,10 7,0",
    /* W */ "10 0,0 2.5,10 5,0 7.5,10 10,0",
    /* X */ "7 0,0 7,10 / 7,0 0,10",
    /* Y */ "6 -0.3,0 3,5.2 6.3,0 / 3,5.2 3,10",
    /* Z */ "6 0,0 6,0 0,10 6.2,10",
    /* [ */ "2 2,-1 0,-1 0,12 2,12",
    /* \ */ "4 0,-0.5 4,11",
    /* ] */ "2 0,-1 2,-1 2,12 0,12",
    /* ^ */ "5 0,4.5 2.5,0 5,4.5",
    /* _ */ "6 0,12 6,12",
    /* ` */ "2 0,0 1.6,1.8",
    /* a */ "5 0.4,4.7 ~0.7,3 2.7,3 ~5,3 5,5.3 5,10 / 5,6 2.6,6 ~0,6 0,8 ~0,10 2.1,10 ~5,10 5,7.3",
    /* b */ "5 0,0 0,10 / 0,6.5 ~0,3 2.5,3 ~5,3 5,6.5 ~5,10 2.5,10 ~0,10 0,6.5",
    /* c */ "4 4.7,5.2 ~4.3,3 2.5,3 ~0,3 0,6.5 ~0,10 2.5,10 ~4.4,10 4.8,7.7",
    /* d */ "5 5,0 5,10 / 5,6.5 ~5,3 2.5,3 ~0,3 0,6.5 ~0,10 2.5,10 ~5,10 5,6.5",
    /* e */ "5 0,6 5,6 ~4.9,3 2.6,3 ~0,3 0,6.5 ~0,10 2.7,10 ~4.4,10 4.9,8.1",
    /* f */ "2 3.2,0.1 ~1,-0.4 1,2.4 1,10 / -0.5,3 3,3",
    /* g */
    "5 5,3 5,10.2 ~5,13 2.5,13 ~0.8,13 0.2,11.7 / 5,6.4 ~5,3 2.5,3 ~0,3 0,6.4 ~0,9.8 2.5,9.8 ~5,9.8 5,6.4",
    /* h */ "5 0,0 0,10 / 0,6 ~0.3,3 2.8,3 ~5,3 5,5.6 5,10",
    /* i */ "0 0,3 0,10 / 0,0 0,0.3",
    /* j */ "1 1,3 1,11 ~1,13 -0.6,12.9 / 1,0 1,0.3",
    /* k */ "4 0,0 0,10 / 4.4,3 0,7.4 / 1.7,5.8 4.9,10",
    /* l */ "1 0,0 0,8.4 ~0,10 1.4,9.9",
    /* m */ "8 0,3 0,10 / 0,5.6 ~0.3,3 2.2,3 ~4,3 4,5.4 4,10 / 4,5.6 ~4.3,3 6.2,3 ~8,3 8,5.4 8,10",
    /* n */ "5 0,3 0,10 / 0,6 ~0.3,3 2.8,3 ~5,3 5,5.6 5,10",
    /* o */ "5 2.5,3 ~0,3 0,6.5 ~0,10 2.5,10 ~5,10 5,6.5 ~5,3 2.5,3",
    /* p */ "5 0,3 0,13 / 0,6.5 ~0,3 2.5,3 ~5,3 5,6.5 ~5,10 2.5,10 ~0,10 0,6.5",
    /* q */ "5 5,3 5,13 / 5,6.5 ~5,3 2.5,3 ~0,3 0,6.5 ~0,10 2.5,10 ~5,10 5,6.5",
    /* r */ "2 0,3 0,10 / 0,6.2 ~0.3,3 2.9,3.1",
    /* s */
    "4 4.2,4.7 ~3.9,3 2.2,3 ~0.2,3 0.2,4.8 ~0.2,6.1 2.2,6.5 ~4.4,6.9 4.4,8.2 ~4.4,10 2.2,10 ~0.2,10 0,8.2",
    /* t */ "2 1,0.8 1,8.2 ~1,10 2.9,9.9 / -0.5,3 2.8,3",
    /* u */ "5 5,3 5,10 / 5,7 ~4.7,10 2.2,10 ~0,10 0,7.4 0,3",
    /* v */ "5 0,3 2.5,10 5,3",
    /* w */ "8 0,3 2,10 4,3 6,10 8,3",
    /* x */ "5 0,3 5,10 / 5,3 0,10",
    /* y */ "5 0,3 2.6,10 / 5,3 2.2,11.4 ~1.6,13 0.2,12.9",
    /* z */ "4 0,3 4.5,3 0,10 4.7,10",
    /* { */ "3 3,-1 ~1.4,-1 1.4,0.7 1.4,3.8 ~1.4,5.5 0,5.5 ~1.4,5.5 1.4,7.2 1.4,10.3 ~1.4,12 3,12",
    /* | */ "0 0,-1 0,12",
    /* } */ "3 0,-1 ~1.6,-1 1.6,0.7 1.6,3.8 ~1.6,5.5 3,5.5 ~1.6,5.5 1.6,7.2 1.6,10.3 ~1.6,12 0,12",
    /* ~ */ "6 0,6.6 ~1.3,4.6 3,6 ~4.7,7.4 6,5.4",
};

constexpr double kLineHeight = 16, kCapitalTop = 2;  // of a line of text; capitals begin below its top
constexpr double kLetterGap = 3, kStroke = 1.3;
constexpr Point kPenUp{std::numeric_limits<double>::quiet_NaN(), 0};

std::string_view glyph(char c) {
  return c < kFirstGlyph || c > kLastGlyph ? kUnknownGlyph
                                           : kGlyphs[static_cast<std::size_t>(c - kFirstGlyph)];
}

double take_number(std::string_view& text) {
  double value = 0;
  const auto end = detail::from_chars(text.data(), text.data() + text.size(), value).ptr;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool skip(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

Point take_point(std::string_view& text) {
  const double x = take_number(text);
  skip(text, ',');
  return {x, take_number(text)};
}

// Appends the strokes of a glyph, with its origin at left, and returns its width.
double append_strokes(std::string_view glyph_text, double left, std::vector<Point>& points) {
  const double glyph_width = take_number(glyph_text);
  const auto place = [left](Point p) { return Point{p.x + left, p.y}; };
  while (skip(glyph_text, ' ')) {
    if (skip(glyph_text, '/')) {
      points.push_back(kPenUp);
    } else if (skip(glyph_text, '~')) {
      const Point control = place(take_point(glyph_text));
      skip(glyph_text, ' ');
      const Point from = points.back(), to = place(take_point(glyph_text));
      constexpr int kPieces = 8;
      for (int i = 1; i <= kPieces; ++i) {
        const double t = double(i) / kPieces, a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
        points.push_back({a * from.x + b * control.x + c * to.x, a * from.y + b * control.y + c * to.y});
      }
    } else {
      points.push_back(place(take_point(glyph_text)));
    }
  }
  points.push_back(kPenUp);
  return glyph_width;
}

std::vector<Point> text_strokes(std::string_view text) {
  std::vector<Point> points;
  double left = 1;
  for (const char c : text) left += append_strokes(glyph(c), left, points) + kLetterGap;
  // Half a pixel further, whole numbers are the centres of pixels.
  for (Point& p : points) p = {p.x + 0.5, p.y + kCapitalTop + 0.5};
  return points;
}

}  // namespace

void draw_rectangle(Image& image, Point top_left, Point bottom_right, Colour colour, double opacity) {
  require_opacity("draw_rectangle", opacity);
  if (!is_finite(top_left) || !is_finite(bottom_right)) return;
  const Reach rows = reach(top_left.y, bottom_right.y, image.height);
  const Reach columns = reach(top_left.x, bottom_right.x, image.width);
  const auto covered = [](int pixel, double low, double high) {
    return std::min<double>(pixel + 1, high) - std::max<double>(pixel, low);
  };
  for (int y = rows.begin; y < rows.end; ++y)
    for (int x = columns.begin; x < columns.end; ++x)
      blend(image, y, x, colour,
            opacity * covered(y, top_left.y, bottom_right.y) * covered(x, top_left.x, bottom_right.x));
}

void draw_polyline(Image& image, std::span<const Point> points, Colour colour, double width, double opacity) {
  detail::require_not_negative("draw_polyline", "width", width);
  require_opacity("draw_polyline", opacity);
  // How much of each pixel is covered, by the piece that covers it most: where pieces meet, none is painted
  // twice.
  const double radius = width / 2 + 0.5;
  Point low{image.width * 1.0, image.height * 1.0}, high{0, 0};
  for (const Point& p : points) {
    if (!is_finite(p)) continue;
    low = {std::min(low.x, p.x - radius), std::min(low.y, p.y - radius)};
    high = {std::max(high.x, p.x + radius), std::max(high.y, p.y + radius)};
  }
  const Reach all_rows = reach(low.y, high.y, image.height), all_columns = reach(low.x, high.x, image.width);
  if (all_rows.begin >= all_rows.end || all_columns.begin >= all_columns.end) return;
  const auto mask_width = static_cast<std::size_t>(all_columns.end - all_columns.begin);
  std::vector<float> mask(static_cast<std::size_t>(all_rows.end - all_rows.begin) * mask_width);
  const auto covered = [&](int y, int x) -> float& {
    return mask[static_cast<std::size_t>(y - all_rows.begin) * mask_width +
                static_cast<std::size_t>(x - all_columns.begin)];
  };

  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point a = points[i];
    if (!is_finite(a)) continue;
    const bool ends_here = i + 1 == points.size() || !is_finite(points[i + 1]);
    if (ends_here && i > 0 && is_finite(points[i - 1])) continue;  // drawn as the end of the piece before
    const Point b = ends_here ? a : points[i + 1];
    const Reach rows = reach(std::min(a.y, b.y) - radius, std::max(a.y, b.y) + radius, image.height);
    for (int y = rows.begin; y < rows.end; ++y) {
      // Only the columns where the piece can be near this row.
      double from = std::min(a.x, b.x), to = std::max(a.x, b.x);
      if (const double dy = b.y - a.y, dx = b.x - a.x; std::abs(dy) > 1 && std::abs(dx) > 1) {
        const double slack = radius * (1 + std::abs(dx / dy)) + std::abs(dx / dy);
        const double centre = a.x + (y + 0.5 - a.y) * dx / dy;
        from = std::max(from, centre - slack);
        to = std::min(to, centre + slack);
      }
      const Reach columns = reach(from - radius, to + radius, image.width);
      for (int x = columns.begin; x < columns.end; ++x) {
        const double share = std::clamp(radius - distance_to_segment({x + 0.5, y + 0.5}, a, b), 0.0, 1.0);
        float& most = covered(y, x);
        most = std::max(most, static_cast<float>(share));
      }
    }
  }
  for (int y = all_rows.begin; y < all_rows.end; ++y)
    for (int x = all_columns.begin; x < all_columns.end; ++x)
      if (const float share = covered(y, x); share > 0) blend(image, y, x, colour, opacity * double{share});
}

void draw_text(Image& image, double x, double y, std::string_view text, Colour colour, double scale) {
  detail::require_not_negative("draw_text", "scale", scale);
  std::vector<Point> points = text_strokes(text);
  for (Point& p : points) p = {x + p.x * scale, y + p.y * scale};
  draw_polyline(image, points, colour, kStroke * scale);
}

void draw_text_upwards(Image& image, double x, double y, std::string_view text, Colour colour, double scale) {
  detail::require_not_negative("draw_text_upwards", "scale", scale);
  std::vector<Point> points = text_strokes(text);
  for (Point& p : points) p = {x + p.y * scale, y - p.x * scale};
  draw_polyline(image, points, colour, kStroke * scale);
}

double text_width(std::string_view text, double scale) {
  double width = 0;
  for (const char c : text) {
    std::string_view strokes = glyph(c);
    width += take_number(strokes) + kLetterGap;
  }
  return width * scale;
}

double text_height(double scale) {
  return kLineHeight * scale;
}

}  // namespace tapegrad::inline v0
