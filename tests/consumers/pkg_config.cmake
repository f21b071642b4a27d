# Programs that are built without CMake, with an installed tree that was moved: by pkg-config alone, for a static library and a
# shared one; and with -fno-rtti.
#   cmake -DBUILD=... -DCOMPILER=... -DFLAGS=... -DPKG_CONFIG=... -DSOURCE=tests/consumers -DSCRATCH=...
#         -P pkg_config.cmake
cmake_minimum_required(VERSION 3.25)
separate_arguments(FLAGS)
file(REMOVE_RECURSE ${SCRATCH})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}/installed OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${SCRATCH}/installed ${SCRATCH}/moved)
file(GLOB_RECURSE description ${SCRATCH}/moved/*/tapegrad.pc)
get_filename_component(folder ${description} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${folder})
set(ENV{LD_LIBRARY_PATH} ${folder}/..)

# Nothing in it belongs to the machine that built it.
file(GLOB descriptions ${folder}/*.pc)
foreach(description IN LISTS descriptions)
  file(STRINGS ${description} absolute REGEX "(^|[ =]|-[A-Za-z])/")
  if(absolute)
    message(FATAL_ERROR "an installed tree that was moved to another machine finds nothing at: ${absolute}")
  endif()
endforeach()
function(build_and_run source)
  foreach(static "" --static)
    execute_process(COMMAND ${PKG_CONFIG} --cflags --libs ${static} "tapegrad >= 0.1" OUTPUT_VARIABLE flags
                    COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(flags UNIX_COMMAND "${flags}")
    execute_process(COMMAND ${COMPILER} ${FLAGS} ${ARGN} ${source} -o ${SCRATCH}/program ${flags}
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${SCRATCH}/program WORKING_DIRECTORY ${SCRATCH} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endfunction()
build_and_run(${SOURCE}/find_package/main.cpp -std=c++20)
build_and_run(${SOURCE}/without_rtti.cpp -std=c++20 -fno-rtti)
