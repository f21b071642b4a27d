#pragma once

// What the examples ask of the operating system, but for Ctrl-C (interrupt.h): POSIX, or Windows.

#include <filesystem>
#include <system_error>

namespace common::system {

/// The file of the running program; empty where the system does not tell.
std::filesystem::path program();

/// The number of the process.
int process_number();

/// The file that takes everything and keeps nothing.
const char* nowhere();

/// Why what is there, and is no regular file, cannot be written, such as a pipe; nothing if it can. It is not opened.
std::error_code refusal_to_access(const std::filesystem::path& file);

/// Why a file cannot be opened to write at its end; nothing if it can. One that is missing is made.
std::error_code refusal_to_open(const std::filesystem::path& file);

}  // namespace common::system
