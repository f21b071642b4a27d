#!/bin/sh
# Fetches the four files of MNIST, or of Fashion-MNIST, about 11 or 31 MB. Each mirror is asked in turn; a connection that
# breaks is taken up where it broke; a file gets its name only once its checksum is right, and nothing else is left behind.
# Files that are there already are checked, and fetched again only if they are damaged.
# Needs curl or wget.
#   TAPEGRAD_MIRRORS     other mirrors (addresses of folders, separated by spaces)
#   TAPEGRAD_CHECKSUMS   a file of other checksums, as md5sum writes them (the tests use it)
set -eu

usage() { echo "usage: tools/fetch_mnist.sh [--fashion] [FOLDER]   (--help tells more)"; }
help() {
  echo "usage: tools/fetch_mnist.sh [--fashion] [FOLDER]"
  echo "Fetches the four files of MNIST (11 MB), or of Fashion-MNIST (31 MB), to FOLDER, and checks them. Files that are there"
  echo "already are kept; a download that broke off is continued. Needs curl or wget."
  echo "  --fashion   Fashion-MNIST instead of MNIST"
  echo "  FOLDER      default: out/mnist or out/fashion_mnist; give it to an example as --data FOLDER"
}
say() { echo "fetch_mnist.sh: $*" >&2; }

name=mnist
folder=
for argument; do
  case $argument in
    --fashion) name=fashion_mnist ;;
    --help | -h) help; exit 0 ;;
    -*) say "there is no option $argument"; usage >&2; exit 2 ;;
    *) [ -z "$folder" ] || { say "there can be one folder only, got $folder and $argument"; usage >&2; exit 2; }; folder=$argument ;;
  esac
done
folder=${folder:-out/$name}

if [ $name = mnist ]; then
  mirrors="https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist"
  checksums="f68b3c2dcbeaaa9fbdd348bbdeb94873  train-images-idx3-ubyte.gz
d53e105ee54ea40749a09fcbcd1e9432  train-labels-idx1-ubyte.gz
9fb629c4189551a2d022fa330f9573f3  t10k-images-idx3-ubyte.gz
ec29112dd5afa0611ce80d1b7f02629c  t10k-labels-idx1-ubyte.gz"
else
  mirrors="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
  checksums="8d4fb7e6c68d591d4c3dfef9ec88bf0d  train-images-idx3-ubyte.gz
25c81989df183df01b3e8a0aad5dffbe  train-labels-idx1-ubyte.gz
bef4ecab320f06d8554ea6380940ec79  t10k-images-idx3-ubyte.gz
bb300cfdad3c16e7a12a480ee83cd310  t10k-labels-idx1-ubyte.gz"
fi
mirrors=${TAPEGRAD_MIRRORS:-$mirrors}
[ -z "${TAPEGRAD_CHECKSUMS:-}" ] || checksums=$(cat "$TAPEGRAD_CHECKSUMS")

if command -v curl >/dev/null; then
  download() { # address file: adds what is missing of the file
    curl --fail --location --silent --show-error --connect-timeout 20 --speed-limit 100 --speed-time 30 \
      --continue-at - --output "$2" "$1"
  }
elif command -v wget >/dev/null; then
  download() { wget --quiet --tries=1 --timeout=30 --continue --output-document="$2" "$1"; }
else
  say "install curl or wget"
  exit 1
fi

if command -v md5sum >/dev/null; then
  md5() { md5sum <"$1" | cut -d ' ' -f 1; }
else # macOS, BSD
  md5() { command md5 -q "$1"; }
fi
is_right() { [ -f "$1" ] && [ "$(md5 "$1")" = "$2" ]; }
size() { if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi; }

part=
# A name is given by mv, at once; whatever has none yet goes.
trap '[ -z "$part" ] || rm -f "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fetch() { # file checksum: fails when no mirror has it
  part=$folder/$1.part # of this run, or of one that was killed
  for mirror in $mirrors; do
    attempt=0
    while [ $attempt -lt 10 ]; do
      attempt=$((attempt + 1))
      before=$(size "$part")
      if download "$mirror/$1" "$part" || is_right "$part" "$2"; then
        if is_right "$part" "$2"; then
          mv "$part" "$folder/$1"
          return 0
        fi
        rm -f "$part"
        # What was added to may be to blame for it: once more, from the beginning.
        [ "$before" -ne 0 ] || { say "$mirror has another $1: its checksum is wrong"; break; }
      elif [ "$(size "$part")" -gt "$before" ]; then
        say "$mirror broke off, going on at byte $(size "$part") of $1"
      elif [ "$before" -ne 0 ]; then
        rm -f "$part" # it cannot be taken up here
      else
        break
      fi
    done
  done
  rm -f "$part"
  say "no mirror has $1"
  return 1
}

mkdir -p "$folder"
for file in train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz; do
  checksum=$(echo "$checksums" | awk -v file="$file" '$2 == file { print $1 }')
  if is_right "$folder/$file" "$checksum"; then
    echo "$folder/$file is there"
  else
    fetch "$file" "$checksum"
    echo "$folder/$file"
  fi
done
