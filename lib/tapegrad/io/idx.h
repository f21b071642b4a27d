#pragma once

// Files of the IDX format, in which MNIST comes.

#include <filesystem>

#include "tapegrad/io/array_file.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Reads a file of the IDX format, in which MNIST comes, plain or gzipped (told apart by content, not by
/// name). The tensor has the shape that the file gives, up to Shape::kMaxRank axes; unsigned bytes become
/// UInt8, signed bytes, 16- and 32-bit integers Int32, floats Float32, doubles Float64. The format is
/// described at the end of http://yann.lecun.com/exdb/mnist/. Throws when the file cannot be read, is not
/// IDX, is damaged (gzip's checksum included), or is not exactly as long as its header says.
[[nodiscard]] Tensor read_idx(const std::filesystem::path& path);

/// Opens an IDX file that is not gzipped, to read rows of it when they are asked for. Throws as read_idx,
/// before elements are read.
[[nodiscard]] ArrayFile open_idx(const std::filesystem::path& path);

/// Writes a tensor as an IDX file; gzipped when the path ends in ".gz". Replaces the file only once all of it
/// is written, and the same tensor gives the same bytes every time. Throws when it cannot be written, and for
/// axes longer than the format's 32 bits.
void write_idx(const std::filesystem::path& path, const Tensor& x);

}  // namespace v0
}  // namespace tapegrad
