#pragma once

// What the exercises ask of the operating system: POSIX, or Windows.

#include <filesystem>
#include <string_view>

namespace exercises::system {

/// Whether somebody looks at the standard output.
bool is_terminal();

/// Writes the text to the standard output and ends the program with the status 1. Of use in the handler of a signal.
[[noreturn]] void end_saying(std::string_view text);

/// The file of the running program; empty where the system does not tell.
std::filesystem::path program();

}  // namespace exercises::system
