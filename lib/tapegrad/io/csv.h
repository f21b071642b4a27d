#pragma once

// Tables of numbers in files of comma-separated values.

#include <filesystem>
#include <string>
#include <vector>

#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

struct CsvOptions {
  char separator = ',';
  std::string label{};           ///< the name of the column with the labels; empty if there is none
  DType dtype = DType::Float32;  ///< of the values: Float32 or Float64
};

/// A table of numbers, and perhaps a label for each row.
struct Table {
  std::vector<std::string> columns{};  ///< names of the columns of values
  Tensor values{};                     ///< [rows, columns]
  /// [rows], not defined when there are none. Int32 if all labels are whole numbers that fit; otherwise, if
  /// they are numbers, of the values' dtype; otherwise Int32, the place of each in label_names.
  Tensor labels{};
  std::vector<std::string> label_names{};  ///< in byte order; none when labels are numbers
};

/// Reads a file of comma-separated values (RFC 4180: fields may be quoted; lines end in LF, CRLF or CR). Its
/// first line names the columns. Values are numbers as C++ and Python write them, "nan" and "inf" among them,
/// with a point whatever the locale; what is nearer to 0 than any number of the dtype is 0. Labels are numbers if that
/// of the first row is one. Empty lines and spaces around fields are skipped. The file is read twice and never held in
/// memory. Throws, naming line and column, for fields that are empty or no numbers, numbers that the dtype does not
/// hold, empty labels, and rows of another length than the first line.
[[nodiscard]] Table read_csv(const std::filesystem::path& path, const CsvOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
