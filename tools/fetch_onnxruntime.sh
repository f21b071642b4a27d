#!/bin/sh
# Fetches ONNX Runtime for node, which tests and benchmarks compare exported models with: about 100 MB, with npm.
set -eu
version=1.30.0
case ${1:-} in
  --help | -h)
    echo "usage: tools/fetch_onnxruntime.sh [FOLDER]"
    echo "Fetches onnxruntime-node $version with npm into FOLDER (default: build/onnxruntime), where test_exchange and"
    echo "tools/bench/compare.py look for it. Needs node and npm. What is there already is kept."
    exit 0
    ;;
esac
cd "$(dirname "$0")/.."
folder=${1:-build/onnxruntime}
[ ! -e "$folder/node_modules/onnxruntime-node/package.json" ] || exit 0
for program in node npm; do
  command -v $program >/dev/null || { echo "fetch_onnxruntime.sh: $program is missing (Debian: nodejs, npm)" >&2; exit 1; }
done
mkdir -p "$folder"
# Its own script would fetch libraries for GPUs.
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent "onnxruntime-node@$version"
