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
  char separator = ',';          ///< what stands between two fields of a line
  std::string label{};           ///< name of the column with the labels; empty if there is none
  DType dtype = DType::Float32;  ///< dtype of the values: Float32 or Float64
};

/// A table of numbers, and perhaps a label for each row.
struct Table {
  std::vector<std::string> columns{};  ///< names of the columns of values
  Tensor values{};                     ///< [rows, columns]
  /// [rows]; undefined if there is no label column. Int32 if all labels are whole numbers that Int32 can hold; of the
  /// values' dtype if they are other numbers; otherwise Int32 indices into label_names.
  Tensor labels{};
  std::vector<std::string> label_names{};  ///< in byte order; empty when labels are numbers
};

/// Reads a file of comma-separated values (RFC 4180: fields may be quoted; lines end in LF, CRLF or CR). The first line
/// names the columns. Values are numbers as C++ and Python write them, including "nan" and "inf", with a decimal point
/// whatever the locale; numbers too small for the dtype become 0. Labels are numbers if the label of the first row is a
/// number, otherwise class names. Empty lines and spaces around fields are skipped. The file is read twice and never
/// held in memory as a whole. Throws, naming line and column, for fields that are empty or not numbers, numbers too
/// large for the dtype, empty labels, labels that are whole numbers which neither Int32 nor Float32 holds exactly (take
/// Float64), and rows of another length than the first line.
[[nodiscard]] Table read_csv(const std::filesystem::path& path, const CsvOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
