#!/usr/bin/env bash
# Trains SimSiam on Fashion-MNIST with the wall, then without it, and shows both side by side.
#   tools/demo.sh [--data cifar10:DIR] [--seconds N] [--set key=value] [--out runs/demo]
# Installs what is missing, builds in Release, then passes its arguments on to `simsiam demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
cmake --preset release -DSTOPGRAD_TESTS=OFF -DSTOPGRAD_BENCH=OFF -B build/demo >/dev/null
cmake --build build/demo --target simsiam

arguments=("$@")
case " $* " in
  *" --data "* | *" --data="* | *data.set*) ;;
  *)
    if [ ! -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]; then
      echo "Fashion-MNIST (Debian's package dataset-fashion-mnist) is not here: the demo draws its synthetic set instead."
      arguments+=(--data synthetic --set augment.preset=cifar)
    fi
    ;;
esac
exec build/demo/tools/simsiam demo tools/recipes/fashion_mnist.toml "${arguments[@]}"
