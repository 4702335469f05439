#!/bin/sh
# One suite for every place: what the runner makes of the same files, here, in an emulator, or on a board.
#
# usage: suite.sh RUNNER...   in a folder with model.gguf (calibrated), base.gguf, recording.csv, missing.csv,
#        reference.csv, pump.bundle and pump.pub, which is written to
#
# Prints the kernels' tier that ran, and a line a case: name, exit status, SHA-256 of what it made ("-" where that may differ).
case_of() { # NAME FILE: the status of the command before, and the file that it made
  status=$?
  case $2 in
    -) hash=- ;;
    out) hash=$(sed 's/"isa": "[a-z0-9_]*"//' out | sha256sum) ;;
    *) hash=$(sha256sum "$2") ;;
  esac
  echo "case $1 $status ${hash%% *}"
}

exec 2>/dev/null
"$@" --selftest model.gguf >out; case_of selftest -
"$@" --scores-bin scores.bin model.gguf <recording.csv >out; case_of scores scores.bin
"$@" --scores model.gguf <recording.csv >out; case_of lines out
echo "tier $(sed -n 's/.*"isa": "\([a-z0-9_]*\)".*/\1/p' out)"
"$@" --live --scores model.gguf <recording.csv >out; case_of live out
"$@" --scores model.gguf <missing.csv >out; case_of missing-values out
"$@" --scores base.gguf <recording.csv >out; case_of cold out
"$@" --dynamic --scores base.gguf <recording.csv >out; case_of dynamic out
"$@" --calibrate reference.csv -o own.gguf base.gguf >out; case_of calibration own.gguf
"$@" bundle verify pump.bundle --key pump.pub >out; case_of bundle out
tail -c 1000 pump.bundle >rest; head -c 100000 pump.bundle >altered; cat rest >>altered
"$@" bundle verify altered --key pump.pub >out; case_of altered-bundle out
head -c 100000 model.gguf >cut.gguf
"$@" cut.gguf <recording.csv >out; case_of truncated-model out
printf 'a\n1\nnoise\n' | "$@" model.gguf >out; case_of garbage out
