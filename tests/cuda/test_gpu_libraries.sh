#!/usr/bin/env bash
# What tools/gpu_libraries.sh makes of LD_LIBRARY_PATH, with and without Python's packages. No GPU needed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
path_with() {  # PYTHONPATH, LD_LIBRARY_PATH
  PYTHONPATH=$1 LD_LIBRARY_PATH=$2 bash -euo pipefail -c '. tools/gpu_libraries.sh; echo "${LD_LIBRARY_PATH:-}"'
}
expect() {  # what, got
  [ "$1" = "$2" ] || { echo "LD_LIBRARY_PATH is '$2', wanted '$1'" >&2; exit 1; }
}
command -v python3 > /dev/null || { echo "no python3 here"; exit 77; }
mkdir -p "$work"/wheels/nvidia/{cudnn,cu13}/lib "$work"/broken/nvidia
found=$work/wheels/nvidia/cu13/lib:$work/wheels/nvidia/cudnn/lib
expect "$found" "$(path_with "$work/wheels" '')"
expect "/mine:$found" "$(path_with "$work/wheels" /mine)"
echo 'raise SystemExit("no")' > "$work/broken/nvidia/__init__.py"
expect /mine "$(path_with "$work/broken" /mine)"
expect '' "$(path_with "$work/broken" '')"
echo passed
