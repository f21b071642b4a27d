#include "tapegrad/base/cpu_quota_internal.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string_view>

namespace tapegrad::inline v0::detail {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

int cpus(double quota, double period) {
  if (!(quota > 0 && period > 0)) return kNoLimit;  // -1 of version 1
  return static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, 1e6));
}

// Of one group: "200000 100000", or "max 100000".
int quota_2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota.find_first_not_of("0123456789") != std::string::npos ||
      quota.size() > 18)
    return kNoLimit;
  return cpus(static_cast<double>(std::stoll(quota)), period);
}

int quota_1(const std::string& folder) {
  double quota = 0, period = 0;
  std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  return cpus(quota, period);
}

// The tightest limit of a group and of those that it is in. Inside a container the group's path may not exist, and
// the root is the container's group.
template <class Quota>
int tightest(const std::string& root, std::string path, Quota quota) {
  int found = kNoLimit;
  for (;;) {
    found = std::min(found, quota(root + path));
    if (path.empty()) return found;
    path.resize(std::min(path.rfind('/'), path.size()));
    if (path.find('/') == std::string::npos) path.clear();
  }
}

bool lists_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const auto comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

int cpu_quota(const std::string& groups, const std::string& root) {
  int found = kNoLimit;
  std::ifstream file(groups);
  for (std::string line; std::getline(file, line);) {  // "0::/path", or "4:cpu,cpuacct:/path"
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    while (!path.empty() && path.back() == '/') path.pop_back();
    if (controllers.empty()) {
      found = std::min(found, tightest(root, path, quota_2));
    } else if (lists_cpu(controllers)) {
      for (const std::string& folder : {controllers, std::string("cpu"), std::string("cpu,cpuacct")})
        found = std::min(found, tightest(root + "/" + folder, path, quota_1));
    }
  }
  return found;
}

int cpu_quota() {
  return cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
}

}  // namespace tapegrad::inline v0::detail
