#include "tapegrad/base/error.h"

#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

namespace {

// what() would end at a NUL, which names and texts out of files may have in them.
std::string without_nul(std::string text) {
  std::ranges::replace(text, '\0', '?');
  return text;
}

}  // namespace

Error::Error(std::string_view op, std::string_view message)
    : std::runtime_error(without_nul(fmt::format("[{}] {}", op, message))), op_(op) {}

Error::~Error() = default;

std::string_view Error::message() const {
  return std::string_view(what()).substr(op_.size() + 3);
}

void fail_formatted(std::string_view op, fmt::string_view message, fmt::format_args args) {
  detail::context().bytes_saved = 0;  // an op that fails keeps nothing of what its rules have saved so far
  throw Error(op, fmt::vformat(message, args));
}

}  // namespace tapegrad::inline v0
