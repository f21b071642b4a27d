#include "tapegrad/show/report.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <exception>

#include "tapegrad/base/compiler_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/show/chart_internal.h"
#include "tapegrad/show/report_style_internal.h"
#include "tapegrad/show/sheet.h"
#include "tapegrad/show/system_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::Chart, detail::Curve, detail::Tick;

// Text as HTML shows it. Control characters have no place in a page.
std::string escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    switch (c) {
      case '&':
        made += "&amp;";
        break;
      case '<':
        made += "&lt;";
        break;
      case '>':
        made += "&gt;";
        break;
      case '"':
        made += "&quot;";
        break;
      case '\'':
        made += "&#39;";
        break;
      default: {
        const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        made += control ? "\xef\xbf\xbd" : std::string(1, c);
      }
    }
  }
  return made;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? std::uint32_t{bytes[at]} : 0; };
    const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int digit = 0; digit < 4; ++digit) text += kDigits[three >> (18 - 6 * digit) & 63];
  }
  const std::size_t padding = (3 - bytes.size() % 3) % 3;
  text.replace(text.size() - padding, padding, padding, '=');
  return text;
}

std::string img(const Image& image, int scale, std::string_view alt) {
  return fmt::format(R"(<img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">)",
                     base64(encode_png(image)), image.width * scale, image.height * scale, escaped(alt));
}

// f(), whose errors are the report's: what it calls for its pictures is not what the user called.
template <class F>
auto as_report(const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    fail("report", "{}", error.message());
  }
}

// Takes back what was added to a text if its scope ends by an exception: a part that is refused leaves nothing.
class Whole {
 public:
  explicit Whole(std::string& text) : text_(text), before_(text.size()) {}
  ~Whole() {
    if (std::uncaught_exceptions() > exceptions_) text_.resize(before_);
  }
  Whole(const Whole&) = delete;
  Whole& operator=(const Whole&) = delete;

 private:
  std::string& text_;
  const std::size_t before_;
  const int exceptions_ = std::uncaught_exceptions();
};

std::string caption_of(std::string_view caption) {
  return caption.empty() ? "" : fmt::format("<figcaption>{}</figcaption>\n", escaped(caption));
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.,+-e%") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

// ---- Charts: coordinates are a thousandth of the plot, so that it stretches with the page; strokes and text
// do not.

constexpr double kUnits = 1000;
constexpr std::size_t kColours = 10, kBuckets = 600;

constexpr index_t kFewClasses = 12;  // columns that fit a telephone

std::string path(std::string_view style, std::string_view d) {
  return fmt::format(R"(<path class="{}" d="{}"/>)", style, d);
}

// Of every `stride` neighbours the first, the lowest, the highest and the last.
std::vector<Point> thinned(const std::vector<Point>& places) {
  const std::size_t stride = (places.size() + kBuckets - 1) / kBuckets;
  if (stride <= 4) return places;
  std::vector<Point> kept;
  for (std::size_t begin = 0; begin < places.size(); begin += stride) {
    const std::size_t end = std::min(begin + stride, places.size());
    const auto [low, high] = std::minmax_element(
        places.begin() + static_cast<std::ptrdiff_t>(begin),
        places.begin() + static_cast<std::ptrdiff_t>(end), [](const Point& a, const Point& b) {
          return std::isnan(b.y) ? false : std::isnan(a.y) ? true : a.y < b.y;
        });
    std::vector<std::size_t> chosen{begin, static_cast<std::size_t>(low - places.begin()),
                                    static_cast<std::size_t>(high - places.begin()), end - 1};
    std::ranges::sort(chosen);
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (const std::size_t i : chosen) kept.push_back(places[i]);
  }
  return kept;
}

// A place that is not finite interrupts the line. "h0" makes a point of its own visible: a dot.
std::string line_of(const std::vector<Point>& places, bool connected) {
  std::string d;
  bool drawing = false;
  for (const Point& place : places) {
    const bool shown = std::isfinite(place.y);
    if (shown)
      d += drawing && connected ? fmt::format("L{:.1f} {:.1f}", place.x, place.y)
                                : fmt::format("M{:.1f} {:.1f}h0", place.x, place.y);
    drawing = shown;
  }
  return d;
}

std::string percent(double share) {
  return fmt::format("{:.2f}%", share * 100);
}

std::string style_of(std::size_t series) {
  return fmt::format("s{}", series % kColours);
}

struct Ticks {
  std::string grid, x, y;   // lines, and the labels below and left of them
  std::size_t longest = 1;  // of the labels at the left, in characters
};

Ticks ticks_of(const Chart& chart) {
  Ticks made;
  for (const Tick& tick : chart.y.ticks(5)) {
    made.grid += fmt::format("M0 {:.1f}H{}", kUnits * (1 - tick.at), kUnits);
    made.y += fmt::format("<span style=\"top:{}\">{}</span>", percent(1 - tick.at), tick.label);
    made.longest = std::max(made.longest, tick.label.size());
  }
  for (const Tick& tick : chart.x.ticks(6)) {
    made.grid += fmt::format("M{:.1f} 0V{}", kUnits * tick.at, kUnits);
    made.x += fmt::format("<span style=\"left:{}\">{}</span>", percent(tick.at), tick.label);
  }
  return made;
}

std::vector<Point> places_of(const Curve& curve) {
  std::vector<Point> places;
  for (const Point& p : curve.points) places.push_back({kUnits * p.x, kUnits * (1 - p.y)});
  return places;
}

std::string dots_of(const Curve& curve) {
  return path("dots", line_of(places_of(curve), false));
}

std::string lines_of(const Curve& curve) {
  const std::vector<Point> places = places_of(curve);
  std::string drawn = path(curve.dense ? "dense" : "line", line_of(thinned(places), true));
  if (curve.marked) drawn += path("marks", line_of(places, false));
  return drawn;
}

// A badge with the name of each cloud of dots in its middle, or as near as the other badges let it. How large a badge
// is on a telephone, where they have the least room, is estimated: 300 x 224 pixels, letters of 8.
std::string names_of(const Chart& chart) {
  constexpr double kWidth = 300, kHeight = 224, kLetter = 8, kAround = 17, kBadgeHeight = 23, kWidest = 112;
  std::vector<std::size_t> shown;
  std::vector<Point> centres, sizes;
  for (std::size_t i = 0; i < chart.curves.size(); ++i) {
    const Curve& curve = chart.curves[i];
    if (curve.name.empty() || curve.empty) continue;
    shown.push_back(i);
    centres.push_back({curve.centre.x, 1 - curve.centre.y});
    const double width = std::min(kLetter * static_cast<double>(curve.name.size()) + kAround, kWidest);
    sizes.push_back({width / kWidth, kBadgeHeight / kHeight});
  }
  const std::vector<Point> places = detail::keep_apart(centres, sizes);
  std::string names;
  for (std::size_t k = 0; k < shown.size(); ++k)
    names += fmt::format("<span class=\"name {}\" style=\"left:{};top:{}\">{}</span>", style_of(shown[k]),
                         percent(places[k].x), percent(places[k].y), escaped(chart.curves[shown[k]].name));
  return names;
}

}  // namespace

