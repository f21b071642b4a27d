#!/bin/bash
# Runs the README's two commands as a newcomer does: on a Debian 12 that holds nothing but its minimal system,
# ca-certificates and git, in a fresh clone of HEAD. Fails if a command fails, and if a test is skipped for want of a
# package that tools/run_tests.sh could have installed.
#   tools/check_bare_debian.sh [--cache FILE] [--release NAME] [--then COMMAND] [ARGUMENTS OF CTEST]
#   tools/check_bare_debian.sh [--cache FILE] [--release NAME] --package [OPTIONS OF CMAKE]
#   --cache FILE   a tar archive of the minimal system: used if it exists, else written
#   --then COMMAND a line for sh, run in that clone after the tests: all that the two commands have built is there
#   --package      builds the .deb, with these options (-DBUILD_SHARED_LIBS=ON), installs it instead of the clone, and there
#                  builds and runs the programs of tests/consumers/find_package and tests/consumers/c
#   --release NAME bookworm (Debian 12) or trixie (13). A package for another release than this machine's is built there
# Takes CXXFLAGS and CMAKE_BUILD_PARALLEL_LEVEL from the environment. Needs root, debootstrap and unshare; takes Debian's
# mirror and the settings of the network from this machine's apt. The chroot is made in TMPDIR and removed at the end.
set -euo pipefail
say() { echo "check_bare_debian.sh: $*" >&2; }
usage() { sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; }

cache=
package=
then=
release=bookworm
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --cache) [ $# -ge 2 ] || { say "--cache needs a file"; exit 2; }; cache=$(realpath -m "$2"); shift 2 ;;
    --package) package=yes; shift ;;
    --release) [ $# -ge 2 ] || { say "--release needs a name"; exit 2; }; release=$2; shift 2 ;;
    --then) [ $# -ge 2 ] || { say "--then needs a command"; exit 2; }; then=$2; shift 2 ;;
    *) break ;;
  esac
done
[ -z "$package" ] || [ -z "$then" ] || { say "--then is for the clone, and with --package there is none"; exit 2; }
[ "$(id -u)" -eq 0 ] || { say "must be run as root: debootstrap and chroot need it"; exit 1; }
for program in debootstrap unshare git; do
  command -v $program >/dev/null || { say "$program is missing: apt-get install debootstrap util-linux git"; exit 1; }
done
cd "$(dirname "$0")/.."

built_here= # the package, not in a chroot of the other release
[ "$release" != "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" ] || built_here=yes
make_package="-G Ninja -DCMAKE_BUILD_TYPE=Release -DTAPEGRAD_BUILD_EXAMPLES=OFF -DTAPEGRAD_BUILD_TESTS=OFF -DTAPEGRAD_BUILD_TOOLS=OFF"

