#include "tapegrad/base/error.h"

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

Error::Error(std::string_view op, std::string_view message)
    : std::runtime_error(fmt::format("[{}] {}", op, message)), op_(op) {}

std::string_view Error::message() const {
  return std::string_view(what()).substr(op_.size() + 3);
}

void fail_formatted(std::string_view op, fmt::string_view message, fmt::format_args args) {
  throw Error(op, fmt::vformat(message, args));
}

}  // namespace tapegrad::inline v0
