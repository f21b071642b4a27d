#include "tapegrad/show/report.h"

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <regex>
#include <utility>

#include "io/temporary.h"
#include "tapegrad/show/draw.h"

namespace tapegrad {
namespace {

using testing::error_of, testing::expect_contains, testing::read_bytes, testing::TemporaryFolder,
    testing::write_bytes;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// The d of all paths with this class.
std::vector<std::string> paths(const std::string& html, const std::string& style) {
  std::vector<std::string> found;
  const std::string begin = "<path class=\"" + style + "\" d=\"";
  for (auto at = html.find(begin); at != std::string::npos; at = html.find(begin, at + 1)) {
    const auto from = at + begin.size();
    found.push_back(html.substr(from, html.find('"', from) - from));
  }
  return found;
}

std::vector<std::uint8_t> from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::uint8_t> bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<std::uint32_t>(digits.find(c));
    if ((held += 6) >= 8) bytes.push_back(static_cast<std::uint8_t>(bits >> (held -= 8)));
  }
  return bytes;
}

// All pictures of a page, as a reader of PNG sees them.
std::vector<Image> pictures(const std::string& html, int channels) {
  std::vector<Image> found;
  const TemporaryFolder folder;
  const std::string begin = "src=\"data:image/png;base64,";
  for (auto at = html.find(begin); at != std::string::npos; at = html.find(begin, at + 1)) {
    const auto from = at + begin.size();
    write_bytes(folder / "x.png", from_base64(html.substr(from, html.find('"', from) - from)));
    found.push_back(read_image(folder / "x.png", channels));
  }
  return found;
}

TEST(Report, EverythingIsThereInItsOrder) {
  Report report("Title", "Subtitle");
  report.figures({{"accuracy", "97 %"}});
  report.section("First").text("words").facts({{"--seed", "1"}});
  report.section("Second").preformatted("a  b\n c");
  const std::string html = report.html();
  EXPECT_EQ(html.rfind("<!DOCTYPE html>", 0), 0u);
  std::size_t at = 0;
  for (const char* part :
       {"<title>Title</title>", "<h1>Title</h1>", "<p>Subtitle</p>", "<dt>accuracy</dt><dd>97 %</dd>",
        "<section>\n<h2>First</h2>", "<p>words</p>", "<dt>--seed</dt><dd>1</dd>", "</section>",
        "<h2>Second</h2>", "<pre>a  b\n c</pre>", "</section>", "</main>"}) {
    at = html.find(part, at);
    ASSERT_NE(at, std::string::npos) << part;
  }
  EXPECT_EQ(count(html, "<section>"), 2u);
  EXPECT_EQ(count(html, "</section>"), 2u);
}

TEST(Report, TextsAreShownAsTheyAre) {
  const std::string evil = "<script>alert('&\"')</script>\x01";
  const std::string shown = "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;\xef\xbf\xbd";
  Report report(evil, evil);
  const std::vector<Report::Row> rows = {{evil}};
  const std::vector<Series> series = {{evil, {1, 2}, {1, 2}}};
  report.section(evil)
      .text(evil)
      .figures({{evil, evil}})
      .facts({{evil, evil}})
      .table({evil}, rows)
      .preformatted(evil);
  report.lines(series, {.title = evil, .x_label = evil, .y_label = evil}).dots(series, {.y_label = evil});
  report.image(Image(1, 1, 1), evil);
  report.gallery(std::vector<Tensor>{zeros({1, 1, 1, 1})}, {.caption = evil});
  report.matrix(ones({1, 1}), {.labels = {evil}, .caption = evil, .row_label = evil, .column_label = evil});
  const std::string html = report.html();
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  // title twice, subtitle; heading, text, figures 2, facts 2, table 2, pre; lines: legend, title, x, y,
  // aria-label; dots: legend, name, y, aria-label; image: caption, alt; gallery; matrix: labels 2, caption, row,
  // column
  EXPECT_EQ(count(html, shown), 3u + 9 + 5 + 4 + 2 + 1 + 5);
}

