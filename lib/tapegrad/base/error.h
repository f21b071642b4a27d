#pragma once

// Error, the base class of all exceptions of the library.

#include <stdexcept>
#include <string>
#include <string_view>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// The base class of all exceptions that tapegrad throws. what() is "[op] message"; op() names the function or layer
/// that refused, so that a program can tell errors apart without parsing their text.
class Error : public std::runtime_error {
 public:
  /// what() becomes "[op] message".
  Error(std::string_view op, std::string_view message);
  Error(const Error&) = default;
  Error& operator=(const Error&) = default;
  ~Error() override;

  /// The function or layer that refused.
  const std::string& op() const { return op_; }
  /// The message without the "[op] " in front.
  std::string_view message() const;

 private:
  std::string op_;
};

}  // namespace v0
}  // namespace tapegrad
