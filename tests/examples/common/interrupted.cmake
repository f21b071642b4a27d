# A run without checkpoints, interrupted by Ctrl-C, leaves its pictures.
#   cmake -DPROGRAM=... -DHELPER=... -DSCRATCH=... -P interrupted.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/running.cmake)
execute_process(COMMAND ${HELPER} press_ctrl_c ${SCRATCH}/said ${PROGRAM} --steps 1000000 --out ${SCRATCH}/out TIMEOUT 120
                OUTPUT_FILE ${SCRATCH}/said ERROR_VARIABLE err RESULT_VARIABLE code)
file(READ ${SCRATCH}/said said)
if(NOT code EQUAL 130 OR NOT said MATCHES "interrupted; the pictures? of [0-9]+ steps (is|are) in ")
  message(FATAL_ERROR "interrupted, it exits with ${code} and says:\n${said}${err}")
endif()
if(NOT EXISTS ${SCRATCH}/out/training.png)
  message(FATAL_ERROR "interrupted, it leaves no picture")
endif()
