#!/usr/bin/env bash
# Builds everything in Release and runs all tests. Installs what is missing first.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh --tests
cmake --preset release >/dev/null
cmake --build --preset release
OMP_WAIT_POLICY=passive ctest --preset release -j 2 "$@"
