#pragma once

// Internal: the error of a tensor that there is no memory for.

#include "tapegrad/base/error.h"

namespace tapegrad::inline v0::detail {

/// What TensorAccess::empty() throws. For those who would take an Error for a fault of what they read.
class NoMemory : public Error {
 public:
  using Error::Error;
};

}  // namespace tapegrad::inline v0::detail
