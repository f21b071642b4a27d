# A short training finds some of each shape; the weights that were saved, running averages and all, say the same again.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/common/running.cmake)

run(--scenes 600 --batch 5 --epochs 1 --out ${SCRATCH}/trained)
find_printed(iou "mean IoU ([0-9.]+)")
if(iou LESS 0.22) # to take everything for background is 0.19
  message(FATAL_ERROR "after 120 steps:\n${out}")
endif()

run(--load ${SCRATCH}/trained/weights.safetensors --out ${SCRATCH}/loaded)
find_printed(again "mean IoU ([0-9.]+)")
if(NOT again STREQUAL iou)
  message(FATAL_ERROR "loaded, they reach ${again}, not ${iou}")
endif()
same_files(${SCRATCH}/trained/segmentation.png ${SCRATCH}/loaded/segmentation.png)

foreach(threads 1 2)
  run(--scenes 10 --batch 5 --epochs 1 --threads ${threads} --out ${SCRATCH}/threads_${threads})
endforeach()
same_files(${SCRATCH}/threads_1/weights.safetensors ${SCRATCH}/threads_2/weights.safetensors)

refuses("--data" --data ${DATA})
refuses("--scenes" --scenes 0)
