#!/bin/bash
# Newer peers than Debian 12 has, in a chroot of Debian 13: PyTorch 2.6, oneDNN 3.7 and ONNX Runtime 1.21, for compare.py --chroot.
set -euo pipefail
usage() {
  echo "usage: tools/bench/debian13.sh FOLDER"
  echo "       tools/bench/debian13.sh --unmount FOLDER"
  echo "Makes a chroot of Debian 13 in FOLDER, which should lie outside of the repository, with PyTorch 2.6, oneDNN 3.7 and"
  echo "ONNX Runtime 1.21: downloads about 1 GB, takes some minutes and 5 GB. Needs root. Run again, it mounts what a restart has"
  echo "unmounted. tools/bench/compare.py --chroot FOLDER then takes its peers from there."
  echo "--unmount: what has to be done before the folder is removed."
}
case ${1:-} in
  --help | -h) usage; exit 0 ;;
  --unmount) only_unmount=yes; shift ;;
esac
[ $# -eq 1 ] || { usage >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "debian13.sh: must be run as root" >&2; exit 1; }
root=$(realpath -m "$1")

if [ -n "${only_unmount:-}" ]; then
  for folder in dev proc; do if mountpoint -q "$root/$folder"; then umount "$root/$folder"; fi; done
  exit 0
fi

if [ ! -e "$root/made" ]; then
  command -v debootstrap >/dev/null || "$(dirname "$0")/../setup.sh" debootstrap
  mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  debootstrap --variant=minbase trixie "$root" "${mirror:-http://deb.debian.org/debian}"
fi
# Where packages come from, and through which proxy, is as it is outside.
cp -n /etc/apt/apt.conf.d/99* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
if [ ! -e "$root/made" ]; then
  chroot "$root" apt-get update -q
  # torch.compile wants a compiler and Python's headers.
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ca-certificates g++ python3-torch \
    libtorch-dev python3-setuptools python3-dev python3-numpy libdnnl-dev python3-onnxruntime python3-onnx libjemalloc2 \
    libtcmalloc-minimal4t64 libbenchmark-dev
  chroot "$root" apt-get clean
  touch "$root/made"
fi
echo "debian13.sh: $root is ready"
