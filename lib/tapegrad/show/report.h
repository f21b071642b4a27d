#pragma once

// Report: a page of HTML about a run.

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tapegrad/io/image.h"
#include "tapegrad/show/plot.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct GalleryOptions {
  std::string caption{};              ///< what stands below
  int scale = 2;                      ///< each pixel becomes scale x scale pixels of an ordinary screen
  index_t count = 40;                 ///< images shown at most
  std::vector<std::string> labels{};  ///< what stands left of each row; none, or one for each tensor
};

struct MatrixOptions {
  std::vector<std::string> labels{};  ///< of the classes; empty: their numbers
  std::string caption{};              ///< what stands below
  /// What the classes along the rows and along the columns are.
  std::string row_label = "is", column_label = "taken for";
};

/// One page of HTML about a run, to be opened in any browser and mailed to anyone: pictures and curves are
/// inside of it, it needs no network and runs no script, follows the reader's light or dark colours, and fits
/// a telephone. Everything appears in the order in which it was added; texts are shown as they are, whatever
/// they contain.
///
///   tg::Report report("Autoencoder of digits", "wide net, 10 epochs");
///   report.section("Loss").lines(series, {.x_label = "epoch", .y_label = "MSE", .log_y = true});
///   report.section("Machine").facts(tg::machine_facts());
///   report.write("report.html");
class Report {
 public:
  /// Names and what they are.
  using Facts = std::vector<std::pair<std::string, std::string>>;
  using Row = std::vector<std::string>;

  explicit Report(std::string title, std::string subtitle = {});

  /// A heading; what is added next belongs to it.
  Report& section(std::string_view title);
  /// A paragraph.
  Report& text(std::string_view paragraph);
  /// The few numbers that matter most, in large type.
  Report& figures(const Facts& facts);
  /// A list of names and values: options, the machine.
  Report& facts(const Facts& facts);
  /// Columns of numbers are aligned at the right. Throws when a row is not as long as the head.
  Report& table(const Row& head, std::span<const Row> rows);
  /// Text whose spaces and line breaks matter, such as Module::summary().
  Report& preformatted(std::string_view text);

  /// Lines over x, as line_chart() draws them. The sizes in options are not used: a chart is as wide as the
  /// page. Lines of thousands of points are thinned out; peaks stay. Throws as line_chart().
  Report& lines(std::span<const Series> series, const ChartOptions& options = {});
  /// A dot for each point, a legend of the colours, and the series' name in the middle of its dots, or near it where
  /// names would hide each other: a latent space, one series for each class.
  Report& dots(std::span<const Series> series, const ChartOptions& options = {});

  /// A picture, every pixel shown as scale x scale. Throws when write_png() would.
  Report& image(const Image& image, std::string_view caption = {}, int scale = 1);
  /// Images to be compared, one tensor for each version of them, as sheet() takes them: the versions of an
  /// image stand one below the other, and these columns fill the page's width. Throws as sheet().
  Report& gallery(std::span<const Tensor> rows, const GalleryOptions& options = {});
  /// A confusion matrix: counts[i, j] of what is class i and was taken for class j; [n, n], any dtype. Cells
  /// are shaded by their share of the row. Throws for other shapes, negative or infinite counts, and labels
  /// that are not n.
  Report& matrix(const Tensor& counts, const MatrixOptions& options = {});

  /// The page so far.
  std::string html() const;
  /// Replaces the file only once all of it is written. Throws when it cannot be written.
  void write(const std::filesystem::path& path) const;

 private:
  Report& chart(std::string_view op, std::span<const Series> series, const ChartOptions& options, bool dots);

  std::string title_, subtitle_, body_, gallery_styles_;
  int galleries_ = 0;
  bool in_section_ = false;
};

/// What a run ran on: version of tapegrad, processor, threads it may use, memory, system, compiler.
[[nodiscard]] Report::Facts machine_facts();

}  // namespace v0
}  // namespace tapegrad
