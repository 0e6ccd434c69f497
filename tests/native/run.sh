#!/bin/sh
# Builds the C core in one way and runs its tests: run.sh MODE...
#
#   gcc clang      warnings are errors; static and shared; tests run
#   asan           address and undefined-behaviour sanitizers, with clang or gcc; tests run
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

run() {
    case $1 in
    gcc) build gcc -DCMAKE_C_COMPILER=gcc && check gcc &&
        build gcc-shared -DCMAKE_C_COMPILER=gcc -DCXREDGE_BUILD_SHARED=ON && check gcc-shared ;;
    clang) build clang -DCMAKE_C_COMPILER="$clang" && check clang ;;
    asan) build asan -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="$sanitizers" && check asan ;;
    valgrind)
        build valgrind -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo
        for isa in plain avx2; do # valgrind knows no AVX-512
            CXREDGE_ISA=$isa valgrind -q --error-exitcode=9 --leak-check=full "$work/valgrind/tests/native/core_test"
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
[ $# -gt 0 ] || set -- gcc clang asan valgrind mingw aarch64 header
for mode; do
    echo "== $mode"
    run "$mode"
done
