# 64-bit ARM under Linux, by Debian's g++-aarch64-linux-gnu, with the libraries of Debian's arm64 packages; programs run under
# qemu-user: -DCMAKE_TOOLCHAIN_FILE=tools/cross/arm64.cmake
# tools/run_everywhere.sh installs what this takes.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_LIBRARY_PATH /usr/lib/aarch64-linux-gnu)
set(CMAKE_PREFIX_PATH /usr/lib/aarch64-linux-gnu) # before what is installed for this system
set(fmt_DIR /usr/lib/aarch64-linux-gnu/cmake/fmt)
set(hwy_DIR /usr/lib/aarch64-linux-gnu/cmake/hwy)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Debian's cross-compiler has a C library of its own; programs find all at run time where Debian's packages put it.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
