# WebAssembly, by emscripten: -DCMAKE_TOOLCHAIN_FILE=tools/cross/wasm.cmake -DTAPEGRAD_MINIMAL=ON -DTAPEGRAD_MARCH=
# With its vectors of 128 bits, exceptions that the engine throws, and without threads (as a page needs headers of its server for them).
# Takes the headers of fmt and Highway that are installed for this system.
if(NOT EMSCRIPTEN_ROOT_PATH)
  if(DEFINED ENV{EMSDK})
    set(EMSCRIPTEN_ROOT_PATH $ENV{EMSDK}/upstream/emscripten)
  else()
    set(EMSCRIPTEN_ROOT_PATH /usr/share/emscripten) # Debian's
  endif()
endif()
include(${EMSCRIPTEN_ROOT_PATH}/cmake/Modules/Platform/Emscripten.cmake)
set(fmt_DIR ${CMAKE_CURRENT_LIST_DIR}/packages/fmt)
set(hwy_DIR ${CMAKE_CURRENT_LIST_DIR}/packages/hwy)
string(APPEND CMAKE_CXX_FLAGS_INIT " -msimd128 -fwasm-exceptions")
string(APPEND CMAKE_C_FLAGS_INIT " -msimd128")
