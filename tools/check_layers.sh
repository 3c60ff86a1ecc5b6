#!/usr/bin/env bash
# The house is a line: kernels <- engine <- data <- models <- tools. A folder includes itself and those to its
# left; tests and bench may include all, and nobody includes them. Prints every include that breaks this. One
# exception: kernels/gpu.h includes the emulated device in the preset that is made for it.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
allowed=""
for folder in kernels engine data models tools; do
  allowed="$allowed|$folder"
  bad=$(grep -rnE '^#include "' "$folder" --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
    grep -vE "#include \"(${allowed#|})/" | grep -v '^kernels/gpu.h:.*tests/emulator/emulator.h' || true)
  if [ -n "$bad" ]; then
    printf '%s may include only: %s\n%s\n' "$folder" "${allowed#|}" "$bad"
    status=1
  fi
done
exit $status
