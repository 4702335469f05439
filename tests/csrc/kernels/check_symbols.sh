#!/bin/sh
# check_symbols.sh NM OBJECT...: the objects kernels/<op>/<isa>.cpp.o define no weak symbol (a per-ISA flag would leak into the
# whole program through it) and export <op>_<isa>, or <op>_{size,pack,run}_<isa>, and nothing else: the path is the symbol.
set -eu
nm=$1
shift
status=0
checked=0
for object in "$@"; do
  case $object in */kernels/*/*.cpp.o) ;; *) continue ;; esac
  isa=$(basename "$object" .cpp.o)
  op=$(basename "$(dirname "$object")")
  defined=$("$nm" -C --defined-only --extern-only "$object" | cut -d' ' -f2-)
  wrong=$(printf '%s\n' "$defined" | grep -Ev "^T sanderling::${op}(_size|_pack|_run)?_${isa}\(" || true)
  if [ -n "$wrong" ]; then
    printf '%s: expected only sanderling::%s_%s, found:\n%s\n' "$object" "$op" "$isa" "$wrong"
    status=1
  fi
  if [ -z "$defined" ]; then
    printf '%s: exports nothing\n' "$object"
    status=1
  fi
  checked=$((checked + 1))
done
if [ "$checked" -eq 0 ]; then
  echo "no kernel object among the arguments"
  status=1
fi
[ "$status" -eq 0 ] && echo "$checked kernel objects export their path's symbol and nothing weak"
exit $status
