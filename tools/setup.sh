#!/bin/sh
# Installs the Debian packages of tools/packages.txt that are missing, and any named on the command line.
set -eu
for argument; do
  case $argument in
    --help | -h)
      echo "usage: tools/setup.sh [PACKAGE...]"
      echo "Installs the Debian packages of tools/packages.txt that are missing, and the named ones. Needs root or sudo."
      exit 0
      ;;
    -*) echo "setup.sh: there is no option $argument (--help says what it does)" >&2; exit 2 ;;
  esac
done
here=$(cd "$(dirname "$0")" && pwd)

missing=
for package in $(cat "$here/packages.txt") "$@"; do
  case $package in
    *:*) architecture=${package#*:} ;;
    *) architecture=$(dpkg --print-architecture) ;; # of several that are installed
  esac
  if ! dpkg-query -W -f '${db:Status-Status} ${Architecture}\n' "$package" 2>/dev/null |
    grep -Eqx "installed ($architecture|all)"; then
    missing="$missing $package"
  fi
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup.sh: run as root, or install sudo; needed:$missing" >&2; exit 1; }
  as_root=sudo
fi
echo "setup.sh: installing$missing"
$as_root apt-get update -q
# shellcheck disable=SC2086  # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
