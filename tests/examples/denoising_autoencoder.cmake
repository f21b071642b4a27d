# Half a pass over the drawn digits is enough to take most of the noise away; the weights that were saved do so again.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/common/running.cmake)

run(--data ${DATA} --epochs 1 --max-steps 60 --out ${SCRATCH}/trained)
find_printed(noisy "noisy digits 0.([0-9]+)")
find_printed(denoised "denoised 0.([0-9]+)")
math(EXPR twice "2 * (1${denoised} - 100000)") # five digits, none of them taken for an octal number's
math(EXPR noisy "1${noisy} - 100000")
if(noisy LESS 5000 OR twice GREATER noisy)
  message(FATAL_ERROR "more than half of the noise is left:\n${out}")
endif()

run(--data ${DATA} --load ${SCRATCH}/trained/weights.safetensors --out ${SCRATCH}/loaded)
find_printed(again "denoised 0.([0-9]+)")
if(NOT again STREQUAL denoised)
  message(FATAL_ERROR "loaded, they leave 0.${again}, not 0.${denoised}")
endif()
same_files(${SCRATCH}/trained/denoised.png ${SCRATCH}/loaded/denoised.png)

# No noise, no difference.
run(--data ${DATA} --load ${SCRATCH}/trained/weights.safetensors --noise 0 --out ${SCRATCH}/clean)
find_printed(noisy "noisy digits ([0-9.]+)")
if(NOT noisy EQUAL 0)
  message(FATAL_ERROR "without noise the digits are ${noisy} from themselves")
endif()
refuses("--noise" --noise -1)
