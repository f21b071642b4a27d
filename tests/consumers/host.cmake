# What a host project checks after it has included tapegrad, and what it builds.

# Its own option still decides about its own libraries, although it stands below.
option(BUILD_SHARED_LIBS "Build the host's libraries as shared ones" ON)
add_library(host_library ${CMAKE_CURRENT_LIST_DIR}/host_library.cpp)
get_target_property(kind host_library TYPE)
if(BUILD_SHARED_LIBS AND NOT kind STREQUAL "SHARED_LIBRARY")
  message(FATAL_ERROR "the host asked for shared libraries and got ${kind}")
endif()

set(flags_after "${CMAKE_BUILD_TYPE}|${CMAKE_CXX_FLAGS}|${CMAKE_CXX_STANDARD}|${CMAKE_CXX_EXTENSIONS}")
if(NOT flags_after STREQUAL flags_before)
  message(FATAL_ERROR "tapegrad changed the host's settings from ${flags_before} to ${flags_after}")
endif()
get_directory_property(options_after COMPILE_OPTIONS)
if(NOT "${options_after}" STREQUAL "${options_before}")
  message(FATAL_ERROR "tapegrad changed the host's compile options from ${options_before} to ${options_after}")
endif()

# In the cache, which all projects share, every name of tapegrad's own bears its name.
get_cmake_property(cache_after CACHE_VARIABLES)
list(REMOVE_ITEM cache_after ${cache_before} BUILD_SHARED_LIBS)
list(FILTER cache_after EXCLUDE REGEX "^(TAPEGRAD_|tapegrad_|FETCHCONTENT_|host_)")
# And of CMake's own modules and of the packages that tapegrad needs.
list(FILTER cache_after EXCLUDE REGEX
     "^(CMAKE_(HAVE|INSTALL|PROJECT)_|FIND_PACKAGE_MESSAGE_DETAILS_|GIT_EXECUTABLE|(ZLIB|PNG|JPEG)_|(fmt|hwy|nlohmann_json)_DIR|pkgcfg_lib_|PKG_CONFIG_|_OPENMP|Threads)")
if(cache_after AND NOT TAPEGRAD_BUILD_TESTS) # which need more packages
  message(FATAL_ERROR "tapegrad left names in the cache that do not bear its own: ${cache_after}")
endif()

add_executable(host ${CMAKE_CURRENT_LIST_DIR}/host.cpp)
target_link_libraries(host PRIVATE host_library tapegrad::tapegrad)
add_test(NAME host COMMAND host)

# It installs one file, and nothing of tapegrad unless it asks.
install(TARGETS host RUNTIME DESTINATION bin)
add_test(NAME one_file_is_installed
         COMMAND ${CMAKE_COMMAND} -DBUILD=${CMAKE_BINARY_DIR} -P ${CMAKE_CURRENT_LIST_DIR}/one_file_is_installed.cmake)
