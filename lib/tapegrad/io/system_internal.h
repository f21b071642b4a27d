#pragma once

// Internal: what io/ asks of the operating system: POSIX, or Windows. Each function does what the POSIX function in its comment
// does, and on failure returns false or a negative number and sets errno.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace tapegrad::inline v0::detail::system {

struct Status {
  bool regular = false;      // a file, not a folder, a device, ...
  std::uint64_t size = 0;    // in bytes
  unsigned permissions = 0;  // 0 to 0777; Windows has none
};

int open_to_read(const std::filesystem::path& path);            ///< open
int create(const std::filesystem::path& path);                  ///< open, of a new file that is written
int close(int file);                                            ///< close
std::ptrdiff_t read(int file, std::span<std::uint8_t> buffer);  ///< read, again after a signal
std::ptrdiff_t read_at(int file, std::span<std::uint8_t> buffer,
                       std::uint64_t offset);                         ///< pread, again after a signal
std::ptrdiff_t write(int file, std::span<const std::uint8_t> bytes);  ///< write, again after a signal
bool get_status(int file, Status& status);                            ///< fstat
bool get_status(const std::filesystem::path& path, Status& status);   ///< stat
bool set_permissions(int file, unsigned permissions);                 ///< fchmod
bool sync(int file);                                                  ///< fsync
bool replace(const std::filesystem::path& from, const std::filesystem::path& to);  ///< rename
void remove(const std::filesystem::path& path);                                    ///< unlink
/// A file descriptor of a folder; negative where there is none, as under Windows.
int open_folder(const std::filesystem::path& path);
/// fsync of a folder, as far as the file system can do that.
bool sync_folder(int folder);
/// A file descriptor that keeps the folder locked until it is closed; errno is EWOULDBLOCK where another one does.
int lock_folder(const std::filesystem::path& path);
/// What a folder holds, in no order.
bool list_folder(const std::filesystem::path& path, std::vector<std::filesystem::path>& found);
std::uint32_t process_number();  ///< getpid

}  // namespace tapegrad::inline v0::detail::system
