#include "tapegrad/nn/class_internal.h"

#include <algorithm>

#if __has_include(<cxxabi.h>)
#include <cxxabi.h>

#include <cstdlib>
#endif

namespace tapegrad::inline v0 {

// What was compiled without RTTI has a 0 in its virtual table, which typeid and dynamic_cast would read. By the C++ ABI of
// Itanium, which GCC and Clang follow, the type stands in front of the table's first function.
const std::type_info* detail::class_of(const Module& module) {
  return static_cast<const std::type_info*>(virtual_table(module)[-1]);
}

std::string detail::class_name(const Module& module) {
  const std::type_info* type = class_of(module);
  if (type == nullptr) return "Module";
  std::string name = type->name();
#if __has_include(<cxxabi.h>)
  int status = 0;
  if (char* readable = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status)) {
    name = readable;
    std::free(readable);
  }
#endif
  name.resize(std::min(name.size(), name.find('<')));
  if (const auto colon = name.rfind(':'); colon != std::string::npos) name = name.substr(colon + 1);
  return name;
}

}  // namespace tapegrad::inline v0
