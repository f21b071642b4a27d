#pragma once

#include <filesystem>

namespace conv2d_explained {

/// Draws the example of overlapping stamps in three ways, into a folder that is created if it is missing: its stamps
/// (stamps.png), the zeros between its pixels (zero_inserted.png), and its matrix (matrix.png). Throws when a
/// file cannot be written.
void draw_pictures(const std::filesystem::path& folder);

}  // namespace conv2d_explained