Report::Report(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

Report& Report::section(std::string_view title) {
  body_ += fmt::format("{}<section>\n<h2>{}</h2>\n", in_section_ ? "</section>\n" : "", escaped(title));
  in_section_ = true;
  return *this;
}

Report& Report::text(std::string_view paragraph) {
  body_ += fmt::format("<p>{}</p>\n", escaped(paragraph));
  return *this;
}

Report& Report::figures(const Facts& facts) {
  const Whole body(body_);
  body_ += "<dl class=\"figures\">\n";
  for (const auto& [name, value] : facts)
    body_ += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value));
  body_ += "</dl>\n";
  return *this;
}

Report& Report::facts(const Facts& facts) {
  const Whole body(body_);
  body_ += "<dl class=\"facts\">\n";
  for (const auto& [name, value] : facts)
    body_ += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value));
  body_ += "</dl>\n";
  return *this;
}

Report& Report::table(const Row& head, std::span<const Row> rows) {
  for (const Row& row : rows)
    if (row.size() != head.size())
      fail("report", "a row must have a cell for each of the {} columns, got {}", head.size(), row.size());
  std::vector<std::string_view> style(head.size());
  for (std::size_t i = 0; i < head.size(); ++i)
    if (!rows.empty() && std::ranges::all_of(rows, [&](const Row& row) { return is_number(row[i]); }))
      style[i] = " class=\"number\"";
  const auto line = [&](const Row& row, std::string_view tag) {
    body_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      body_ += fmt::format("<{}{}>{}</{}>", tag, style[i], escaped(row[i]), tag);
    body_ += "</tr>\n";
  };
  const Whole body(body_);
  body_ += "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead>";
  line(head, "th");
  body_ += "</thead>\n<tbody>\n";
  for (const Row& row : rows) line(row, "td");
  body_ += "</tbody>\n</table></div>\n";
  return *this;
}

Report& Report::preformatted(std::string_view text) {
  body_ += fmt::format("<div class=\"scroll\" tabindex=\"0\"><pre>{}</pre></div>\n", escaped(text));
  return *this;
}

