# Two passes over the drawn digits are enough for nine of ten; the weights that were saved say the same again.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/common/running.cmake)

run(--data ${DATA} --epochs 2 --out ${SCRATCH}/trained)
find_printed(accuracy "test accuracy ([0-9.]+)%")
if(accuracy LESS 90)
  message(FATAL_ERROR "after two epochs ${accuracy}% of the test digits are told right")
endif()

run(--data ${DATA} --load ${SCRATCH}/trained/weights.safetensors --out ${SCRATCH}/loaded)
find_printed(again "test accuracy ([0-9.]+)%")
if(NOT again STREQUAL accuracy)
  message(FATAL_ERROR "loaded, they tell ${again}% right, not ${accuracy}%")
endif()
foreach(picture confusion.png mistakes.png)
  same_files(${SCRATCH}/trained/${picture} ${SCRATCH}/loaded/${picture})
endforeach()
if(NOT EXISTS ${SCRATCH}/trained/loss.png)
  message(FATAL_ERROR "there is no picture of the loss")
endif()

# The metrics: 125 steps and their epoch, twice.
file(STRINGS ${SCRATCH}/trained/metrics.jsonl lines)
list(LENGTH lines count)
list(POP_BACK lines last)
string(JSON epoch GET "${last}" epoch)
string(JSON share GET "${last}" test_accuracy)
if(NOT count EQUAL 252 OR NOT epoch EQUAL 2 OR share LESS 0.9)
  message(FATAL_ERROR "${count} lines of metrics end with ${last}")
endif()

# Batches are shifted on other threads, in an order that must not matter.
foreach(threads 1 2)
  run(--data ${DATA} --max-steps 20 --threads ${threads} --out ${SCRATCH}/threads_${threads})
endforeach()
same_files(${SCRATCH}/threads_1/weights.safetensors ${SCRATCH}/threads_2/weights.safetensors)

refuses("not a safetensors file" --data ${DATA} --load ${SCRATCH}/trained/confusion.png)
refuses("--epochs" --epochs 0)
