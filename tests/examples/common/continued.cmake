# A training example, interrupted by Ctrl-C and continued, leaves the same weights as one that never was; and a second start
# without --resume keeps what the first one saved.   cmake -DPROGRAM=... -DDATA=... -DSCRATCH=... -P continued.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/running.cmake)

# Small runs of two epochs: they are stopped after `stops` steps (within an epoch, at its end, and in the second one), the last
# of which leaves the checkpoint `last`.
set(common --epochs 2 --threads 1)
set(stops 1 4 6 9)
set(last step-00000012.safetensors)
set(chart loss.png)
if(program_name MATCHES "poisson|gradient_penalty") # no data set, and steps in place of epochs
  set(chart training.png)
  set(may_miss_its_goal ON) # after so few steps
  if(program_name STREQUAL poisson)
    set(common --threads 1 --steps 110 --points 16)
    set(stops 1 40 100 105)
    set(last step-00000110.safetensors)
  else()
    set(common --threads 1 --steps 30 --batch 2)
    set(stops 1 10 25 28)
    set(last step-00000030.safetensors)
  endif()
elseif(program_name STREQUAL unet_segmentation)
  list(APPEND common --scenes 12 --batch 2)
else()
  list(APPEND common --data ${SCRATCH}/data --batch 16)
  execute_process(COMMAND ${HELPER} cut ${DATA} ${SCRATCH}/data 96 COMMAND_ERROR_IS_FATAL ANY)
  if(program_name MATCHES "mnist_vae|dcgan")
    execute_process(COMMAND ${CLASSIFIER} --data ${SCRATCH}/data --max-steps 1 --out ${SCRATCH}/judge OUTPUT_QUIET
                    COMMAND_ERROR_IS_FATAL ANY)
    list(APPEND common --classifier ${SCRATCH}/judge/weights.safetensors)
  endif()
endif()

# Where there is no run, --resume does not begin one: a folder that was mistyped is told, with those nearby that hold a run,
# and is not made.
set(nothing "--out must be the folder of an earlier run for --resume to continue, and '[^']*' holds none")
set(way_out ": give the folder of that run, or begin a new run without --resume\n$")
refuses("${nothing}${way_out}" ${common} --resume --out ${SCRATCH}/nowhere/part)
run(${common} --out ${SCRATCH}/whole)
set(resume "")
foreach(steps IN LISTS stops)
  run(${common} --max-steps ${steps} ${resume} --out ${SCRATCH}/parts)
  set(resume --resume)
endforeach()
refuses("${nothing} \\(did you mean [^ ]*/parts or [^)]*/whole[^)]*\\?\\)${way_out}" ${common} --resume --out ${SCRATCH}/part)
refuses("'[^']*/parts/checkpoints' holds none \\(did you mean [^ ]*/parts\\?\\)" ${common} --resume --out ${SCRATCH}/parts/checkpoints)
if(EXISTS ${SCRATCH}/part OR EXISTS ${SCRATCH}/nowhere)
  message(FATAL_ERROR "--resume made a folder in which there is nothing to resume")
endif()