Report& Report::lines(std::span<const Series> series, const ChartOptions& options) {
  return chart("lines", series, options, false);
}

Report& Report::dots(std::span<const Series> series, const ChartOptions& options) {
  return chart("dots", series, options, true);
}

Report& Report::chart(std::string_view op, std::span<const Series> series, const ChartOptions& options,
                      bool dots) {
  const Chart chart = detail::lay_out_chart(op, series, options.log_y, dots);
  const Ticks ticks = ticks_of(chart);
  std::string drawn, legend;
  for (std::size_t i = 0; i < chart.curves.size(); ++i) {
    const Curve& curve = chart.curves[i];
    drawn += fmt::format("<g class=\"{}\">{}</g>\n", style_of(i), dots ? dots_of(curve) : lines_of(curve));
    if (!curve.name.empty() && !(dots && curve.empty))
      legend += fmt::format("<li class=\"{}\">{}</li>", style_of(i), escaped(curve.name));
  }

  const Whole body(body_);
  body_ += "<figure class=\"chart\">\n";
  if (!options.title.empty())
    body_ += fmt::format("<figcaption class=\"title\">{}</figcaption>\n", escaped(options.title));
  if (!legend.empty()) body_ += fmt::format("<ul class=\"legend{}\">{}</ul>\n", dots ? " round" : "", legend);
  if (!options.y_label.empty())
    body_ += fmt::format("<p class=\"axis\">{}{}</p>\n", escaped(options.y_label),
                         options.log_y ? " (logarithmic)" : "");
  body_ += fmt::format(
      "<div class=\"plot\" style=\"--label:{}ch\">\n<div class=\"y\">{}</div>\n"
      "<div class=\"area\"><svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{}\">\n"
      "{}\n{}\n{}</svg>{}</div>\n<div class=\"x\">{}</div>\n</div>\n",
      ticks.longest, ticks.y, kUnits, kUnits,
      escaped(options.title.empty() ? options.y_label : options.title), path("grid", ticks.grid),
      path("frame", fmt::format("M0 {}H{}", kUnits, kUnits)), drawn, dots ? names_of(chart) : "", ticks.x);
  if (!options.x_label.empty())
    body_ += fmt::format("<p class=\"axis below\">{}</p>\n", escaped(options.x_label));
  body_ += "</figure>\n";
  return *this;
}

Report& Report::image(const Image& image, std::string_view caption, int scale) {
  const std::string picture = as_report([&] { return img(image, scale, caption); });
  body_ += fmt::format("<figure>{}\n{}</figure>\n", picture, caption_of(caption));
  return *this;
}

namespace {

// Hides the images of a last line that is not full: how many fit into a line is known to the reader's browser only. A
// browser without container queries shows all of them.
std::string full_lines(std::string_view gallery, index_t count, index_t width) {
  std::string style;
  const auto of = [=](index_t columns) {
    return columns * (width + detail::kGalleryGap) - detail::kGalleryGap;
  };
  for (index_t columns = 2; columns < count; ++columns) {
    if (count % columns == 0) continue;
    style += fmt::format(
        "@container (min-width: {}px) and (max-width: {}.99px) {{ .lines > .{} > :nth-child(n+{}) {{ display: none; }} }}\n",
        of(columns), of(columns + 1) - 1, gallery, count / columns * columns + 1);
  }
  return style;
}

}  // namespace

Report& Report::gallery(std::span<const Tensor> rows, const GalleryOptions& options) {
  if (rows.empty() || std::ranges::any_of(rows, [&](const Tensor& row) {
        return !row.defined() || row.rank() != 4 || row.size() == 0 || row.shape() != rows.front().shape();
      }))
    (void)as_report([&] { return sheet(rows); });  // says what is wrong
  if (!options.labels.empty() && options.labels.size() != rows.size())
    fail("report", "there must be one label for each row of images, got {} for {} rows",
         options.labels.size(), rows.size());
  const Whole body(body_), styles(gallery_styles_);
  const Shape& shape = rows.front().shape();
  body_ += "<figure><div class=\"gallery\">\n";
  if (!options.labels.empty()) {
    body_ += "<div class=\"labels\">";
    for (const std::string& label : options.labels)
      body_ += fmt::format("<span style=\"height:{}px\">{}</span>", shape[1] * options.scale, escaped(label));
    body_ += "</div>\n";
  }
  const index_t count = std::min(shape[0], options.count);
  const std::string name = fmt::format("g{}", galleries_++);
  gallery_styles_ += full_lines(name, count, shape[2] * options.scale);
  body_ += fmt::format("<div class=\"lines\"><div class=\"{}\">\n", name);
  for (index_t i = 0; i < count; ++i) {
    body_ += "<div>";
    for (const Tensor& row : rows) {
      const index_t size = shape.size() / shape[0];
      const Tensor one = TensorAccess::view(row, {1, shape[1], shape[2], shape[3]}, i * size);
      body_ += as_report([&] { return img(sheet({&one, 1}, {.columns = 1, .gap = 0}), options.scale, ""); });
    }
    body_ += "</div>\n";
  }
  body_ += fmt::format("</div></div></div>\n{}</figure>\n", caption_of(options.caption));
  return *this;
}

