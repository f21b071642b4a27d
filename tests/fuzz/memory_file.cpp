#include "memory_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

namespace {

const std::filesystem::path& path_of_memory() {
  static const std::filesystem::path path = "/memory/fuzzed";
  return path;
}

tapegrad::fuzz::View content;

// Descriptors of the file in memory, which no system hands out; each has a position of its own.
constexpr int kFirst = 1 << 24, kMost = 8;
struct Opened {
  bool in_use = false;
  std::size_t position = 0;
} opened[kMost];

Opened* opened_by(int fd) {
  return fd >= kFirst && fd < kFirst + kMost ? &opened[fd - kFirst] : nullptr;
}

ssize_t copy(std::size_t from, void* to, std::size_t count) {
  const std::size_t taken = from < content.size() ? std::min(count, content.size() - from) : 0;
  if (taken > 0) std::memcpy(to, content.data() + from, taken);
  return static_cast<ssize_t>(taken);
}

}  // namespace

// The linker sends calls of open() here (--wrap=open), and those of __real_open() to the system; so for the others.
extern "C" {
int __real_open(const char* path, int flags, ...);
int __real_close(int fd);
int __real_fstat(int fd, struct stat* status);
ssize_t __real_read(int fd, void* to, std::size_t count);
ssize_t __real_pread(int fd, void* to, std::size_t count, off_t from);

int __wrap_open(const char* path, int flags, mode_t mode) {
  if (path_of_memory().native() != path) return __real_open(path, flags, mode);
  for (int i = 0; i < kMost; ++i)
    if (!opened[i].in_use) {
      opened[i] = {true, 0};
      return kFirst + i;
    }
  tapegrad::fuzz::found("a reader leaves its files open");
}

int __wrap_close(int fd) {
  Opened* const file = opened_by(fd);
  if (file == nullptr) return __real_close(fd);
  if (!file->in_use) tapegrad::fuzz::found("a file is closed twice");
  file->in_use = false;
  return 0;
}

int __wrap_fstat(int fd, struct stat* status) {
  if (opened_by(fd) == nullptr) return __real_fstat(fd, status);
  *status = {};
  status->st_mode = S_IFREG | 0600;
  status->st_size = static_cast<off_t>(content.size());
  return 0;
}

ssize_t __wrap_read(int fd, void* to, std::size_t count) {
  Opened* const file = opened_by(fd);
  if (file == nullptr) return __real_read(fd, to, count);
  const ssize_t taken = copy(file->position, to, count);
  file->position += static_cast<std::size_t>(taken);
  return taken;
}

ssize_t __wrap_pread(int fd, void* to, std::size_t count, off_t from) {
  if (opened_by(fd) == nullptr) return __real_pread(fd, to, count, from);
  return copy(static_cast<std::size_t>(from), to, count);
}
}  // extern "C"

namespace tapegrad::fuzz {

const std::filesystem::path& in_memory(View bytes) {
  content = bytes;
  return path_of_memory();
}

std::filesystem::path scratch_file(const char* extension) {
  return std::filesystem::temp_directory_path() / ("tapegrad-fuzz-" + std::to_string(::getpid()) + extension);
}

Bytes take_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  Bytes bytes(std::istreambuf_iterator<char>(file), {});
  if (bytes.empty()) found("nothing was written to " + path.string());
  std::filesystem::remove(path);
  return bytes;
}

}  // namespace tapegrad::fuzz
