#!/bin/sh
# Builds the C core in one way and runs its tests: run.sh MODE... [SECONDS]
#
#   gcc clang      warnings are errors; static and shared; tests run
#   asan           address and undefined-behaviour sanitizers, with clang or gcc; tests run
#   tsan           thread sanitizer, with clang; tests run, those with threads among them
#   fuzz           libFuzzer with address and undefined-behaviour sanitizers, with clang: each of the five targets for
#                  SECONDS (15), from the seeds, from what earlier runs found, and from the files of CXREDGE_DATA
#                  where that is set. An input that fails is kept in build/native/fuzz-finds.
#   valgrind       every variant that valgrind can emulate; no leak, no error
#   mingw          Windows: compiled and linked
#   aarch64        cross-compiled; tests run under qemu-user, NEON against plain
#   header         cxredge.h alone, as strict C11 and as C++
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=${CXREDGE_NATIVE_BUILD:-$root/build/native}
clang=$(command -v clang || command -v clang-19 || command -v clang-16 || command -v clang-14 || true)

build() { # NAME CMAKE-ARGUMENTS...
    name=$1
    shift
    cmake -S "$root" -B "$work/$name" -G Ninja --fresh -DCXREDGE_STRICT=ON -DCXREDGE_BUILD_TESTS=ON "$@" >"$work/$name.log" 2>&1 ||
        { cat "$work/$name.log"; return 1; }
    cmake --build "$work/$name" >>"$work/$name.log" 2>&1 || { cat "$work/$name.log"; return 1; }
}

check() { # NAME
    ctest --test-dir "$work/$1" --output-on-failure
}

sanitizers="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
fuzzing="-g -O2 -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all"

fuzz_target() { # NAME
    corpus=$work/fuzz-corpus/$1
    seeds=$root/tests/fuzz/native/seeds/$1
    mkdir -p "$corpus" "$work/fuzz-finds"
    echo "-- $1 for $seconds s"
    "$work/fuzz/tests/fuzz/native/$1_fuzz" -max_total_time="$seconds" -max_len=4096 -len_control=0 -timeout=30 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$work/fuzz-finds/$1-" "$corpus" "$seeds" \
        >"$work/fuzz-$1.log" 2>&1 || {
        tail -n 60 "$work/fuzz-$1.log"
        echo "run.sh: $1 failed; again: $work/fuzz/tests/fuzz/native/$1_fuzz $work/fuzz-finds/$1-..." >&2
        return 1
    }
    grep '^stat::number_of_executed_units' "$work/fuzz-$1.log"
}

fuzz() {
    [ -n "$clang" ] || { echo "run.sh: fuzz needs clang" >&2; return 2; }
    build fuzz -DCMAKE_C_COMPILER="$clang" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="$fuzzing" -DCXREDGE_BUILD_FUZZERS=ON ||
        return 1
    if [ -n "${CXREDGE_DATA:-}" ]; then # parts of real images: into the corpus, which is never kept
        python3 -W ignore "$root/tests/fuzz/native/seeds.py" "$work/fuzz-corpus" "$CXREDGE_DATA/dicom" || return 1
    fi
    for target in plane describe masks anatomy numbers; do
        fuzz_target "$target" || return 1
    done
}

run() {
    case $1 in
    gcc) build gcc -DCMAKE_C_COMPILER=gcc && check gcc &&
        build gcc-shared -DCMAKE_C_COMPILER=gcc -DCXREDGE_BUILD_SHARED=ON && check gcc-shared ;;
    clang) build clang -DCMAKE_C_COMPILER="$clang" && check clang ;;
    asan) build asan -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="$sanitizers" && check asan ;;
    tsan) build tsan -DCMAKE_C_COMPILER="$clang" -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS="-g -O1 -fsanitize=thread -fno-sanitize-recover=all" && check tsan ;;
    fuzz) fuzz ;;
    valgrind)
        build valgrind -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo
        for isa in plain avx2; do # valgrind knows no AVX-512
            CXREDGE_ISA=$isa valgrind -q --error-exitcode=9 --leak-check=full "$work/valgrind/tests/native/core_test"
            CXREDGE_ISA=$isa valgrind -q --error-exitcode=9 --leak-check=full "$work/valgrind/tests/native/memory_test"
        done
        CXREDGE_ISA=plain valgrind -q --error-exitcode=9 --leak-check=full "$work/valgrind/tests/native/pixels" >/dev/null
        ;;
    mingw) build mingw -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER=x86_64-w64-mingw32-gcc &&
        build mingw-shared -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER=x86_64-w64-mingw32-gcc -DCXREDGE_BUILD_SHARED=ON ;;
    aarch64) build aarch64 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
        -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_EXE_LINKER_FLAGS=-static \
        -DCMAKE_CROSSCOMPILING_EMULATOR="$(command -v qemu-aarch64 || command -v qemu-aarch64-static)" && check aarch64 ;;
    header)
        flags="-Wall -Wextra -Werror -pedantic -fsyntax-only -I$root/cxredge/native/include $root/tests/native/header.c"
        # shellcheck disable=SC2086 # flags are words
        { gcc -std=c11 $flags && g++ -std=c++11 -x c++ $flags && g++ -std=c++20 -x c++ $flags; }
        if [ -n "$clang" ]; then
            # shellcheck disable=SC2086
            "$clang" -std=c11 -Weverything -Wno-padded -Wno-unknown-warning-option -Wno-pre-c11-compat $flags
        fi
        ;;
    *) echo "run.sh: no mode $1" >&2; return 2 ;;
    esac
}

mkdir -p "$work"
seconds=15
for mode; do # a number is no mode but how long to fuzz
    case $mode in *[!0-9]* | "") ;; *) seconds=$mode ;; esac
done
[ $# -gt 0 ] || set -- gcc clang asan tsan valgrind mingw aarch64 header fuzz
for mode; do
    [ "$mode" = "$seconds" ] && continue
    echo "== $mode"
    run "$mode"
done
