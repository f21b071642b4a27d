#!/bin/sh
# Builds the playground: one HTML file with the library in it as WebAssembly, which needs no server and no network.
set -eu
case ${1:-} in
  --help | -h)
    echo "usage: tools/build_playground.sh [PAGE]"
    echo "Installs the packages that are missing, builds the library as WebAssembly in build/wasm, and writes the page,"
    echo "build/playground.html unless another name is given: to open in a browser, as a file."
    exit 0
    ;;
  -*) echo "build_playground.sh: there is no option $1 (--help says what there is)" >&2; exit 2 ;;
esac
start=$(pwd)
cd "$(dirname "$0")/.."
page=${1:-$PWD/build/playground.html}
case $page in
  /*) ;;
  *) page=$start/$page ;;
esac
tools/setup.sh python3 debootstrap
as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo ${DEBIAN13:+DEBIAN13=$DEBIAN13}"
emscripten() {
  # shellcheck disable=SC2086  # one word an argument
  $as_root tools/cross/debian13.sh --with emscripten --with cmake --with ninja-build --with libhwy-dev --with libfmt-dev "$@"
}

build=build/wasm
emscripten cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=tools/cross/wasm.cmake \
  -DTAPEGRAD_MINIMAL=ON -DTAPEGRAD_INSTALL=OFF >/dev/null
emscripten ninja -C $build tapegrad

out=$build/playground
mkdir -p $out
flags='-std=c++20 -O2 -msimd128 -fwasm-exceptions -DTAPEGRAD_MINIMAL -Wall -Wextra'
compile() { # source, object, further flags
  # shellcheck disable=SC2086  # one word a flag
  emscripten em++ $flags -Ilib -Iexamples -Itools ${3:-} -c "$1" -o "$2"
}
compile examples/playground/scene.cpp $out/scene.o
compile examples/playground/training.cpp $out/training.o
compile tools/digits/digits.cpp $out/digits.o -ffp-contract=off # the same digits everywhere
functions=$(sed -n 's/^[a-z].*[ *]\(playground_[a-z_]*\)(.*/_\1/p' examples/playground/playground.h | paste -sd,)
# shellcheck disable=SC2086
emscripten em++ $flags $out/scene.o $out/training.o $out/digits.o $build/lib/libtapegrad.a -o $out/glue.js --no-entry \
  -sMODULARIZE -sEXPORT_NAME=createPlayground -sENVIRONMENT=web,node -sFILESYSTEM=0 -sALLOW_MEMORY_GROWTH \
  -sINITIAL_MEMORY=64MB -sEXPORTED_FUNCTIONS="$functions" -sEXPORTED_RUNTIME_METHODS=UTF8ToString,HEAPF32,HEAPF64
examples/playground/make_page.py $out/glue.js $out/glue.wasm "$page"
echo "$page: $(wc -c <"$page") bytes"
