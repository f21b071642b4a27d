#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>

namespace tapegrad::testing {

/// The threads of this process that Linux lists, by their numbers there. One that was joined may still be listed for a moment, so a
/// count would take those along that other tests have left.
inline std::set<std::string> listed_threads() {
  std::set<std::string> names;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    names.insert(task.path().filename().string());
  return names;
}

/// How many are listed now that were not before.
inline std::ptrdiff_t started_since(const std::set<std::string>& before) {
  const std::set<std::string> now = listed_threads();
  return std::count_if(now.begin(), now.end(),
                       [&](const std::string& name) { return !before.contains(name); });
}

}  // namespace tapegrad::testing
