#pragma once

// Internal: what show/ asks of the operating system: POSIX, or Windows.

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace tapegrad::inline v0::detail::system {

/// Opens a file to write at its end; the programs that this one starts do not get it. `keep`: with what is in it.
std::FILE* open_log(const char* path, bool keep);
bool is_terminal(std::FILE* file);                   ///< whether somebody looks at what is written
int columns(std::FILE* file);                        ///< of a terminal; 0 where that is not known
bool cut_off(std::FILE* file, std::uint64_t bytes);  ///< leaves only the first bytes; false with errno
bool write_to_disk(std::FILE* file);                 ///< false with errno
std::tm utc(std::time_t time);                       ///< the date and the time of day in Greenwich

/// What kind of machine this is.
struct Machine {
  std::string processor, system;  // "AMD EPYC", "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
  double memory = 0;              // bytes
};
Machine machine();

}  // namespace tapegrad::inline v0::detail::system
