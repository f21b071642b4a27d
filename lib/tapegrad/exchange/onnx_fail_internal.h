#pragma once

// Internal: how the reader of ONNX models raises errors.

#include <filesystem>
#include <string>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0::onnx {

/// Where a model comes from: what errors call it, and where its external data lies.
struct Source {
  std::string what;              ///< "'path'" or "the model"
  std::filesystem::path folder;  ///< empty for a model in memory

  template <class... Args>
  [[noreturn, gnu::cold]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    throw Error("load_onnx", what + " " + fmt::vformat(message, fmt::make_format_args(args...)));
  }
};

}  // namespace tapegrad::inline v0::onnx
