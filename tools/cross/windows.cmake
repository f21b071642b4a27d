# Windows on x86-64, by Debian's mingw-w64 (g++-mingw-w64-x86-64-posix); programs run under wine:
#   -DCMAKE_TOOLCHAIN_FILE=tools/cross/windows.cmake -DTAPEGRAD_MINIMAL=ON
# Takes the headers of fmt and Highway that are installed for this system. The kernels are those of x86-64-v2 alone: GCC's
# stack under Windows is aligned to 16 bytes, which vectors of AVX2 on it are not (GCC bug 54412).
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(fmt_DIR ${CMAKE_CURRENT_LIST_DIR}/packages/fmt)
set(hwy_DIR ${CMAKE_CURRENT_LIST_DIR}/packages/hwy)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static") # a program brings GCC's libraries along
set(CMAKE_CROSSCOMPILING_EMULATOR wine)
