include(${CMAKE_CURRENT_LIST_DIR}/../headers.cmake)
tapegrad_headers_of(fmt fmt::fmt)
set_property(TARGET fmt::fmt APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS FMT_HEADER_ONLY)
