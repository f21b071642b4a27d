# Without its library there is no choice of the instruction set while a program runs: the one that is compiled for is used.
include(${CMAKE_CURRENT_LIST_DIR}/../headers.cmake)
tapegrad_headers_of(hwy hwy::hwy)
set_property(TARGET hwy::hwy APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS HWY_COMPILE_ONLY_STATIC
             TAPEGRAD_ONE_TARGET)