// Parts are taken as they are written, in braces, as from a vector.
TEST(Report, BracedParts) {
  const Series a{.name = "a", .x = {0, 1}, .y = {1, 2}}, b{.name = "b", .x = {0, 1}, .y = {3, 2}};
  const Tensor images = zeros({2, 4, 4, 1}), drawn = ones({2, 4, 4, 1});
  Report braced("x"), whole("x");
  braced.lines({a, b}, {.x_label = "epoch"}).lines({a}).dots({a, b}).gallery({images, drawn}, {.scale = 3});
  braced.gallery({images}).table({"x", "y"}, {{"1", "2"}, {"3", "4"}}).table({"x", "y"}, {{"1", "2"}});
  const std::vector<Series> both = {a, b}, first = {a};
  const std::vector<Tensor> versions = {images, drawn};
  const std::vector<Report::Row> rows = {{"1", "2"}, {"3", "4"}};
  whole.lines(both, {.x_label = "epoch"}).lines(first).dots(both).gallery(versions, {.scale = 3});
  whole.gallery({&images, 1}).table({"x", "y"}, rows).table({"x", "y"}, {rows.data(), 1});
  EXPECT_EQ(braced.html(), whole.html());

  Image by_list(20, 20, 1, kWhite), by_vector = by_list;
  const std::vector<Point> points = {{1, 1}, {15, 4}, {3, 12}};
  draw_polyline(by_list, {{1, 1}, {15, 4}, {3, 12}}, kBlack);
  draw_polyline(by_vector, points, kBlack);
  EXPECT_EQ(by_list.pixels, by_vector.pixels);
}

TEST(Report, ColumnsOfNumbersAreAligned) {
  Report report("t");
  const std::vector<Report::Row> rows = {{"a", "1.5", "1"}, {"2", "-3e-5", "x"}};
  report.table({"name", "value", "mixed"}, rows);
  expect_contains(report.html(), "<tr><th>name</th><th class=\"number\">value</th><th>mixed</th></tr>");
  expect_contains(report.html(), "<tr><td>2</td><td class=\"number\">-3e-5</td><td>x</td></tr>");
  const std::vector<Report::Row> ragged = {{"a"}};
  expect_contains(error_of("report", [&] { report.table({"a", "b"}, ragged); }), "got 1");
}

TEST(Report, PicturesAreInsideExactly) {
  for (const int width : {1, 2, 3, 50}) {  // all paddings of base64 come up among their lengths
    Image image(3, width, 3);
    for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 37);
    Report report("t");
    report.image(image, "what it is", 4);
    const std::vector<Image> found = pictures(report.html(), 3);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].width, width);
    EXPECT_TRUE(found[0].pixels == image.pixels);
    expect_contains(report.html(),
                    "width=\"" + std::to_string(4 * width) + "\" height=\"12\" alt=\"what it is\"");
  }
}

TEST(Report, GalleryShowsVersionsOfAnImageTogether) {
  const Tensor a = tensor(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}, {3, 2, 1, 1});
  const Tensor b = tensor(std::vector<std::uint8_t>{11, 12, 13, 14, 15, 16}, {3, 2, 1, 1});
  Report report("t");
  report.gallery(std::vector<Tensor>{a, b}, {.count = 2});
  const std::vector<Image> found = pictures(report.html(), 1);
  ASSERT_EQ(found.size(), 4u);
  using Pixels = std::vector<std::uint8_t>;
  EXPECT_EQ(found[0].pixels, (Pixels{1, 2}));
  EXPECT_EQ(found[1].pixels, (Pixels{11, 12}));
  EXPECT_EQ(found[2].pixels, (Pixels{3, 4}));
  EXPECT_EQ(found[3].pixels, (Pixels{13, 14}));
  error_of("report", [&] { report.gallery({}); });
  error_of("report", [&] { report.gallery(std::vector<Tensor>{a, zeros({3, 2, 2, 1}, DType::UInt8)}); });
  error_of("report", [&] { report.gallery(std::vector<Tensor>{zeros({3, 2, 2, 2})}); });
  error_of("report", [&] { report.gallery(std::vector<Tensor>{zeros({3})}); });
}

TEST(Report, LinesAreWhereTheirPointsAre) {
  Report report("t");
  const std::vector<Series> series = {{"a", {0, 10}, {0, 100}}, {"b", {0, 5, 7, 10}, {50, kNan, 50, 50}}};
  report.lines(series, {.y_label = "loss"});
  const std::string html = report.html();
  const std::vector<std::string> lines = paths(html, "line");
  ASSERT_EQ(lines.size(), 2u);
  // From 0 to 100 with a margin of 5 above; x from edge to edge; y down.
  EXPECT_EQ(lines[0], "M0.0 1000.0h0L1000.0 47.6");
  EXPECT_EQ(lines[1], "M0.0 523.8h0M700.0 523.8h0L1000.0 523.8");
  EXPECT_EQ(paths(html, "marks").size(), 2u);
  expect_contains(html, "<span style=\"top:100.00%\">0</span>");
  expect_contains(html, "<span style=\"left:100.00%\">10</span>");
  expect_contains(html, "<li class=\"s1\">b</li>");
  expect_contains(html, "<p class=\"axis\">loss</p>");
}

