# What the scripts of the examples share. They are run with -DPROGRAM=... -DDATA=... -DSCRATCH=...
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
get_filename_component(program_name ${PROGRAM} NAME_WE)

# Runs the program, which has to succeed; what it prints is in `out`. If `may_miss_its_goal` is set, it may exit with 1, but
# without an error.
function(run)
  execute_process(COMMAND ${PROGRAM} ${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  if(NOT code EQUAL 0 AND NOT (may_miss_its_goal AND code EQUAL 1 AND err STREQUAL ""))
    message(FATAL_ERROR "${ARGN}\nexited with ${code}: ${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

# Fails with one line on the error output that matches `pattern`.
function(refuses pattern)
  if(NOT "--out" IN_LIST ARGN)
    list(APPEND ARGN --out ${SCRATCH}/refused)
  endif()
  execute_process(COMMAND ${PROGRAM} ${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE err
                  RESULT_VARIABLE code)
  if(NOT code MATCHES "^[0-9]+$" OR code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nexited with '${code}'")
  endif()
  if(NOT err MATCHES "^${program_name}: [^\n]*\n$")
    message(FATAL_ERROR "${ARGN}\nis not refused in one line: ${err}")
  endif()
  if(NOT err MATCHES "${pattern}")
    message(FATAL_ERROR "${ARGN}\nis refused without '${pattern}': ${err}")
  endif()
endfunction()

function(same_files a b)
  file(SHA256 ${a} hash_a)
  file(SHA256 ${b} hash_b)
  if(NOT hash_a STREQUAL hash_b)
    message(FATAL_ERROR "${a} and ${b} differ")
  endif()
endfunction()

# `variable` becomes what the parentheses in `pattern` stand for in what the last run printed.
macro(find_printed variable pattern)
  if(NOT out MATCHES "${pattern}")
    message(FATAL_ERROR "there is no '${pattern}' in\n${out}")
  endif()
  set(${variable} "${CMAKE_MATCH_1}")
endmacro()
