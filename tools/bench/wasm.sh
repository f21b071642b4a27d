#!/bin/bash
# Times the convolutions of the library as WebAssembly beside those of TensorFlow.js' wasm back end, in turns, in one node: both
# with vectors of 128 bits and one thread.
#   tools/bench/wasm.sh [ROUNDS [SECONDS [QUIET]]]   (default: 3 rounds, 0.2 seconds a row)
#   QUIET  a command that runs in front of each measurement, as one that stops other work
# Needs root, for Debian's emscripten (tools/cross/debian13.sh), node, and npm's registry. Of each row the fastest time of all
# rounds counts. TensorFlow.js has no kernels for what its column leaves out.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
rounds=${1:-3} seconds=${2:-0.2} quiet=${3:-}
version=4.22.0
out=build/bench_wasm
mkdir -p $out
[ -d $out/node_modules/@tensorflow/tfjs-backend-wasm ] || # no scripts: both are plain files
  npm install --prefix $out --ignore-scripts --no-audit --no-fund --silent \
    "@tensorflow/tfjs-core@$version" "@tensorflow/tfjs-backend-wasm@$version"
debian13=(tools/cross/debian13.sh)
for package in emscripten cmake ninja-build libhwy-dev libfmt-dev libcli11-dev; do debian13+=(--with "$package"); done
"${debian13[@]}" cmake -S . -B build/wasm -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=tools/cross/wasm.cmake \
  -DTAPEGRAD_MINIMAL=ON -DTAPEGRAD_INSTALL=OFF >/dev/null
tools/cross/debian13.sh ninja -C build/wasm tapegrad
# The headers of fmt and CLI11 that are installed for Debian alone.
mkdir -p $out/headers
for name in fmt CLI; do ln -sfn "/usr/include/$name" "$out/headers/$name"; done
tools/cross/debian13.sh em++ -std=c++20 -O2 -msimd128 -fwasm-exceptions -DTAPEGRAD_MINIMAL -DFMT_HEADER_ONLY -Ilib -Itools -I$out/headers \
  tools/bench/bench_conv.cpp tools/command_line/command_line.cpp build/wasm/lib/libtapegrad.a -o $out/bench_conv.js \
  -sNODERAWFS=1 -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=4GB -sSTACK_SIZE=8MB -sEXIT_RUNTIME=1
shapes=tools/bench/peers/conv_shapes.csv
: >$out/ours.csv
: >$out/tfjs.csv
for ((round = 0; round < rounds; ++round)); do
  # shellcheck disable=SC2086  # a command
  $quiet node $out/bench_conv.js --shapes $shapes --threads 1 --seconds "$seconds" >>$out/ours.csv
  # shellcheck disable=SC2086
  $quiet node tools/bench/peers/tfjs_conv.js $out $shapes "$seconds" >>$out/tfjs.csv
done
grep -m1 'model name' /proc/cpuinfo
node --version
awk -F, -v OFS=' | ' '
  $1 == "name" { next }
  { key = $1 OFS $2 }
  FNR == NR { if (!(key in ours)) order[++rows] = key; if ($6 > ours[key]) ours[key] = $6; next }
  $6 > theirs[key] { theirs[key] = $6 }
  END {
    print "| shape | op | GFLOP/s | TensorFlow.js | ratio |\n|---|---|---|---|---|"
    for (i = 1; i <= rows; ++i) {
      key = order[i]
      if (!(key in theirs)) { print "| " key, ours[key], "", " |"; continue }
      ratio = ours[key] / theirs[key]
      split(key, part, " [|] ")
      sum[part[2]] += log(ratio); ++count[part[2]]
      if (!(part[2] in worst) || ratio < worst[part[2]]) { worst[part[2]] = ratio; where[part[2]] = part[1] }
      print "| " key, ours[key], theirs[key], sprintf("%.2f |", ratio)
    }
    for (op in count) printf "%s: %d shapes, geometric mean of the ratios %.2f, the least %.2f (%s)\n", op, count[op], exp(sum[op] / count[op]), worst[op], where[op]
  }' $out/ours.csv $out/tfjs.csv | tee $out/table.md
