#!/usr/bin/env bash
# Sources are formatted by clang-format 14 with .clang-format; --fix formats them in place.
set -euo pipefail
cd "$(dirname "$0")/.."
formatter=$(command -v clang-format-14 || command -v clang-format)
mapfile -t files < <(find kernels engine data models tools tests bench docs -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort)
if [ "${1:-}" = --fix ]; then "$formatter" -i "${files[@]}"; else "$formatter" --dry-run --Werror "${files[@]}"; fi
