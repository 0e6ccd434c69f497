#!/usr/bin/env bash
# Builds and runs every example; CI calls it. Needs the environment of `python dev.py demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "--- pixels.c: stored pixels to the network's input, in C"
PATH="$(dirname "$python"):$PATH"  # cmake and ninja
cmake -S . -B "$work/c" -G Ninja -DCXREDGE_BUILD_SHARED=ON -DCXREDGE_BUILD_TESTS=OFF > "$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/c" >> "$work/log" || { cat "$work/log"; exit 1; }
cc -std=c11 -Wall -Wextra -Werror -I cxredge/native/include examples/pixels.c -L "$work/c" -lcxredge -lm -o "$work/pixels"
LD_LIBRARY_PATH="$work/c" "$work/pixels"

echo "--- embed.py: one model in a program of one's own"
"$python" examples/embed.py cxredge/bundles/default.cxr examples/*.dcm
