#include "tapegrad/base/dtype.h"

namespace tapegrad::inline v0 {

std::string_view name(DType dtype) {
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

}  // namespace tapegrad::inline v0
