#pragma once

// Files of the IDX format, in which MNIST comes.

#include <filesystem>

#include "tapegrad/io/array_file.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads a file of the IDX format, in which MNIST comes, plain or gzipped (recognized by content, not by name). The
/// tensor has the shape that the file gives, up to Shape::kMaxRank axes; unsigned bytes become UInt8, signed bytes, 16-
/// and 32-bit integers Int32, floats Float32, doubles Float64. The format is described at the end of
/// http://yann.lecun.com/exdb/mnist/. Throws when the file cannot be read, is not IDX, is damaged (gzip's checksum
/// included), or is not exactly as long as its header says.
[[nodiscard]] Tensor read_idx(const std::filesystem::path& path);

/// Opens an IDX file that is not gzipped, to read its rows on demand. Throws as read_idx(), before elements are read.
[[nodiscard]] ArrayFile open_idx(const std::filesystem::path& path);

/// Writes a tensor as an IDX file, gzipped if the path ends in ".gz". An earlier file is replaced only when the new one
/// is complete; the same tensor gives the same bytes every time. Throws when the file cannot be written, and for axes
/// longer than the format's 32 bits.
void write_idx(const std::filesystem::path& path, const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
