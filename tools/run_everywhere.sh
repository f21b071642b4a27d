#!/bin/bash
# Builds the library for every platform and with every compiler that Debian 12 and 13 have, and runs the tests there.
#   tools/run_everywhere.sh [--report FILE] [WHAT[=ROOM,ROOM...]]...   (default: all of them, with their results in tests/EVERYWHERE.md)
#   x86        the tests with the kernels of x86-64-v2, v3 and v4, each forced, as far as this CPU has them, also in the programs that
#              tests start; those of mpi where build/release has it (-DTAPEGRAD_MPI=ON)
#   x86-lower  the same for CI, which has run all tests where nothing is forced: without the best level that this CPU has, those that
#              choose a level themselves, and those of how programs end and go on
#   arm64      NEON, by g++-aarch64-linux-gnu, with Debian's arm64 packages, under qemu-user: no speed of it is worth telling
#   wasm       WebAssembly, by emscripten in a Debian 13 (tools/cross/debian13.sh), with its vectors, under node
#   windows    by mingw-w64, under wine
#   compilers  g++-12 clang++-14 clang++-16 clang++-19 libc++ (Clang 19 with that library); in a Debian 13 g++-13 g++-14: each of
#              these names is one of WHAT, too
#   results    the last results alone
# Needs root, for Debian's packages. With rooms only these are built and run; without, those of tests/cross. The report tells the last
# results of all, each with its commit: what takes an hour can be run in pieces.
set -euo pipefail
cd "$(dirname "$0")/.."
report=
checks=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --report) [ $# -ge 2 ] || { echo "run_everywhere.sh: --report needs a file" >&2; exit 2; }; report=$2; shift 2 ;;
    *) checks+=("$1"); shift ;;
  esac
