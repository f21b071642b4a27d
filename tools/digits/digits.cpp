// Compiled with -ffp-contract=off, and nothing of libm is called but what IEEE 754 rounds correctly (sqrt,
// floor, ceil): the digits must be the same bytes with every compiler. For the same reason random numbers are
// drawn one per statement or in braces, where their order is fixed.
#include "digits/digits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/base/error.h"

namespace digits {
namespace {

struct Point {
  double x = 0.0, y = 0.0;
  friend constexpr Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
  friend constexpr Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend constexpr Point operator*(Point a, double s) { return {a.x * s, a.y * s}; }
};

Point mix(Point a, Point b, double t) {
  return a * (1.0 - t) + b * t;
}

double length(Point a) {
  return std::sqrt(a.x * a.x + a.y * a.y);
}

Point scatter(tg::Generator& generator, double standard_deviation) {
  return {generator.normal(0.0, standard_deviation), generator.normal(0.0, standard_deviation)};
}

// ---- The alphabet -------------------------------------------------------------------------------

struct Knot {
  Point at;
  bool corner = false;  // the pen turns sharply here
  bool lift = false;    // the pen leaves the paper after this knot
};

struct Drawing {
  std::array<Knot, 16> knots{};
  std::size_t size = 0;
};

// Reads "x,y x,y! x,y / x,y x,y": the points a pen runs through, "!" for a corner, "/" where it is lifted. A
// glyph is 100 high (y runs down) and about 65 wide. A mistake in the table is an error of the compiler.
consteval Drawing parse(std::string_view text) {
  Drawing drawing;
  std::size_t i = 0;
  const auto skip = [&](char c) { return i < text.size() && text[i] == c && ++i > 0; };
  const auto number = [&] {
    const double sign = skip('-') ? -1.0 : 1.0;
    double value = 0.0;
    const std::size_t first = i;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) value = value * 10.0 + (text[i] - '0');
    if (i == first) throw "a number is missing";
    return sign * value;
  };
  while (i < text.size()) {
    Knot& knot = drawing.knots.at(drawing.size++);
    knot.at.x = number();
    if (!skip(',')) throw "a comma is missing";
    knot.at.y = number();
    knot.corner = skip('!');
    skip(' ');
    knot.lift = skip('/') || i == text.size();
    skip(' ');
  }
  return drawing;
}

// One way to write a digit, as two drawings of the same strokes; a hand draws something between the two.
struct Style {
  int digit;
  double weight;  // how common it is among the styles of its digit
  Drawing from, to;

