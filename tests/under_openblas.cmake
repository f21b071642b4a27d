# Runs PROGRAM with the OpenBLAS that lies in DIRECTORY and is of this FLAVOUR, whichever it was linked with.
if(NOT EXISTS ${DIRECTORY}/libopenblas.so.0)
  message("skipped: the package libopenblas0-${FLAVOUR} is not installed (no ${DIRECTORY}/libopenblas.so.0)")
  return()
endif()
set(ENV{LD_LIBRARY_PATH} ${DIRECTORY})
set(ENV{TAPEGRAD_TEST_OPENBLAS} ${FLAVOUR})
set(ENV{OMP_NUM_THREADS} 3) # what a flavour would use, even on a single CPU, if it was not kept from it
execute_process(COMMAND ldd ${PROGRAM} OUTPUT_VARIABLE libraries COMMAND_ERROR_IS_FATAL ANY)
if(NOT libraries MATCHES "libopenblas[^\n]* => ${DIRECTORY}/")
  message(FATAL_ERROR "${PROGRAM} is not run with the OpenBLAS in ${DIRECTORY}:\n${libraries}")
endif()
# With the kernels for this CPU; and for one that every CPU can stand in for, whose small products are not treated apart.
foreach(core "" Nehalem)
  set(ENV{OPENBLAS_CORETYPE} ${core})
  execute_process(COMMAND ${PROGRAM} --gtest_brief=1 --gtest_filter=${TESTS} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