done
if [ ${#checks[@]} -eq 0 ]; then
  checks=(x86 arm64 wasm windows compilers)
  report=${report:-tests/EVERYWHERE.md}
fi
for i in "${!checks[@]}"; do
  case ${checks[i]} in
    compilers*)
      rooms=${checks[i]#compilers}
      checks+=("g++-12$rooms" "clang++-14$rooms" "clang++-16$rooms" "clang++-19$rooms" "libc++$rooms" "g++-13$rooms" "g++-14$rooms")
      unset "checks[i]"
      ;;
  esac
done
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
build=build/everywhere
mkdir -p $build/results
commit=$(git rev-parse --short HEAD)
git diff --quiet HEAD -- lib tests || commit+=", changed"
failed=0
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DTAPEGRAD_BUILD_TESTS=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF -DTAPEGRAD_BUILD_TOOLS=OFF
  -DTAPEGRAD_EXCHANGE=OFF -DTAPEGRAD_INSTALL=OFF -DTAPEGRAD_CROSS_TESTS=ON)

# What no platform may leave out, whatever else it lacks: the oracles' cases, the op table, and training as on x86-64.
never_left_out() { # rooms
  local orders type
  for type in Float32 Float64; do
    case ,$1, in *,ops,*)
      printf '%s\n' Conv2DOracle.{PyTorch,TensorFlowJs}$type DTypes/OpOracle.{ForwardAndGradients,SecondOrder}/$type ;;
    esac
    case ,$1, in *,nn,*) printf '%s\n' DTypes/TrainingTrace.TwentyFiveStepsOfAdam/$type DTypes/FiftySteps.GoAsOnX86/$type ;; esac
  done
  orders=(FirstOrderGradcheck SecondOrderGradcheck Float32GivesTheSame{,Second}GradientsUpToRounding)
  case ,$1, in *,ops,*) printf 'Row/OpTable.%s/\n' "${orders[@]}" ;; esac
}
# A line of the report: how many tests of the rooms passed. All tests of a room are run, or fail.
report() { # what it is, rooms, log, status
  local passed skipped status=$4 name
  for name in $(never_left_out "$2"); do
    grep -qF "[       OK ] $name" "$3" || { echo "did not pass: $name"; status=1; }
  done
  passed=$(awk '/\[  PASSED  \]/ { n += $(NF - 1) } END { print n + 0 }' "$3")
  skipped=$(awk '/\[  SKIPPED \] [0-9]+ test/ { sub(/.*SKIPPED \] /, ""); n += $1 } END { print n + 0 }' "$3")
  grep -E "the losses of" "$3" | sed 's/^[0-9]*: //' || true
  if [ "$status" -ne 0 ]; then
    grep -A 12 -E 'Failure|FAILED' "$3" | tail -n 60 || true
    failed=1
  fi
  echo "| $1 | ${2//,/, } | $passed | $skipped | $([ "$status" -eq 0 ] && echo passed || echo FAILED) | $(date -u +%F), $commit |" |
    tee -a "$results"
}
# The rooms of build/release.
rooms_here() {
  local without=''
  grep -qsx 'TAPEGRAD_MPI:BOOL=ON' build/release/CMakeCache.txt || without=mpi
  printf '%s\n' tests/*/*_test.cpp | cut -d/ -f2 | sort -u | grep -vx "$without" | paste -sd,
}
# The tests of rooms that start programs, as ctest knows them. All are in examples, mpi and tools, and there is no test program to run.
rooms_of_programs='examples|mpi|tools'
starting_programs() { # rooms
  local room
  for room in ${1//,/ }; do
    case $room in
      examples) printf '%s|' '(examples?|exercises)[.]' ;;
      mpi | tools) printf '%s|' "${room}[.]" ;;
      process) printf '%s|' 'process[.]loaded_and_dropped$' ;;
      tapegrad_c) printf '%s|' 'tapegrad_c[.](program|python)$' ;;
    esac
  done
}
# Those of them that compute nothing, or have programs of their own built. And, left out in CI, whose time is short: those of how programs
# end and go on, and those that run again what others run or choose an instruction set themselves.
computing_nothing='[.](help|command_line|unknown_option|untouched|script|report|installed)$|tools[.](fetch_mnist|compare|keras_to_npz|run_everywhere)|[.]playground$'
left_out_in_ci='[.](continued|moved|score)$|^examples[.]Survival|^mpi[.](killed|stopped)$|^tools[.]check_(determinism|numpy)$'
targets_here() { # rooms
  local room
  for room in ${1//,/ }; do
    case $room in
      mpi) echo test_mpi mpi_waits mnist_autoencoder mnist_classifier sweep forced_target train_hash ;;
      examples | tools | process | tapegrad_c) echo all ;;
      *) echo "test_$room" ;;
    esac
  done
}
# Tests that choose an instruction set themselves are run where it is the forced one. Into programs that tests start it is loaded, and
# tools.forced_target is the test of whether they use it.
run_here() { # what it is, instruction set, rooms: the release build's own programs
  local log=$build/$2.log logs=$build/$2 status=0 others here programs left_out=$computing_nothing began=$SECONDS
  others=$(printf '%s\n' AVX512 AVX2 SSE4 | grep -vx "$2" | sed 's|^|Targets/*/|' | paste -sd:)
  if [ "$check" = x86-lower ]; then # those that choose an instruction set themselves were run
    left_out+="|$left_out_in_ci" others='Targets/*'
  fi
  rm -rf "$logs"
  here=$(tr , '\n' <<<"$3" | grep -vxE "$rooms_of_programs" | paste -sd' ') || true
  # shellcheck disable=SC2086  # one word a room
  [ -z "$here" ] || TAPEGRAD_TEST_TARGET=$2 tools/run_test_programs.sh build/release/tests "$logs" "*:-$others" $here >/dev/null || status=1
  mkdir -p "$logs"
  programs=$(starting_programs "$3")
  if [ -n "$programs" ]; then
    TAPEGRAD_TEST_TARGET=$2 LD_PRELOAD=$PWD/build/release/tests/libforced_target.so ctest --preset release \
      --parallel "$CMAKE_BUILD_PARALLEL_LEVEL" -R "^(${programs}tools[.]forced_target\$)" -E "$left_out" \
      >"$logs/programs.log" 2>&1 || status=1
    grep -Eq 'tools[.]forced_target .*( Passed |Skipped)' "$logs/programs.log" || { echo "nothing was forced on programs"; status=1; }
    awk '/ Test +#.* Passed /{ passed++ } / Test +#.*[*][*][*]Skipped/{ skipped++ }
      END { printf "[  PASSED  ] %d tests.\n[  SKIPPED ] %d tests\n", passed, skipped }' "$logs/programs.log" >"$logs/programs.count.log"
  fi
  cat "$logs"/*.log >"$log"
  report "$1" "$3" "$log" $status
  echo "$((SECONDS - began)) s"
}
run() { # what it is, folder, rooms, and a command that runs in front of all
  local what=$1 folder=$2 rooms=$3 log=$2/run.log status=0
  "${@:4}" ctest --test-dir "$folder" --parallel "$CMAKE_BUILD_PARALLEL_LEVEL" -R "^cross\.(${rooms//,/|})(\.[0-9]+)?\$" \
    --verbose --no-tests=error >"$log" 2>&1 || status=$?
  if [ "$(grep -c 'This is test shard' "$log")" -ne "$(grep -c 'tests\? from .* ran\.' "$log")" ]; then
    echo "a process ran all tests of its room, and not its part alone"
    status=1
  fi
  report "$what" "$rooms" "$log" $status
}
programs() { tr , '\n' <<<"$rooms" | sed 's/^/cross_/'; }

for check in "${checks[@]}"; do
  rooms=base,tensor,kernels,autograd,ops,nn
  case $check in x86 | x86-lower) rooms=$(rooms_here) ;; esac
  case $check in
    *=*) rooms=${check#*=} check=${check%%=*} ;;
  esac
  [ "$check" != results ] || continue
  results=$build/results/$check
  : >"$results"
  case $check in
    x86 | x86-lower)
      step "x86-64"
      tools/setup.sh
      cmake --preset release >/dev/null
      # shellcheck disable=SC2046  # one word a target
      cmake --build --preset release --target $(targets_here "$rooms")
      best=$check in_ci=
      [ "$check" = x86 ] || in_ci=", as in CI"
      for set in "AVX512 v4 avx512f" "AVX2 v3 avx2" "SSE4 v2 sse4_2"; do
        read -r name version flag <<<"$set"
        if ! grep -qw "$flag" /proc/cpuinfo; then
          echo "| x86-64-$version ($name) | | | | not run: this CPU has no $name | |" | tee -a "$results"
        elif [ "$best" = x86-lower ]; then
          echo "| x86-64-$version ($name) | | | | not forced: the best of this CPU | |" | tee -a "$results"
          best=
        else
          run_here "x86-64-$version ($name)$in_ci" "$name" "$rooms"
        fi
      done
      ;;
    arm64)
      step "arm64"
      dpkg --print-foreign-architectures | grep -qx arm64 || { dpkg --add-architecture arm64; apt-get update -q; }
      tools/setup.sh g++-aarch64-linux-gnu qemu-user-static googletest libopenblas-openmp-dev:arm64 libfmt-dev:arm64 libhwy-dev:arm64 \
        zlib1g-dev:arm64 libpng-dev:arm64 libjpeg62-turbo-dev:arm64
      cmake -S . -B $build/arm64 "${options[@]}" "${launcher[@]}" -DCMAKE_TOOLCHAIN_FILE=tools/cross/arm64.cmake
      mapfile -t targets < <(programs)
      cmake --build $build/arm64 --target "${targets[@]}"
      run "arm64 (NEON), GCC 12, qemu-user" $build/arm64 "$rooms,scalable_vectors_are_refused"
      ;;
    wasm)
      step "WebAssembly"
      debian13=(tools/cross/debian13.sh)
      for package in emscripten cmake ninja-build libhwy-dev libfmt-dev googletest nlohmann-json3-dev; do debian13+=(--with "$package"); done
      "${debian13[@]}" cmake -S . -B build/wasm "${options[@]}" -DTAPEGRAD_MINIMAL=ON -DCMAKE_TOOLCHAIN_FILE=tools/cross/wasm.cmake
      mapfile -t targets < <(programs)
      tools/cross/debian13.sh cmake --build build/wasm --target "${targets[@]}"
      run "WebAssembly (128 bits), emscripten 3.1.69, node" build/wasm "$rooms" tools/cross/debian13.sh
      ;;
    windows)
      step "Windows"
      tools/setup.sh g++-mingw-w64-x86-64-posix wine64 wine googletest
      cmake -S . -B $build/windows "${options[@]}" "${launcher[@]}" -DTAPEGRAD_MINIMAL=ON -DCMAKE_TOOLCHAIN_FILE=tools/cross/windows.cmake
      mapfile -t targets < <(programs)
      cmake --build $build/windows --target "${targets[@]}"
      run "Windows x86-64-v2, mingw-w64, wine" $build/windows "$rooms" env WINEDEBUG=-all WINEPREFIX="$PWD/$build/wine"
      ;;
    g++-12 | clang++-14 | clang++-16 | clang++-19)
      step "$check"
      tools/setup.sh "${check/clang++/clang}" googletest
      cmake -S . -B "$build/$check" "${options[@]}" "${launcher[@]}" -DCMAKE_CXX_COMPILER="$check"
      mapfile -t targets < <(programs)
      cmake --build "$build/$check" --target "${targets[@]}"
      run "x86-64, $check" "$build/$check" "$rooms"
      ;;
    libc++) # for which Debian has no fmt and Highway: their headers
      step "Clang 19 with libc++"
      tools/setup.sh clang-19 libc++-19-dev libc++abi-19-dev googletest
      cmake -S . -B $build/libc++ "${options[@]}" "${launcher[@]}" -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_CXX_FLAGS=-stdlib=libc++ \
        -DTAPEGRAD_MINIMAL=ON -Dfmt_DIR="$PWD/tools/cross/packages/fmt" -Dhwy_DIR="$PWD/tools/cross/packages/hwy" -DTAPEGRAD_MARCH=x86-64-v3
      mapfile -t targets < <(programs)
      cmake --build $build/libc++ --target "${targets[@]}"
      run "x86-64-v3, clang++-19, libc++" $build/libc++ "$rooms"
      ;;
    g++-13 | g++-14)
      step "$check, Debian 13"
      debian13=(tools/cross/debian13.sh)
      for package in "$check" cmake ninja-build libopenblas-openmp-dev libhwy-dev libfmt-dev zlib1g-dev libpng-dev libjpeg62-turbo-dev \
        googletest nlohmann-json3-dev; do debian13+=(--with "$package"); done
      link=() # Debian 13's fmt is of GCC 14, and needs more of libstdc++ than GCC 13 links to; a program finds it as it starts
      [ "$check" != g++-13 ] || link=("-DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined")
      "${debian13[@]}" cmake -S . -B "$build/$check" "${options[@]}" "${link[@]}" -DCMAKE_CXX_COMPILER="$check"
      mapfile -t targets < <(programs)
      tools/cross/debian13.sh cmake --build "$build/$check" --target "${targets[@]}"
      run "x86-64, $check, Debian 13" "$build/$check" "$rooms" tools/cross/debian13.sh
      ;;
    *)
      echo "run_everywhere.sh: there is no $check (--help says what there is)" >&2
      exit 2
      ;;
  esac
done

step "Results"
table() {
  echo "| where | rooms of tests/ | tests passed | skipped | | of |"
  echo "|---|---|---|---|---|---|"
  for check in x86 x86-lower arm64 wasm windows g++-12 g++-13 g++-14 clang++-14 clang++-16 clang++-19 libc++; do
    if [ -s "$build/results/$check" ]; then
      cat "$build/results/$check"
    elif [ "$check" != x86-lower ]; then
      echo "| $check | | | | not run | |"
    fi
  done
}
table
if [ -n "$report" ]; then
  {
    echo "# Where the library was built and tested"
    echo
    echo "Written by \`tools/run_everywhere.sh\`, row by row: each tells the commit that it is of, and keeps it until it is run anew."
    echo "Written for but not run, as there is no such machine: macOS and MSVC; nor was real arm64 and Windows."
    echo
    table
    echo
    echo "Left out in WebAssembly, which has no threads here: the tests that start some, and \`Ulps.*\`, whose reference is no more exact"
    echo "than the library there; under Windows: what needs fork(), /proc or counts of the kernel, and \`Ulps.OfFunctions\` and"
    echo "\`Ulps.OfPowers\`, as the C library's tan(), erfc() and pow() are less exact. A minimal library (these two, and libc++) has no"
    echo "tests of npz files and of PyTorch's. At a level of x86-64, which is forced on the programs that tests start as well: the tests of"
    echo "examples, mpi and tools that compute nothing (as in CI: those of how programs end and go on, too); a test that chooses an"
    echo "instruction set itself runs at the level of that one. Skipped: rows of the op table that call other ops, as nothing is refused in"
    echo "one name there; tests of an instruction set that the CPU does not have; and what needs ONNX Runtime, PyTorch, a browser or another"
    echo "flavour of OpenBLAS."
  } >"$report"
fi
exit $failed
