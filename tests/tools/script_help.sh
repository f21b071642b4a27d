#!/bin/sh
# --help of a script answers at once: nothing is installed, built or fetched. What could do that is replaced by programs that
# leave a trace.   script_help.sh SCRIPT SCRATCH
set -eu
script=$1
scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/bin"
for program in apt-get apt dpkg-query sudo npm node cmake ninja make ctest g++ clang++ clang-tidy debootstrap curl wget git; do
  printf '#!/bin/sh\necho "%s $*" >> "%s/called"\nexit 1\n' "$program" "$scratch" > "$scratch/bin/$program"
  chmod +x "$scratch/bin/$program"
done
fail() { echo "script_help.sh: $script --help $*" >&2; exit 1; }
said=$(PATH=$scratch/bin:$PATH "$script" --help) || fail "fails: $said"
[ ! -e "$scratch/called" ] || fail "calls $(cat "$scratch/called")"
case $said in
  *[uU]sage* | *"tools/$(basename "$script")"*) ;;
  *) fail "says only: $said" ;;
esac