Report& Report::matrix(const Tensor& counts, const MatrixOptions& options) {
  if (!counts.defined()) fail("report", "the matrix of counts was never given a value");
  const index_t n = counts.rank() == 2 ? counts.shape()[0] : 0;
  if (n == 0 || counts.shape()[1] != n)
    fail("report", "the matrix of counts must have the shape [n, n], got {}", counts.shape());
  std::vector<std::string> labels = options.labels;
  if (labels.empty())
    for (index_t i = 0; i < n; ++i) labels.push_back(std::to_string(i));
  if (static_cast<index_t>(labels.size()) != n)
    fail("report", "there must be one label for each of the {1} classes, got {0}", labels.size(), n);

  const Whole body(body_);
  body_ += fmt::format(
      "<figure><div class=\"scroll\" tabindex=\"0\"><table class=\"matrix{}\">\n"
      "<caption>row: {} · column: {}</caption>\n<thead><tr><th></th>",
      n <= kFewClasses ? " few" : "", escaped(options.row_label), escaped(options.column_label));
  for (const std::string& label : labels) body_ += fmt::format("<th>{}</th>", escaped(label));
  body_ += "</tr></thead>\n<tbody>\n";
  for (index_t i = 0; i < n; ++i) {
    double total = 0;
    for (index_t j = 0; j < n; ++j) {
      const double count = counts.at({i, j});
      if (!(count >= 0 && std::isfinite(count)))
        fail("report", "counts must be finite and at least 0, got {2} at [{0}, {1}]", i, j, count);
      total += count;
    }
    body_ += fmt::format("<tr><th>{}</th>", escaped(labels[static_cast<std::size_t>(i)]));
    for (index_t j = 0; j < n; ++j) {
      const double count = counts.at({i, j}), share = total > 0 ? count / total : 0;
      const bool right = i == j, strong = share * (right ? 1 : 2.5) > 0.55;
      body_ += fmt::format("<td class=\"{}{}{}\" style=\"--share:{:.3f}\">{}</td>", right ? "right" : "wrong",
                           strong ? " strong" : "", count == 0 ? " zero" : "", share,
                           count == 0 ? "·" : fmt::format("{:.6g}", count));
    }
    body_ += "</tr>\n";
  }
  body_ += fmt::format("</tbody>\n</table></div>\n{}</figure>\n", caption_of(options.caption));
  return *this;
}

std::string Report::html() const {
  return fmt::format(
      R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{0}</title>
<style>{2}{5}</style>
</head>
<body>
<main>
<header>
<h1>{0}</h1>
{1}</header>
{3}{4}</main>
</body>
</html>
)",
      escaped(title_), subtitle_.empty() ? "" : fmt::format("<p>{}</p>\n", escaped(subtitle_)),
      detail::kReportStyle, body_, in_section_ ? "</section>\n" : "", gallery_styles_);
}

void Report::write(const std::filesystem::path& path) const {
  const std::string page = html();
  const std::span<const std::uint8_t> part(reinterpret_cast<const std::uint8_t*>(page.data()), page.size());
  detail::write_file("report", path, {&part, 1});
}

Report::Facts machine_facts() {
  const detail::system::Machine machine = detail::system::machine();
  const detail::Compiler compiler = detail::kCompiler;
  const std::time_t now = std::time(nullptr);
  const std::tm utc = detail::system::utc(now);
  char date[] = "2000-01-01 00:00 UTC";
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
  return {{"Date", date},
          {"tapegrad",
           fmt::format("{}.{}.{}", TAPEGRAD_VERSION_MAJOR, TAPEGRAD_VERSION_MINOR, TAPEGRAD_VERSION_PATCH)},
          {"Processor", machine.processor},
          {"Threads", fmt::format("{} in use", thread_count())},
          {"Memory", fmt::format("{:.1f} GB", machine.memory / 1e9)},
          {"System", machine.system},
          {"Compiler", fmt::format("{} {}.{}", compiler.name, compiler.major, compiler.minor)}};
}

}  // namespace tapegrad::inline v0
