#include "tapegrad/base/error.h"

#include <fmt/format.h>

namespace tapegrad {

Error::Error(std::string_view op, std::string_view message)
    : std::runtime_error(fmt::format("[{}] {}", op, message)), op_(op) {}

std::string_view Error::message() const {
  return std::string_view(what()).substr(op_.size() + 3);
}

}  // namespace tapegrad