TEST(Report, LongLinesAreThinnedButKeepTheirPeaks) {
  Series noisy{"loss", {}, {}};
  for (int i = 0; i < 100'000; ++i) {
    noisy.x.push_back(i);
    noisy.y.push_back(i == 54'321 ? 40 : i == 70'007 ? 0 : 10 + i % 7);
  }
  Report report("t");
  report.lines({&noisy, 1});
  const std::vector<std::string> lines = paths(report.html(), "dense");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_LT(count(lines[0], "L"), 2400u);
  EXPECT_GT(count(lines[0], "L"), 1000u);
  expect_contains(lines[0], "L543.2 47.6");    // the peak
  expect_contains(lines[0], "L700.1 1000.0");  // and the lowest point
  EXPECT_EQ(lines[0].rfind("M0.0 ", 0), 0u);
  expect_contains(lines[0], "L1000.0 ");
}

TEST(Report, DotsAreNamedInTheirMiddle) {
  Report report("t");
  const std::vector<Series> series = {{"a", {-1, 1}, {-1, 1}}, {"b", {0, kNan}, {-1, 0}}};
  report.dots(series);
  expect_contains(report.html(), "<span class=\"name s0\" style=\"left:50.00%;top:50.00%\">a</span>");
  expect_contains(report.html(),
                  "<ul class=\"legend round\"><li class=\"s0\">a</li><li class=\"s1\">b</li></ul>");
  ASSERT_EQ(paths(report.html(), "dots").size(), 2u);
  EXPECT_EQ(count(paths(report.html(), "dots")[0], "h0"), 2u);
  EXPECT_EQ(count(paths(report.html(), "dots")[1], "h0"), 1u);
}

// Names of clouds of dots that lie on each other: none hides another, on a telephone either.
TEST(Report, NamesOfDotsDoNotHideEachOther) {
  std::vector<Series> series;
  for (int digit = 0; digit < 10; ++digit)
    series.push_back({std::to_string(digit), {-1, 0.01 * digit, 1}, {-1, 0.02 * (digit % 3), 1}});
  Report report("t");
  report.dots(series);
  const std::string html = report.html();
  const std::regex name("class=\"name s[0-9]\" style=\"left:([0-9.]+)%;top:([0-9.]+)%\"");
  std::vector<std::pair<double, double>> places;
  for (std::sregex_iterator at(html.begin(), html.end(), name), end; at != end; ++at)
    places.emplace_back(std::stod((*at)[1]), std::stod((*at)[2]));
  ASSERT_EQ(places.size(), 10u);
  constexpr double kWidth = 24.0 / 300 * 100,
                   kHeight = 22.0 / 224 * 100;  // of a badge with one letter, in percent
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_GE(places[i].first, kWidth / 2);
    EXPECT_LE(places[i].first, 100 - kWidth / 2);
    for (std::size_t k = 0; k < i; ++k)
      EXPECT_TRUE(std::abs(places[i].first - places[k].first) >= kWidth ||
                  std::abs(places[i].second - places[k].second) >= kHeight)
          << i << " and " << k;
  }
}

TEST(Report, GalleryRowsHaveLabels) {
  const Tensor x = zeros({2, 5, 3, 1}, DType::UInt8);
  Report report("t");
  report.gallery(std::vector<Tensor>{x, x}, {.scale = 2, .labels = {"original", "<reconstruction>"}});
  expect_contains(report.html(),
                  "<div class=\"labels\"><span style=\"height:10px\">original</span>"
                  "<span style=\"height:10px\">&lt;reconstruction&gt;</span></div>");
  expect_contains(error_of("report",
                           [&] {
                             report.gallery(std::vector<Tensor>{x}, {.labels = {"a", "b"}});
                           }),
                  "2 for 1 rows");
}

// Where 2, 3 or 4 of 5 images fit into a line, those of a last line that is not full are hidden.
TEST(Report, GalleriesHaveNoRaggedLastLine) {
  Report report("t");
  report.gallery(std::vector<Tensor>{zeros({5, 4, 3, 1})}, {.scale = 2});
  report.gallery(std::vector<Tensor>{zeros({2, 4, 3, 1})});
  const std::string html = report.html();
  expect_contains(
      html,
      "@container (min-width: 18px) and (max-width: 29.99px) { .lines > .g0 > :nth-child(n+5) { display: none; } }");
  expect_contains(
      html,
      "@container (min-width: 30px) and (max-width: 41.99px) { .lines > .g0 > :nth-child(n+4) { display: none; } }");
  expect_contains(
      html,
      "@container (min-width: 42px) and (max-width: 53.99px) { .lines > .g0 > :nth-child(n+5) { display: none; } }");
  EXPECT_EQ(html.find("54px) and"), std::string::npos);
  EXPECT_EQ(html.find("> .g1 > :nth-child"), std::string::npos)
      << "two images are one line, or two of one image";
  expect_contains(html, "<div class=\"lines\"><div class=\"g1\">");
}

