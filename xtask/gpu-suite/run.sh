#!/bin/sh
# The GPU suite, packed: unpacks into a folder of its own, has compute-sanitizer look at the kernels on small sizes,
# then checks and times everything. Writes one record, $OUT/record.json or ./record.json, and removes what it unpacked.
#
# usage: sh run.sh [--emulated] [--log-max N] [--runs N]
#
# Needs x86-64 Linux with glibc @GLIBC@ or later, libstdc++ and libgcc_s, a CUDA driver of version 580 or later, tar,
# and xz or Python 3. No Rust, no CUDA toolkit, no network. `--emulated` needs no driver either: it shows that the suite
# runs to its end. At most eight minutes on a device. It changes no setting of the device.
#
# Exit status: 0 all passed, 1 a check failed (the record says which), 3 no device.
set -eu

# Seconds for each of the sanitizer's tools.
MEMCHECK_LIMIT=90
RACECHECK_LIMIT=80

case " $* " in
    *" --help "*) sed -n '2,/^set/{/^#/p;}' "$0"; exit 0 ;;
    *" --emulated "*) emulated=--emulated ;;
    *) emulated= ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-suite.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

if command -v xz >/dev/null 2>&1; then
    xz -dc "$here/gpu-suite.tar.xz" | tar -xf - -C "$work"
else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/gpu-suite.tar.xz" "$work"
fi

mkdir "$work/tmp"
# Compiled kernels are kept among temporary files: nobody else can write to this folder.
export TMPDIR="$work/tmp"
# The last is where images for containers have the driver's library.
export LD_LIBRARY_PATH="$work/lib:${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64"
gpu=$work/bin/gpu

status=0
"$gpu" $emulated --probe || status=$?
if [ "$status" -ne 0 ]; then
    echo "gpu-suite: nothing was run: no CUDA device or no driver here; the line above says what is missing" >&2
    exit "$status"
fi

# The machine's own compute-sanitizer where it has one: the wheel's is not complete and starts programs by a helper of
# ours.
sanitizer=$(PATH="$PATH:/usr/local/cuda/bin" command -v compute-sanitizer || echo "$work/sanitizer/compute-sanitizer")

# What a tool says of the checks, in a few words: `sanitized TOOL SECONDS`. Its summary decides, for its exit status is
# also the program's.
sanitized() {
    log=$work/$1.log
    status=0
    timeout -k 5 "$2" "$sanitizer" --tool "$1" --target-processes application-only "$gpu" --check >"$log" 2>&1 ||
        status=$?
    if grep -q 'SUMMARY: 0 ' "$log"; then
        echo "clean"
    elif grep -q 'SUMMARY: ' "$log"; then
        echo "found errors"
    elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        echo "not done after $2 s"
    else
        echo "did not run to its end (status $status)"
    fi
    grep -q 'SUMMARY: 0 ' "$log" || tail -n 40 "$log" >&2
}

if [ -n "$emulated" ]; then
    found="not run: there is no device code in emulation"
else
    # The kernels are compiled here, so that the tools' time is not spent on it.
    "$gpu" --check >/dev/null || echo "gpu-suite: the kernels do not conform; the record will say how" >&2
    found="memcheck: $(sanitized memcheck "$MEMCHECK_LIMIT"); racecheck: $(sanitized racecheck "$RACECHECK_LIMIT")"
    found="$found; by $("$sanitizer" --version | grep -i '^version' || echo 'an unknown version')"
fi
echo "compute-sanitizer: $found" >&2
case $found in
    *"found errors"*) set -- "$@" --sanitizer-failed ;;
esac
"$gpu" "$@" --sanitizer "$found"
