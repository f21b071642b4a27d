#pragma once

// Internal: what kernels ask of the operating system.

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace tapegrad::inline v0::kernels {

/// The function of this name that the program and its libraries have; nullptr where there is none, and under Windows, where
/// functions are asked of one library only.
template <class Function>
Function* function_of_program([[maybe_unused]] const char* name) {
#if defined(_WIN32)
  return nullptr;
#else
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
#endif
}

}  // namespace tapegrad::inline v0::kernels
