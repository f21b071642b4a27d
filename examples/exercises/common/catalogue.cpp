#include <algorithm>

#include "common/exercise.h"

namespace exercises {
namespace {

std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

}  // namespace

bool enter(Entry entry) {
  entries().push_back(std::move(entry));
  std::ranges::sort(entries(), {}, [](const Entry& e) { return e.exercise.number; });
  return true;
}

const std::vector<Entry>& catalogue() {
  return entries();
}

}  // namespace exercises
