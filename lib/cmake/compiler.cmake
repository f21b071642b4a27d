# The options of compilers, by what they are for: of GCC and Clang; and of MSVC, with which nobody has tried them.
# What a compiler has no option for is empty, whatever a project that includes this one has in a variable of that name.
foreach(purpose warnings warnings_as_errors no_warnings language optimize optimize_most optimize_for_size optimize_little optimize_not
                sections rtti no_errno no_fused_products no_traps unused_results no_unique vectorize vectorize_less)
  set(${purpose} "")
endforeach()
if(MSVC)
  set(warnings /W4 /wd5030) # 5030: attributes of GCC, which MSVC passes over
  set(warnings_as_errors /WX)
  set(no_warnings /w)
  # The standard's language, in files of UTF-8; what <windows.h> would define, and functions that it would have us replace.
  set(language /utf-8 /bigobj /permissive- /Zc:__cplusplus $<$<CXX_COMPILER_ID:MSVC>:/Zc:preprocessor> /DNOMINMAX /D_CRT_SECURE_NO_WARNINGS)
  set(optimize /O2) # as CMake's Release does: other levels would be overridden with a warning
  set(sections /Gy)
  set(no_fused_products /fp:precise $<$<CXX_COMPILER_ID:Clang>:/clang:-ffp-contract=off>)
  return()
endif()
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND warnings -Wno-restrict) # false alarms about std::string, GCC bug 105651
endif()
set(warnings_as_errors -Werror)
set(no_warnings -w)
set(optimize -O2)
set(optimize_most -O3)
set(optimize_for_size -Os)
set(optimize_little -O1)
set(optimize_not -O0)
set(sections -ffunction-sections -fdata-sections) # of each file a program takes only the functions that it needs
set(rtti -frtti)
set(no_errno -fno-math-errno)
set(no_fused_products -ffp-contract=off)
set(no_traps -fno-trapping-math)
set(unused_results -Wno-unused-result)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(no_unique -fno-gnu-unique)
  set(vectorize -ftree-vectorize -fvect-cost-model=dynamic)
  set(vectorize_less -fvect-cost-model=very-cheap)
endif()
