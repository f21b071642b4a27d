#include "tapegrad/base/dtype.h"

#include <ostream>

#include "tapegrad/base/fail_internal.h"

namespace tapegrad::inline v0 {

std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return "Float64";
    case DType::Int32:
      return "Int32";
    case DType::UInt8:
      return "UInt8";
    case DType::Float32:
      break;
  }
  return "Float32";
}

std::ostream& operator<<(std::ostream& stream, DType dtype) {
  return stream << to_string(dtype);
}

void detail::refuse_not_floating(DType dtype) {
  fail("dtype", "the dtype must be Float32 or Float64, got {}: convert with cast()", dtype);
}

}  // namespace tapegrad::inline v0