  consteval Style(int d, double w, std::string_view a, std::string_view b)
      : digit(d), weight(w), from(parse(a)), to(parse(b)) {
    if (from.size != to.size) throw "the two drawings differ in their knots";
    for (std::size_t i = 0; i < from.size; ++i)
      if (from.knots[i].corner != to.knots[i].corner || from.knots[i].lift != to.knots[i].lift)
        throw "the two drawings differ in their strokes";
  }
};

constexpr Style kStyles[] = {
    // 0: from the top, narrow to round; from the upper right, with a tail; from the left; a bowl left open.
    {0, 5, "36,2 20,16 16,50 22,84 36,98 50,84 54,50 50,16 34,2 24,10",
     "40,2 12,14 -4,50 10,88 36,98 66,86 78,50 64,12 34,2 14,12"},
    {0, 2, "54,18 36,3 16,30 14,72 32,98 52,80 58,44 52,18 44,6 40,12",
     "58,10 36,6 6,30 0,70 26,98 60,86 74,44 66,18 50,8 30,16"},
    {0, 2, "26,14 40,2 56,28 56,70 38,98 20,80 14,46 22,16 38,4 50,4",
     "16,20 36,4 70,28 72,70 40,98 6,84 0,46 14,18 40,6 66,-4"},
    {0, 1, "26,4 14,24 12,56 20,86 36,98 52,84 58,52 54,22 44,8",
     "16,16 2,36 -2,60 12,88 36,98 64,84 74,56 66,24 40,0"},
    {0, 1, "40,4 18,12 8,44 16,84 36,98 56,86 62,50 54,16 38,6 22,18 20,40",
     "52,-4 16,10 -6,44 6,88 36,98 70,84 78,46 62,12 40,4 20,16 34,42"},
    {0, 1, "52,6 34,18 18,48 16,80 30,98 50,82 58,50 52,18 38,14 30,28",
     "66,-4 40,12 10,44 0,80 26,100 60,84 76,48 64,18 40,14 30,36"},

    // 1: a stroke, straight or bent; with a flag; with a flag and a foot.
    {1, 8, "35,0 35,50 35,100", "36,0 34,50 37,100"},
    {1, 1, "30,0 36,50 34,100", "42,0 34,52 44,100"},
    {1, 2, "28,12 36,0! 36,50 36,100", "12,28 38,0! 36,50 36,100"},
    {1, 2, "26,14 38,0! 38,50 38,98 / 24,98 54,98", "12,24 38,0! 38,50 38,98 / 6,99 70,97"},

    // 2: a plain turn at the foot; a loop, small or large; a wave; like a Z; a neck that bends back.
    {2, 4, "10,20 24,4 44,4 54,22 44,50 26,76 8,95! 34,95 62,94",
     "2,30 18,4 48,2 62,26 48,56 26,78 0,96! 34,92 72,98"},
    {2, 3, "10,22 26,3 48,8 50,32 36,66 18,92 6,94 8,82 22,82 42,94 64,92",
     "4,34 18,4 54,6 58,36 40,64 16,96 -6,94 -4,74 18,74 46,92 80,86"},
    {2, 2, "12,20 28,3 50,10 52,36 42,66 22,92 6,92 6,72 24,68 46,82 64,94",
     "0,30 26,2 60,12 60,40 50,76 22,98 -8,92 -8,68 18,60 52,78 84,96"},
    {2, 2, "8,26 20,4 46,4 52,30 36,62 10,92! 30,86 48,96 66,88",
     "-2,16 20,-2 52,10 46,36 24,60 2,90! 24,80 52,94 84,80"},
    {2, 2, "6,34 20,14 44,10 52,28 36,52 10,78! 40,80 76,86",
     "-10,30 16,10 44,14 46,34 26,52 -8,74! 44,78 106,80"},
    {2, 1, "8,8 34,4 56,6! 34,46 6,94! 34,94 62,94", "4,14 30,4 54,10! 34,46 0,92! 36,88 76,92"},
    {2, 1, "16,24 14,8 34,0 50,14 44,44 28,74 14,98! 36,96 60,95",
     "8,28 2,8 30,-2 58,14 54,46 34,70 10,94! 40,90 80,92"},

    // 3: two bows that meet in a corner; with a small loop; with a flat top; a small head on a large belly.
    {3, 4, "10,14 30,2 50,12 48,34 26,46! 50,54 58,74 40,96 8,92",
     "4,10 34,0 62,16 52,38 22,46! 62,54 66,80 38,100 -6,88"},
    {3, 2, "10,14 32,2 52,14 44,36 26,46 22,42 32,42 56,56 56,82 32,98 6,90",
     "0,18 30,0 60,12 48,38 20,50 14,40 34,40 66,58 58,88 24,100 -4,84"},
    {3, 2, "8,5 30,4 54,4! 42,22 26,40! 52,50 58,74 40,96 8,92",
     "2,12 30,4 58,2! 44,20 20,38! 60,46 64,78 34,100 -6,90"},
    {3, 2, "14,16 30,4 50,8 50,26 28,40! 56,46 66,70 44,96 12,86",
     "14,22 38,2 66,6 60,24 28,38! 66,44 72,74 30,98 -16,76"},
    {3, 2, "10,16 30,4 48,16 38,34 20,46! 46,46 56,66 36,92 6,98",
     "0,24 26,2 52,12 38,34 8,52! 48,42 62,62 32,90 -12,102"},
    {3, 1, "8,10 34,2 54,16 50,36 38,48! 52,58 56,80 36,98 10,96",
     "0,6 36,4 62,22 56,42 36,50! 58,58 60,84 34,98 -2,100"},

    // 4: open, round or sharp, the stem a second stroke; closed, in one stroke or two; like a 9; joined.
    {4, 4, "14,6 8,30 8,56! 36,56 62,54 / 48,4 46,50 44,100",
     "22,4 10,30 -4,60! 36,58 78,50 / 58,10 48,54 40,100"},
    {4, 3, "12,6 8,36 20,54 38,52 50,40 / 54,4 52,50 50,100",
     "14,0 0,40 12,60 40,54 58,36 / 62,2 54,46 44,100"},
    {4, 2, "48,2 26,34 6,66! 36,66 66,65 / 48,4 48,50 48,100",
     "42,4 26,30 -2,60! 36,62 76,58 / 44,4 42,50 42,100"},
    {4, 1, "66,66 36,66 6,66! 26,34 48,2! 48,50 48,100", "76,58 36,60 0,62! 20,34 40,2! 44,50 42,100"},
    {4, 2, "14,4 8,28 14,46 34,46 50,24 54,6! 52,50 50,100",
     "16,8 -2,36 12,54 38,46 56,20 66,-6! 54,46 40,100"},
    {4, 0.4, "18,10 12,28 12,48! 32,48 50,46 / 18,10 36,8 52,6! 50,50 50,100",
     "26,6 12,28 4,54! 32,54 56,52 / 24,8 40,6 60,2! 54,50 48,100"},
    {4, 1, "26,0 18,32 8,66! 36,62 64,60 / 44,34 42,66 40,100",
     "40,-6 18,32 -4,66! 36,64 80,60 / 54,30 46,62 40,98"},

    // 5: the bar first or last; round like an S; the bar a long flourish; a small belly.
    {5, 3, "58,5 38,5 16,5! 14,24 12,46! 34,40 54,50 56,76 34,98 8,92",
     "70,0 42,4 18,8! 12,24 6,50! 38,40 62,54 58,84 26,100 -8,86"},
    {5, 3, "18,8 16,26 13,46! 36,42 54,54 54,78 34,97 8,92 / 18,6 38,5 60,4",
     "22,8 14,26 6,46! 42,42 62,60 56,86 28,100 -6,90 / 20,10 46,4 80,0"},
    {5, 2, "56,6 36,4 20,16 20,36 40,50 54,68 44,92 24,98 8,90",
     "66,2 36,6 12,22 18,40 44,50 58,70 40,94 16,98 -4,88"},
    {5, 2, "30,24 24,38 18,52! 36,50 46,64 42,84 26,98 6,94 / 30,22 54,16 80,8",
     "30,20 22,36 12,54! 40,54 48,70 40,90 14,98 -14,88 / 28,18 60,14 106,4"},
    {5, 2, "58,8 36,8 20,10! 18,26 18,40! 38,46 52,62 48,86 28,98 8,84",
     "66,4 38,8 12,12! 12,28 14,42! 40,50 58,68 50,94 20,100 -6,72"},
    {5, 1, "56,6 38,4 20,4! 18,26 16,48! 34,38 56,48 58,74 40,96 16,92 16,76",
     "64,8 38,4 12,6! 12,26 10,50! 34,34 64,46 66,82 34,102 0,90 8,68"},

    // 6: a long bow into a loop; a steep stem; a bowl whose loop stays small and high, or is never closed.
    {6, 4, "44,2 24,18 12,50 12,80 30,98 50,88 52,66 36,56 16,72",
     "60,0 28,20 4,54 6,86 34,100 62,86 60,60 36,54 8,78"},
    {6, 3, "28,0 20,26 14,56 14,84 32,97 52,84 50,66 32,62 16,78",
     "36,0 18,28 2,58 6,90 36,98 70,84 64,62 36,62 10,84"},
    {6, 2, "24,2 14,28 10,60 16,88 36,97 56,80 54,56 42,52 34,66 40,84",
     "20,0 4,30 -4,64 10,92 40,98 70,76 66,46 44,44 30,66 40,90"},
    {6, 1, "40,2 26,24 14,54 14,82 30,97 50,90 58,74 50,62", "56,0 28,24 4,58 2,86 28,98 58,92 72,74 56,60"},
    {6, 2, "50,0 34,26 22,52 16,78 26,96 42,86 44,70 32,66 18,80",
     "66,0 42,28 20,54 6,80 20,98 52,92 60,76 40,68 10,84"},
    {6, 1, "46,10 34,2 18,20 10,52 14,84 34,98 52,84 52,66 34,58 14,72",
     "60,16 40,0 12,20 0,56 8,90 38,98 66,84 62,60 34,52 6,76"},

    // 7: plain; with a serif; crossed; with a round shoulder; with a stem that drops straight.
    {7, 4, "8,6 32,5 56,4! 42,36 32,66 26,100", "0,10 32,6 68,2! 46,36 28,66 12,100"},
    {7, 2, "8,20 10,6! 34,5 58,5! 46,32 36,64 32,100", "-2,30 2,6! 34,8 66,2! 46,34 30,66 20,100"},
    {7, 2, "8,6 32,5 58,4! 42,36 32,66 26,100 / 18,50 36,48 54,47",
     "0,12 32,6 68,2! 48,36 32,66 20,100 / 6,56 34,52 66,46"},
    {7, 0.5, "10,20 12,8! 34,6 58,4! 42,36 34,66 30,100 / 14,60 36,58 56,58",
     "-4,26 0,4! 32,10 72,6! 50,38 28,66 10,100 / 2,48 38,50 78,52"},
    {7, 2, "8,12 26,6 44,4 54,12 48,36 40,66 36,100", "-4,22 18,6 50,2 64,14 56,40 40,66 26,100"},
    {7, 2, "14,20 22,8 38,4 50,6! 50,36 48,66 46,100", "0,30 10,10 36,8 60,2! 60,36 56,66 52,100"},

    // 8: an S and back; two rings; from the middle; a stem that crosses straight; like a B.
    {8, 4, "50,10 34,2 18,16 26,38 46,58 50,82 34,98 18,84 24,60 42,38 50,16",
     "66,8 38,-2 8,14 20,38 52,58 58,86 28,100 2,84 18,58 50,36 70,6"},
    {8, 2, "34,46 18,34 18,12 34,2 50,12 50,34 34,46! 14,60 14,86 34,98 54,86 54,60 36,46",
     "34,44 8,32 10,10 36,0 60,12 60,32 34,44! 0,60 0,90 34,100 68,88 66,58 36,44"},
    {8, 2, "42,38 50,16 36,2 18,12 24,36 44,58 50,84 32,98 16,82 24,60 44,40",
     "50,36 64,12 36,-2 8,14 18,40 52,60 58,88 26,100 0,82 18,58 56,34"},
    {8, 4, "46,12 30,6 14,18 24,40 40,60 40,84 28,98 18,86 26,62 40,36 56,4",
     "62,18 30,0 -2,14 12,36 40,58 42,88 24,100 8,86 22,58 46,34 90,8"},
    {8, 2, "48,20 32,8 12,14 16,34 36,56 38,84 24,98 16,84 28,58 48,34 46,16 30,8",
     "60,24 34,4 -4,8 4,32 34,52 38,86 18,100 6,82 26,54 62,34 60,10 30,0"},
    {8, 1, "20,10 22,50 16,94 / 20,8 46,4 52,24 26,46! 56,54 56,84 16,96",
     "12,8 14,50 8,96 / 8,8 50,-2 64,24 20,44! 70,52 68,92 6,98"},

    // 9: a ring and a straight stem; a curved one; with a hook; a ring left open; one that hangs low.
    {9, 4, "50,14 34,4 16,18 16,40 32,48 46,34 52,14! 50,54 48,100",
     "58,16 36,0 4,20 6,46 32,50 52,34 62,10! 54,56 46,100"},
    {9, 3, "50,16 34,3 16,18 16,42 34,50 50,34 52,18 50,56 40,100",
     "60,16 34,0 0,24 6,50 36,48 58,30 62,14 52,56 24,100"},
    {9, 2, "50,16 34,3 16,18 16,40 32,48 48,34 52,18 54,54 48,84 32,98 14,90",
     "62,16 36,0 4,20 8,46 32,50 54,34 62,14 64,54 54,86 28,100 -2,86"},
    {9, 2, "54,4 32,6 16,22 18,40 32,44 44,32 52,16! 48,56 42,100",
     "76,0 36,6 6,28 8,48 32,48 48,34 60,16! 50,56 36,100"},
    {9, 1, "46,10 28,12 8,36 10,52 28,52 44,34 52,18! 50,56 46,100",
     "48,0 20,16 -16,44 -10,58 22,52 48,34 62,14! 56,56 50,100"},
    {9, 1, "34,6 18,18 18,38 32,46 46,34 46,14 34,5 48,14 50,54 48,100",
     "30,8 2,22 6,46 32,50 54,38 54,12 30,4 58,10 60,56 62,100"},
};

const Style& pick_style(int digit, tg::Generator& generator) {
  double total = 0.0;
  for (const Style& style : kStyles)
    if (style.digit == digit) total += style.weight;
  double left = generator.uniform() * total;
  const Style* picked = nullptr;
  for (const Style& style : kStyles) {
    if (style.digit != digit) continue;
    picked = &style;
    left -= style.weight;
    if (left < 0.0) break;
  }
  return *picked;
}

// ---- The hand -----------------------------------------------------------------------------------

using Stroke = std::vector<Point>;

// The smooth curve through knots [first, last], as cubic Hermite pieces whose slopes are those of the
// parabola through three neighbours; at a corner and at the ends a piece has the slope of its chord.
Stroke trace(const Drawing& drawing, std::size_t first, std::size_t last) {
  constexpr int kSteps = 10;
  const auto at = [&](std::size_t i) { return drawing.knots[i].at; };
  const auto chord = [&](std::size_t i) { return std::max(length(at(i + 1) - at(i)), 1e-3); };
  const auto slope = [&](std::size_t i, std::size_t piece) {
    if (i == first || i == last || drawing.knots[i].corner)
      return (at(piece + 1) - at(piece)) * (1.0 / chord(piece));
    const double before = chord(i - 1), after = chord(i);
    const Point in = (at(i) - at(i - 1)) * (after / before), out = (at(i + 1) - at(i)) * (before / after);
    return (in + out) * (1.0 / (before + after));
  };
  Stroke stroke{at(first)};
  for (std::size_t i = first; i < last; ++i) {
    const Point out = slope(i, i) * chord(i), in = slope(i + 1, i) * chord(i);
    for (int step = 1; step <= kSteps; ++step) {
      const double t = static_cast<double>(step) / kSteps, s = 1.0 - t;
      stroke.push_back(at(i) * (s * s * (1.0 + 2.0 * t)) + out * (s * s * t) +
                       at(i + 1) * (t * t * (3.0 - 2.0 * t)) - in * (t * t * s));
    }
  }
  return stroke;
}

std::vector<Stroke> write(const Style& style, tg::Generator& generator) {
  Drawing drawing = style.from;
  const double blend = generator.uniform(-0.15, 1.15);
  const double unrest = generator.uniform(0.5, 3.2);
  for (std::size_t i = 0; i < drawing.size; ++i) {
    Point& at = drawing.knots[i].at;
    at = mix(at, style.to.knots[i].at, blend) + scatter(generator, unrest);
  }
  std::vector<Stroke> strokes;
  for (std::size_t first = 0, last = 0; last < drawing.size; ++last) {
    if (!drawing.knots[last].lift) continue;
    Stroke stroke = trace(drawing, first, last);
    // The pen comes late and leaves early, now and then: rings stay open, tails are short.
    const double late = generator.uniform(0.0, 0.07), early = generator.uniform(0.0, 0.09);
    const auto size = static_cast<double>(stroke.size());
    stroke.erase(stroke.end() - static_cast<std::ptrdiff_t>(size * early), stroke.end());
    stroke.erase(stroke.begin(), stroke.begin() + static_cast<std::ptrdiff_t>(size * late));
    strokes.push_back(std::move(stroke));
    first = last + 1;
  }
  return strokes;
}

// A smooth random field of displacements: a Bezier patch over the glyph, whose control points are random.
class Elastic {
 public:
  Elastic(tg::Generator& generator, double standard_deviation) {
    for (Point& push : pushes_) push = scatter(generator, standard_deviation);
  }
  Point operator()(Point p) const {
    const auto across = weights(p.x / 70.0), down = weights(p.y / 100.0);
    for (std::size_t i = 0; i < pushes_.size(); ++i) p = p + pushes_[i] * (across[i % 4] * down[i / 4]);
    return p;
  }