TEST(Report, ChartsWithoutAPointAreRefused) {
  Report report("t");
  const std::vector<Series> none = {{"a", {1}, {kNan}}}, uneven = {{"a", {1, 2}, {1}}},
                            negative = {{"a", {1}, {-1}}};
  error_of("lines", [&] { report.lines(none); });
  error_of("dots", [&] { report.dots(uneven); });
  expect_contains(error_of("lines", [&] { report.lines(negative, {.log_y = true}); }), "logarithmic");
}

TEST(Report, MatrixShadesSharesOfRows) {
  Report report("t");
  report.matrix(tensor({{3, 1}, {0, 0}}, DType::Int32), {.labels = {"cat", "dog"}});
  expect_contains(report.html(),
                  "<th>cat</th><td class=\"right strong\" style=\"--share:0.750\">3</td>"
                  "<td class=\"wrong strong\" style=\"--share:0.250\">1</td>");
  expect_contains(report.html(), "<th>dog</th><td class=\"wrong zero\" style=\"--share:0.000\">·</td>");
  error_of("report", [&] { report.matrix(zeros({2, 3})); });
  error_of("report", [&] { report.matrix(zeros({0, 0})); });
  error_of("report", [&] { report.matrix(zeros({4})); });
  error_of("report", [&] { report.matrix(tensor({{-1}})); });
  error_of("report", [&] { report.matrix(tensor({{kNan}})); });
  error_of("report", [&] { report.matrix(zeros({2, 2}), {.labels = {"a"}}); });
}

TEST(Report, MachineIsDescribed) {
  const Report::Facts facts = machine_facts();
  ASSERT_GE(facts.size(), 5u);
  for (const auto& [name, value] : facts) EXPECT_FALSE(value.empty()) << name;
  const std::string version = std::to_string(TAPEGRAD_VERSION_MAJOR) + "." +
                              std::to_string(TAPEGRAD_VERSION_MINOR) + "." +
                              std::to_string(TAPEGRAD_VERSION_PATCH);
  const auto told =
      std::ranges::find_if(facts, [&](const auto& f) { return f.second.find(version) != f.second.npos; });
  ASSERT_NE(told, facts.end()) << version;
  EXPECT_NE(Report("a title", "").facts(facts).html().find(told->second), std::string::npos);
}

TEST(Report, CannotBeWritten) {
  const TemporaryFolder folder;
  expect_contains(error_of("report", [&] { Report("t").write(folder / "no/x.html"); }), "No such file");
}

// In a browser, where one is installed: whatever is in a report, it fits the page.
TEST(Report, FitsTheScreen) {
  const std::string word(300, 'w');
  Report report("A_title_without_a_space_" + word.substr(0, 60), word);
  report.figures({{"number of parameters", "123,456,789,012"}, {"path", word}, {"loss", "1.2345e-12"}});
  report.section(word).text(word).facts({{word, word}, {"--data", "/a/" + word}});
  const std::vector<Report::Row> rows = {Report::Row(20, "123456.789")};
  report.section("Tables").table(Report::Row(20, "a column"), rows).preformatted(word + word);
  Series tiny{"a series with a name that is rather long, as names are", {}, {}}, huge = tiny;
  for (int i = 0; i < 1000; ++i) {
    tiny.x.push_back(1e6 * i), tiny.y.push_back(1e-12 * (i + 1));
    huge.x.push_back(1e6 * i), huge.y.push_back(1e-3 * std::pow(i, 5));
  }
  const std::vector<Series> series = {tiny, huge};
  report.section("Charts").lines(series,
                                 {.title = word, .x_label = "steps", .y_label = "loss", .log_y = true});
  report.dots(series, {.x_label = word});
  report.section("Pictures")
      .image(Image(20, 3000, 1), word)
      .gallery(std::vector<Tensor>{zeros({3, 4, 400, 3})});
  std::vector<std::string> labels;
  for (int i = 0; i < 30; ++i) labels.push_back("class " + std::to_string(i));
  Tensor diagonal = zeros({10, 10}, DType::Int32);
  for (index_t i = 0; i < 10; ++i) diagonal.set({i, i}, 980), diagonal.set({i, (i + 1) % 10}, 20);
  report.section("Confusion").matrix(diagonal, {.caption = "ten classes"});
  report.matrix(full({30, 30}, 1000), {.labels = labels, .caption = word});

  const TemporaryFolder folder;
  report.write(folder / "report.html");
  const char* shots = std::getenv("TAPEGRAD_SCREENSHOTS");  // a folder, to look at them
  const int status = std::system(("sh " TAPEGRAD_SOURCE "/tests/check_report.sh " +
                                  (folder / "report.html").string() + " " + (shots != nullptr ? shots : ""))
                                     .c_str());
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "Chromium is not installed";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace tapegrad