# Everything is mounted in a name space of its own, in which the second half of this script runs: whatever ends it, its
# mounts and processes end with it, and the folder that is removed here holds files alone.
if [ -z "${BARE_DEBIAN_ROOT:-}" ]; then
  if [ -n "$package" ] && [ -n "$built_here" ]; then
    rm -rf build/package/*.deb
    # shellcheck disable=SC2086  # several words
    cmake -S . -B build/package $make_package "$@"
    cmake --build build/package --target package
  fi
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/bare_debian.XXXXXX")
  inner=
  trap '[ -z "$inner" ] || kill -KILL "$inner" 2>/dev/null || true; wait; rm -rf --one-file-system "$scratch"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  BARE_DEBIAN_ROOT=$scratch/root unshare --mount --pid --fork --kill-child --propagation private \
    "$0" ${cache:+--cache "$cache"} --release "$release" ${package:+--package} ${then:+--then "$then"} "$@" &
  inner=$!
  status=0
  wait "$inner" || status=$?
  inner=
  exit $status
fi
root=$BARE_DEBIAN_ROOT
unset BARE_DEBIAN_ROOT
step() { printf -- '-- bare Debian: %s (%d s)\n' "$*" "$SECONDS"; }

# deb lines of that Debian itself: those of Debian 12 that this machine's apt knows, and the same of the other release.
sources=$(apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
  awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $0 }' | sort -u | sed "s/ bookworm/ $release/")
mirror=$(awk -v release="$release" '$3 == release { print $2; exit }' <<<"$sources")
[ -n "$mirror" ] || { say "this machine's apt must know a mirror of Debian 12 (bookworm main), and knows none"; exit 1; }
settings=$(apt-config dump | grep -E '^Acquire::([a-z]+::(Proxy|Verify|CaInfo|Timeout)|Check-|Retries)' || true)
for scheme in http https; do
  [ -n "$(printenv ${scheme}_proxy)" ] || {
    eval "$(apt-config shell proxy Acquire::$scheme::Proxy)"
    [ -z "${proxy:-}" ] || export ${scheme}_proxy="$proxy"
  }
done

if [ -n "$cache" ] && [ -f "$cache" ]; then
  step "unpacking $cache"
  mkdir "$root"
  tar -C "$root" -xf "$cache"
else
  step "debootstrap from $mirror"
  debootstrap --variant=minbase --include=ca-certificates,git "$release" "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; say "debootstrap failed"; exit 1; }
  if [ -n "$cache" ]; then
    tar -C "$root" --one-file-system -cf "$cache.part" .
    mv "$cache.part" "$cache"
  fi
fi
builder=
if [ -n "$package" ] && [ -z "$built_here" ]; then
  builder=$root.builder
  cp -a "$root" "$builder"
fi
prepare() { # apt, the network and the kernel's file systems for a folder
  local root=$1 file
  echo "$sources" >"$root/etc/apt/sources.list"
  printf '%s\n' "$settings" >"$root/etc/apt/apt.conf.d/99host"
  cp -r /etc/apt/auth.conf* "$root/etc/apt/" 2>/dev/null || true
  for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do # with the certificates of a local mirror
    [ ! -f $file ] || cat $file >"$root$file"
  done
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
}
prepare "$root"

in_folder() { # a folder with a Debian in it, and a command
  env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    ${CXXFLAGS:+CXXFLAGS="$CXXFLAGS"} ${CMAKE_BUILD_PARALLEL_LEVEL:+CMAKE_BUILD_PARALLEL_LEVEL="$CMAKE_BUILD_PARALLEL_LEVEL"} \
    chroot "$@"
}
inside() { in_folder "$root" "$@"; }

if [ -n "$package" ]; then
  if [ -n "$builder" ]; then
    step "the package, built there"
    prepare "$builder"
    mkdir "$builder/root/tapegrad"
    git ls-files -z | tar -c --null -T - | tar -x -C "$builder/root/tapegrad"
    in_folder "$builder" apt-get update -q
    # shellcheck disable=SC2046  # one word a package
    in_folder "$builder" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
      $(sed '/^libjpeg/q' tools/packages.txt) dpkg-dev file
    # shellcheck disable=SC2086  # several words
    in_folder "$builder" cmake -S /root/tapegrad -B /root/package $make_package "$@"
    in_folder "$builder" cmake --build /root/package --target package
    cp "$builder"/root/package/*.deb "$root/root/"
  else
    cp build/package/*.deb "$root/root/"
  fi
  step "the package, and what a program needs to be built"
  cp -r tests/consumers "$root/root/"
  inside apt-get update -q
  inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends /root/*.deb g++ cmake make pkg-config'
  step "programs of others"
  inside cmake -S /root/consumers/find_package -B /root/build
  inside cmake --build /root/build
  inside ctest --test-dir /root/build --output-on-failure
  inside cmake -S /root/consumers/c -B /root/build_c
  inside cmake --build /root/build_c
  inside ctest --test-dir /root/build_c --output-on-failure
  step "done"
  exit
fi

step "a fresh clone"
git init -q "$root/root/tapegrad"
git -C "$root/root/tapegrad" fetch -q --depth 1 "file://$PWD" HEAD
git -C "$root/root/tapegrad" checkout -q --detach FETCH_HEAD
in_clone() { inside sh -c 'cd /root/tapegrad && exec "$@"' sh "$@"; }

step "the first command"
in_clone tools/run_autoencoder.sh --epochs 1 --max-steps 60
test -s "$root/root/tapegrad/out/mnist_autoencoder/reconstructions.png"

step "the second command"
in_clone tools/run_tests.sh "$@" | tee "$root/root/tests.log"

# Chromium, emscripten and PyTorch are left to the user: each is many times as large as all other packages. What a machine does
# not have (a CPU with AVX-512, the right to mount or to trace) is no package; rows of the op table that have nothing to refuse
# are none.
no_package='RefusesWholeNumbersInItsOwnName|FitsTheScreen|example\.mnist_autoencoder\.report|example\.playground|/(AVX|SSE)[0-9]*|InstructionSetsWithFmaAgree|PyTorchProof|OnnxProof|example\.pytorch_fine_tune|OpenBlas\.IsTheFlavour|FullDisk|KilledAtEverySystemCall'
skipped=$(sed -n '/^The following tests did not run:/,/^$/{/(Skipped)\|(Not Run)\|(Disabled)/p}' "$root/root/tests.log" |
  grep -Ev "$no_package" || true)
if [ -n "$skipped" ]; then
  say "these tests were skipped, and tools/run_tests.sh must install what they need:"
  echo "$skipped" >&2
  exit 1
fi
if [ -n "$then" ]; then
  step "then $then"
  in_clone sh -c "$then"
fi
step "done"
