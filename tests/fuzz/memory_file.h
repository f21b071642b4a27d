#pragma once

// Readers take paths. A file system would take most of a fuzzer's time, so one path leads to memory: the program is linked
// with --wrap for the system calls that readers use (memory_file.cpp), and everything behind them is what a user runs.

#include <filesystem>

#include "fuzz.h"

namespace tapegrad::fuzz {

/// The path whose content is `content`, which must live until the next call.
const std::filesystem::path& in_memory(View content);

/// A new path for a file on the disk, and that file's bytes, after which it is gone.
std::filesystem::path scratch_file(const char* extension);
Bytes take_file(const std::filesystem::path& path);

/// The bytes of the file that write(path) writes.
template <class F>
Bytes written_by(F&& write, const char* extension = "") {
  const std::filesystem::path path = scratch_file(extension);
  write(path);
  return take_file(path);
}

}  // namespace tapegrad::fuzz
