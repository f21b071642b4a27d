#pragma once

// ZIP archives with the contents of a test's choice, as files of torch.save() are.

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace tapegrad::testing {

inline std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += i < 8 ? static_cast<char>(value >> (8 * i)) : '\0';
  return text;
}

/// Members that are stored, with the right checksums.
inline void write_archive(const std::filesystem::path& path,
                          const std::vector<std::pair<std::string, std::string>>& members) {
  std::string file, directory;
  for (const auto& [name, content] : members) {
    const auto checksum =
        crc32_z(0, reinterpret_cast<const unsigned char*>(content.data()), content.size());  // NOLINT
    const std::string described = little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) +
                                  little(checksum, 4) + little(content.size(), 4) +
                                  little(content.size(), 4) + little(name.size(), 2) + little(0, 2);
    directory +=
        little(0x02014b50, 4) + little(20, 2) + described + little(0, 10) + little(file.size(), 4) + name;
    file += little(0x04034b50, 4) + described + name + content;
  }
  const std::size_t begin = file.size();
  file += directory + little(0x06054b50, 4) + little(0, 4) + little(members.size(), 2) +
          little(members.size(), 2) + little(directory.size(), 4) + little(begin, 4) + little(0, 2);
  std::ofstream(path, std::ios::binary) << file;
}

}  // namespace tapegrad::testing
