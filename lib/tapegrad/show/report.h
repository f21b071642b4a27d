#pragma once

// Report: a page of HTML about a run.

#include <filesystem>
#include <initializer_list>
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
  std::string caption{};  ///< text below
  int scale = 2;          ///< each pixel becomes scale x scale pixels of an ordinary screen
  index_t count = 40;     ///< most images shown; a last line of images that would not be full is left out
  std::vector<std::string> labels{};  ///< labels at the left of the rows: none, or one for each tensor
};

struct MatrixOptions {
  std::vector<std::string> labels{};  ///< names of the classes; empty: their numbers
  std::string caption{};              ///< text below
  /// What the classes along the rows and along the columns are.
  std::string row_label = "is", column_label = "taken for";
};

/// One page of HTML about a run, to be opened in any browser and mailed to anyone. Pictures and curves are part of the
/// file; the page needs no network and runs no script, follows the reader's light or dark mode, and fits a telephone.
/// Everything appears in the order in which it was added; texts are shown literally, whatever they contain.
///
///   tg::Report report("Autoencoder of digits", "wide net, 10 epochs");
///   report.section("Loss").lines({train, test}, {.x_label = "epoch", .y_label = "MSE", .log_y = true});
///   report.section("Machine").facts(tg::machine_facts());
///   report.write("report.html");
class Report {
 public:
  /// Pairs of a name and a value.
  using Facts = std::vector<std::pair<std::string, std::string>>;
  using Row = std::vector<std::string>;

  explicit Report(std::string title, std::string subtitle = {});

  /// Begins a section with this heading.
  Report& section(std::string_view title);
  /// A paragraph.
  Report& text(std::string_view paragraph);
  /// The few numbers that matter most, in large type.
  Report& figures(const Facts& facts);
  /// A list of names and values: options, the machine.
  Report& facts(const Facts& facts);
  /// A table. Columns of numbers are aligned at the right. Throws when a row does not have as many cells as the head.
  Report& table(const Row& head, std::span<const Row> rows);
  Report& table(const Row& head, std::initializer_list<Row> rows) { return table(head, whole(rows)); }
  /// Text in a monospaced font that keeps its spaces and line breaks, such as Module::summary().
  Report& preformatted(std::string_view text);

  /// A chart of lines over x, as line_chart() draws it. The sizes in options are not used: a chart is as wide as the
  /// page. Lines of thousands of points are thinned out; peaks stay. Throws as line_chart().
  Report& lines(std::span<const Series> series, const ChartOptions& options = {});
  Report& lines(std::initializer_list<Series> series, const ChartOptions& options = {}) {
    return lines(whole(series), options);
  }
  /// A scatter plot, such as a latent space with one series for each class: a dot for each point, a legend of the
  /// colours, and each series' name in the middle of its dots, or nearby where names would overlap.
  Report& dots(std::span<const Series> series, const ChartOptions& options = {});
  Report& dots(std::initializer_list<Series> series, const ChartOptions& options = {}) {
    return dots(whole(series), options);
  }

  /// A picture, with every pixel shown as scale x scale pixels. Throws when write_png() would.
  Report& image(const Image& image, std::string_view caption = {}, int scale = 1);
  /// Images to be compared, one tensor for each version of the images, as sheet() takes them. The versions of an image
  /// stand one below the other, and these columns fill the page's width. Throws as sheet().
  Report& gallery(std::span<const Tensor> rows, const GalleryOptions& options = {});
  Report& gallery(std::initializer_list<Tensor> rows, const GalleryOptions& options = {}) {
    return gallery(whole(rows), options);
  }
  /// A confusion matrix [n, n] of any dtype: counts[i, j] is the number of samples of class i that were taken for class
  /// j. Cells are shaded by their share of the row. Throws for other shapes, for negative or infinite counts, and
  /// unless there are n labels or none.
  Report& matrix(const Tensor& counts, const MatrixOptions& options = {});

  /// The page as HTML.
  [[nodiscard]] std::string html() const;
  /// Writes the page. An earlier file is replaced only when the new one is complete. Throws when the file cannot be
  /// written.
  void write(const std::filesystem::path& path) const;

 private:
  template <class T>
  static std::span<const T> whole(std::initializer_list<T> list) {
    return {list.begin(), list.size()};
  }
  Report& chart(std::string_view op, std::span<const Series> series, const ChartOptions& options, bool dots);

  std::string title_, subtitle_, body_, gallery_styles_;
  int galleries_ = 0;
  bool in_section_ = false;
};

/// The environment of a run: date, version of tapegrad, processor, threads in use, memory, system, compiler.
[[nodiscard]] Report::Facts machine_facts();

}  // namespace v0
}  // namespace tapegrad