 private:
  static std::array<double, 4> weights(double u) {
    const double t = std::clamp(u, 0.0, 1.0), s = 1.0 - t;
    return {s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t};
  }
  std::array<Point, 16> pushes_;
};

// Leans, turns and stretches a glyph.
class Affine {
 public:
  Affine(tg::Generator& generator, int digit) {
    const double lean = digit == 1 ? generator.normal(0.22, 0.26) : generator.normal(0.2, 0.27);
    const double half = generator.normal(0.0, 0.07);  // the tangent of half the angle of rotation
    const double cosine = (1.0 - half * half) / (1.0 + half * half), sine = 2.0 * half / (1.0 + half * half);
    const double wide = std::clamp(generator.normal(1.05, 0.24), 0.6, 2.0);
    column_x_ = Point{cosine, sine} * wide;
    column_y_ = Point{-sine, cosine} + column_x_ * -lean;
  }
  Point operator()(Point p) const { return column_x_ * p.x + column_y_ * p.y; }

 private:
  Point column_x_, column_y_;
};

// ---- The ink ------------------------------------------------------------------------------------

// A spot of the pen's path; its ink reaches as far as its radius.
struct Dab {
  Point at;
  double radius;
  bool begins;  // of a stroke: no line leads here
};

std::vector<Dab> press(const std::vector<Stroke>& strokes, tg::Generator& generator) {
  const double boldness = generator.uniform();
  const double radius = 3.6 + 8.6 * boldness * boldness;
  const double sway = generator.uniform(0.02, 0.22), shake = generator.uniform(0.0, 0.16);
  std::vector<Dab> dabs;
  for (const Stroke& stroke : strokes) {
    std::array<double, 4> pressure;
    for (double& p : pressure) p = generator.normal(0.0, sway);
    for (std::size_t i = 0; i < stroke.size(); ++i) {
      const double along = static_cast<double>(i) * 3.0 / static_cast<double>(stroke.size());
      const auto k = static_cast<std::size_t>(along);
      const double t = along - static_cast<double>(k);
      const double swell = pressure[k] * (1.0 - t) + pressure[k + 1] * t + generator.normal(0.0, shake);
      dabs.push_back({stroke[i], radius * std::clamp(1.0 + swell, 0.55, 1.6), i == 0});
    }
  }
  return dabs;
}

constexpr std::size_t kBox = 20;   // the side of the box that the ink is fitted into
constexpr std::size_t kGrain = 4;  // samples per pixel and axis
constexpr std::size_t kFine = kBox * kGrain;

// Scales the path so that its ink just fits the box, which is kFine samples wide.
void fit(std::vector<Dab>& dabs) {
  Point low{1e9, 1e9}, high{-1e9, -1e9};
  for (const Dab& dab : dabs) {
    low = {std::min(low.x, dab.at.x - dab.radius), std::min(low.y, dab.at.y - dab.radius)};
    high = {std::max(high.x, dab.at.x + dab.radius), std::max(high.y, dab.at.y + dab.radius)};
  }
  const double scale = kFine / std::max(high.x - low.x, high.y - low.y);
  const Point middle = mix(low, high, 0.5);
  for (Dab& dab : dabs) {
    dab.at = (dab.at - middle) * scale + Point{kFine / 2.0, kFine / 2.0};
    dab.radius *= scale;
  }
}

using Box = std::array<double, kBox * kBox>;

// The share of each pixel that is inked: 0 to 1, with edges that fade over `blur` samples.
Box ink(const std::vector<Dab>& dabs, double blur) {
  std::vector<double> depth(kFine * kFine, -blur);  // how far inside the ink a sample lies
  const auto index = [](double v) { return static_cast<std::size_t>(std::clamp(v, 0.0, double{kFine})); };
  for (std::size_t i = 0; i < dabs.size(); ++i) {
    const Dab& b = dabs[i];
    const Dab& a = b.begins ? b : dabs[i - 1];
    const Point line = b.at - a.at;
    const double squared = std::max(line.x * line.x + line.y * line.y, 1e-9);
    const double reach = std::max(a.radius, b.radius) + blur;
    const std::size_t right = index(std::ceil(std::max(a.at.x, b.at.x) + reach));
    const std::size_t bottom = index(std::ceil(std::max(a.at.y, b.at.y) + reach));
    for (std::size_t y = index(std::min(a.at.y, b.at.y) - reach); y < bottom; ++y)
      for (std::size_t x = index(std::min(a.at.x, b.at.x) - reach); x < right; ++x) {
        const Point p = Point{static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5} - a.at;
        const double t = std::clamp((p.x * line.x + p.y * line.y) / squared, 0.0, 1.0);
        const double inside = a.radius * (1.0 - t) + b.radius * t - length(p - line * t);
        depth[y * kFine + x] = std::max(depth[y * kFine + x], inside);
      }
  }
  Box box{};
  for (std::size_t y = 0; y < kFine; ++y)
    for (std::size_t x = 0; x < kFine; ++x)
      box[y / kGrain * kBox + x / kGrain] +=
          std::clamp(0.5 + depth[y * kFine + x] / blur, 0.0, 1.0) / double{kGrain * kGrain};
  return box;
}

// Where the box begins along one axis, so that its centre of mass comes to pixel 14, as near as whole pixels
// allow.
std::size_t placed(double centre) {
  constexpr double kMiddle = kDigitSide / 2, kSpare = kDigitSide - kBox;
  return static_cast<std::size_t>(std::clamp(std::floor(kMiddle - centre + 0.5), 0.0, kSpare));
}

}  // namespace

