#pragma once

// Internal: how many CPUs control groups (containers) leave to this process.

#include <string>

namespace tapegrad::inline v0::detail {

/// The number of CPUs that control groups let this process use, rounded up; a large number without a limit. `groups`
/// is the file that says which groups the process is in, `root` the folder of all groups: cpu.max of version 2,
/// cpu.cfs_quota_us and cpu.cfs_period_us of version 1.
int cpu_quota(const std::string& groups, const std::string& root);

/// That of the files of this system. Linux has them: others set no limit.
int cpu_quota();

}  // namespace tapegrad::inline v0::detail
