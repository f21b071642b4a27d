#!/bin/bash
# Runs a command in a Debian 13, in this folder: for compilers that Debian 12 lacks, as the emscripten whose library is complete.
#   tools/cross/debian13.sh [--with PACKAGE]... [--bind FOLDER]... COMMAND [ARGUMENTS]
#   --with PACKAGE  is installed there first, if it is missing
#   --bind FOLDER   is seen there under its own name, as the sources always are
# On a Debian 13 the command runs as it is, and packages are installed by tools/setup.sh. Elsewhere the system is made once, in
# the folder that DEBIAN13 names (default: build/debian13), which takes root, debootstrap, unshare and a minute or two.
set -euo pipefail
say() { echo "debian13.sh: $*" >&2; }
packages=()
folders=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --with) packages+=("$2"); shift 2 ;;
    --bind) folders+=("$(realpath "$2")"); shift 2 ;;
    -*) say "there is no option $1 (--help says what it does)"; exit 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { say "a command is needed (--help says more)"; exit 2; }
here=$PWD
cd "$(dirname "$0")/../.."
tree=$PWD

if [ "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" = trixie ]; then
  [ ${#packages[@]} -eq 0 ] || tools/setup.sh "${packages[@]}"
  cd "$here"
  exec "$@"
fi
[ "$(id -u)" -eq 0 ] || { say "must be run as root: debootstrap and chroot need it"; exit 1; }
for program in debootstrap unshare; do
  command -v $program >/dev/null || { say "$program is missing: apt-get install debootstrap util-linux"; exit 1; }
done
root=${DEBIAN13:-$tree/build/debian13}

for scheme in http https; do
  [ -n "$(printenv ${scheme}_proxy)" ] || {
    eval "$(apt-config shell proxy Acquire::$scheme::Proxy)"
    [ -z "${proxy:-}" ] || export ${scheme}_proxy="$proxy"
  }
done
# All is mounted in a name space of its own: whatever ends it, its mounts and processes end with it.
inside() { # folders, --, and a command
  # unshare ignores the signals that end this script; killed, it takes all processes of the name space along.
  # shellcheck disable=SC2016  # the inner shell expands
  env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LC_ALL=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${CXXFLAGS:+CXXFLAGS="$CXXFLAGS"} \
    ${CMAKE_BUILD_PARALLEL_LEVEL:+CMAKE_BUILD_PARALLEL_LEVEL="$CMAKE_BUILD_PARALLEL_LEVEL"} \
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
      root=$1 here=$2
      shift 2
      mount -t proc proc "$root/proc"
      mount --rbind /sys "$root/sys"
      mount --rbind /dev "$root/dev"
      while [ "$1" != -- ]; do
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        shift
      done
      shift
      exec chroot "$root" env -C "$here" "$@"' sh "$root" "$@" <&0 &
  inner=$!
  local status=0
  wait "$inner" || status=$?
  inner=
  return $status
}
inner=
trap '[ -z "$inner" ] || kill -KILL "$inner" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if [ ! -d "$root" ]; then
  # deb lines as this machine has them for Debian 12.
  sources=$(apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" { print "deb", $0 }' | sort -u | sed 's/ bookworm/ trixie/')
  mirror=$(awk '$3 == "trixie" { print $2; exit }' <<<"$sources")
  [ -n "$mirror" ] || { say "this machine's apt must know a mirror of Debian 12 (bookworm main), and knows none"; exit 1; }
  say "debootstrap from $mirror"
  rm -rf --one-file-system "$root.part"
  debootstrap --variant=minbase --include=ca-certificates trixie "$root.part" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; say "debootstrap failed"; exit 1; }
  echo "$sources" >"$root.part/etc/apt/sources.list"
  apt-config dump | grep -E '^Acquire::([a-z]+::(Proxy|Verify|CaInfo|Timeout)|Check-|Retries)' >"$root.part/etc/apt/apt.conf.d/99host" || true
  cp -r /etc/apt/auth.conf* "$root.part/etc/apt/" 2>/dev/null || true
  for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do # with the certificates of a local mirror
    [ ! -f $file ] || cat $file >"$root.part$file"
  done
  mv "$root.part" "$root"
fi
missing=()
for package in "${packages[@]}"; do
  grep -qxF "Package: $package" <(awk -v RS= '/\nStatus: install ok installed\n/' "$root/var/lib/dpkg/status") || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  inside / -- apt-get update -q
  inside / -- env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
exec 9>&-
inside "$here" "$tree" "${folders[@]}" -- "$@"
