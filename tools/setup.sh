#!/usr/bin/env bash
# Installs what the build needs on a Debian machine (root or sudo); elsewhere prints the list of what is missing.
# tools/setup.sh [--tests]: with --tests also what only the tests compare against.
set -euo pipefail
packages=(g++ cmake ninja-build catch2 libfmt-dev libdnnl-dev libcli11-dev libtomlplusplus-dev
          nlohmann-json3-dev libbenchmark-dev libstb-dev libjpeg62-turbo-dev zlib1g-dev libeigen3-dev dataset-fashion-mnist)
[ "${1:-}" = --tests ] && packages+=(clang-format-14 python3 python3-numpy python3-torch python3-torchvision)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  missing=()
  for tool in g++ cmake ninja; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  for header in catch2/catch.hpp fmt/format.h CLI/CLI.hpp toml++/toml.h nlohmann/json.hpp stb/stb_image.h jpeglib.h zlib.h Eigen/Core; do
    echo "#include <$header>" | g++ -x c++ -std=c++20 -fsyntax-only -include cstdio - 2>/dev/null || missing+=("<$header>")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "This machine has no apt. Please install what is missing: ${missing[*]}" >&2
    echo "(Debian's names for all of it: ${packages[*]})" >&2
    exit 1
  fi
  exit 0
fi

wanted=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
done
[ ${#wanted[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Please install as root: apt-get install ${wanted[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${wanted[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
