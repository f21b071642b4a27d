# Two passes over the drawn digits are enough for samples among which a classifier finds most of the digits; the
# weights that were saved draw the same ones.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/common/running.cmake)

run(--data ${DATA} --epochs 2 --batch 32 --out ${SCRATCH}/trained)
find_printed(sure "1000 samples; a classifier is at least 90% sure of ([0-9]+)")
find_printed(digits "([0-9]+) of the ten digits")
if(sure LESS 100 OR digits LESS 6)
  message(FATAL_ERROR "after two epochs:\n${out}")
endif()
string(REGEX MATCH "1000 samples.*digits are among them" trained "${out}")

run(--data ${DATA} --load ${SCRATCH}/trained/weights.safetensors --classifier ${SCRATCH}/trained/classifier.safetensors
    --out ${SCRATCH}/loaded)
same_files(${SCRATCH}/trained/samples.png ${SCRATCH}/loaded/samples.png)
string(REGEX MATCH "1000 samples.*digits are among them" loaded "${out}")
if(NOT loaded STREQUAL trained)
  message(FATAL_ERROR "loaded, the weights draw others:\n${loaded}\nnot\n${trained}")
endif()

file(STRINGS ${SCRATCH}/trained/metrics.jsonl lines)
list(LENGTH lines count)
if(NOT count EQUAL 502)
  message(FATAL_ERROR "500 steps and 2 epochs left ${count} lines of metrics")
endif()
