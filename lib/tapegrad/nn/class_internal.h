#pragma once

// Internal: of what class a module is, also where a program without RTTI made it.

#include <cstring>
#include <string>
#include <typeinfo>

#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0::detail {

inline const void* const* virtual_table(const Module& module) {
  const void* const* table = nullptr;
  std::memcpy(&table, static_cast<const void*>(&module), sizeof table);
  return table;
}

/// The class of a module; nullptr for a class that was compiled without RTTI.
const std::type_info* class_of(const Module& module);

/// The class's name as it is written, without namespaces; "Module" for a class that was compiled without RTTI.
std::string class_name(const Module& module);

/// Whether the module is an M or of a class derived from M; false for a class that was compiled without RTTI.
template <class M>
bool is_a(const Module& module) {
  return class_of(module) != nullptr && dynamic_cast<const M*>(&module) != nullptr;
}

/// Whether both are of one class; without RTTI: have one virtual table.
inline bool same_class(const Module& a, const Module& b) {
  const std::type_info *of_a = class_of(a), *of_b = class_of(b);
  return of_a != nullptr && of_b != nullptr ? *of_a == *of_b : virtual_table(a) == virtual_table(b);
}

}  // namespace tapegrad::inline v0::detail