void draw_digit(int digit, tg::Generator& generator, std::span<std::uint8_t, kDigitPixels> pixels) {
  if (digit < 0 || digit > 9)
    throw tg::Error("draw_digit", "digit must be 0 to 9, got " + std::to_string(digit));

  std::vector<Stroke> strokes = write(pick_style(digit, generator), generator);
  const Elastic elastic(generator, generator.uniform(4.0, 15.0));
  const Affine affine(generator, digit);
  for (Stroke& stroke : strokes)
    for (Point& point : stroke) point = affine(elastic(point));
  std::vector<Dab> dabs = press(strokes, generator);
  fit(dabs);
  const double blur = generator.uniform(1.0, 4.0);
  Box box = ink(dabs, blur);

  const double strength = generator.uniform(1.0, 1.35);
  double mass = 0.0;
  Point moment;
  for (std::size_t i = 0; i < box.size(); ++i) {
    if (box[i] == 0.0) continue;
    box[i] = std::clamp(box[i] * strength + generator.normal(0.0, 0.03), 0.0, 1.0);
    mass += box[i];
    moment = moment + Point{static_cast<double>(i % kBox), static_cast<double>(i / kBox)} * box[i];
  }
  const std::size_t left = placed(moment.x / mass), top = placed(moment.y / mass);
  std::fill(pixels.begin(), pixels.end(), std::uint8_t{0});
  for (std::size_t i = 0; i < box.size(); ++i)
    pixels[(top + i / kBox) * kDigitSide + left + i % kBox] =
        static_cast<std::uint8_t>(std::floor(box[i] * 255.0 + 0.5));
}

tg::Dataset drawn_digits(tg::index_t count, const tg::Generator& generator) {
  tg::Tensor labels = tg::zeros({count}, tg::DType::Int32);
  const std::span<std::int32_t> digits = labels.mutable_values<std::int32_t>();
  for (std::size_t i = 0; i < digits.size(); ++i) digits[i] = static_cast<std::int32_t>(i % 10);
  tg::Generator(generator).shuffle(digits);
  constexpr auto kSide = static_cast<tg::index_t>(kDigitSide);
  const auto draw = [labels, generator](tg::index_t i) {
    // Sample i is drawn by child i, so that none depends on the others.
    tg::Generator hand = generator.child(static_cast<std::uint64_t>(i));
    tg::Tensor image = tg::zeros({kSide, kSide, 1}, tg::DType::UInt8);
    draw_digit(labels.values<std::int32_t>()[static_cast<std::size_t>(i)], hand,
               image.mutable_values<std::uint8_t>().first<kDigitPixels>());
    return image;
  };
  return {.inputs = tg::Samples({count, kSide, kSide, 1}, tg::DType::UInt8, draw), .targets = labels};
}

}  // namespace digits