# Ctrl-C as soon as the run has begun: it saves, says so, and exits with 130.
execute_process(COMMAND ${HELPER} press_ctrl_c ${SCRATCH}/pressed/metrics.jsonl ${PROGRAM} ${common} --out ${SCRATCH}/pressed
                OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
if(code EQUAL 130)
  if(NOT out MATCHES "interrupted; all that was done is saved: --resume continues it")
    message(FATAL_ERROR "interrupted, it says:\n${out}${err}")
  endif()
elseif(NOT code EQUAL 0 AND NOT may_miss_its_goal) # it was faster
  message(FATAL_ERROR "interrupted, it exits with ${code}:\n${out}${err}")
endif()
foreach(name parts pressed)
  run(${common} --resume --out ${SCRATCH}/${name})
  same_files(${SCRATCH}/whole/weights.safetensors ${SCRATCH}/${name}/weights.safetensors)
  same_files(${SCRATCH}/whole/${chart} ${SCRATCH}/${name}/${chart})
endforeach()

# Nothing is left to do: it says so. Another seed is another run.
run(${common} --resume --out ${SCRATCH}/parts)
if(NOT out MATCHES "all (2 epochs are done: a larger --epochs goes on|[0-9]+ steps are done\n)")
  message(FATAL_ERROR "continued after its end, it says:\n${out}")
endif()
refuses("'--seed' cannot be restored" ${common} --resume --seed 7 --out ${SCRATCH}/parts)

# Wrong options leave an earlier run alone. Two careless starts: both earlier runs are kept, their metrics, too, and can be
# continued.
file(COPY_FILE ${SCRATCH}/parts/metrics.jsonl ${SCRATCH}/metrics_before)
if(NOT program_name MATCHES "unet_segmentation|poisson|gradient_penalty")
  set(large ${common})
  list(TRANSFORM large REPLACE "^16$" 97)
  refuses("--batch must be at most (96, )?the number of training images, got 97" ${large} --out ${SCRATCH}/parts)
endif()
# Inputs are read and outputs tried before anything of the earlier run is touched, and before the first step.
set(unwritable "--metrics must be a file that can be written, and '[^']*' cannot")
refuses("${unwritable}: No such file or directory" ${common} --metrics ${SCRATCH}/nowhere/metrics --out ${SCRATCH}/parts)
refuses("${unwritable}: Is a directory" ${common} --metrics ${SCRATCH}/parts --out ${SCRATCH}/parts)
refuses("--metrics must be a file outside of '[^']*/parts/checkpoints', got '[^']*/inside'"
        ${common} --metrics ${SCRATCH}/parts/checkpoints/inside --out ${SCRATCH}/parts)
refuses("--out must be a folder to which files can be written, and to '/proc' they cannot: No such file"
        ${common} --metrics ${SCRATCH}/elsewhere --out /proc)
file(MAKE_DIRECTORY ${SCRATCH}/parts/occupied.png)
refuses("no folder has the name of a file of results, got '[^']*/occupied.png'" ${common} --out ${SCRATCH}/parts)
file(REMOVE_RECURSE ${SCRATCH}/parts/occupied.png)
if(program_name MATCHES "mnist_vae|dcgan")
  set(unjudged ${common})
  list(TRANSFORM unjudged REPLACE "/judge/" "/nowhere/")
  refuses("'[^']*/nowhere/weights.safetensors': No such file" ${unjudged} --out ${SCRATCH}/parts)
endif()
if(NOT EXISTS ${SCRATCH}/parts/checkpoints/${last} OR EXISTS ${SCRATCH}/parts/checkpoints.old
   OR EXISTS ${SCRATCH}/parts/checkpoints/inside OR EXISTS ${SCRATCH}/elsewhere)
  message(FATAL_ERROR "a run that was refused has left something, or moved the earlier one")
endif()
same_files(${SCRATCH}/metrics_before ${SCRATCH}/parts/metrics.jsonl)
foreach(round 1 2)
  run(${common} --max-steps 1 --out ${SCRATCH}/parts)
  if(NOT out MATCHES "checkpoints.old")
    message(FATAL_ERROR "a new run does not tell where the checkpoints of the earlier one are:\n${out}")
  endif()
endforeach()
if(NOT EXISTS ${SCRATCH}/parts/checkpoints.old/${last} OR NOT EXISTS ${SCRATCH}/parts/checkpoints.old2)
  message(FATAL_ERROR "the checkpoints of an earlier run were lost")
endif()
file(COPY ${SCRATCH}/parts/checkpoints.old/ DESTINATION ${SCRATCH}/back/checkpoints)
file(RENAME ${SCRATCH}/back/checkpoints/metrics.jsonl ${SCRATCH}/back/metrics.jsonl)
same_files(${SCRATCH}/metrics_before ${SCRATCH}/back/metrics.jsonl)
run(${common} --resume --out ${SCRATCH}/back)
same_files(${SCRATCH}/whole/weights.safetensors ${SCRATCH}/back/weights.safetensors)
