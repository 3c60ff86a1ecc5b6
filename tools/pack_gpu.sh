#!/usr/bin/env bash
# Packs a folder for a machine that has a GPU, cuDNN and perhaps PyTorch, but neither a compiler nor our libraries:
# programs, tests, benchmarks and scripts, for any x86-64-v3 processor, with the shared libraries they need beside them.
# There, in that folder: tools/test_gpu.sh, bench/run_all.sh --stage step, bin/simsiam.
#   tools/pack_gpu.sh [FOLDER]        (install-gpu unless told; needs nvcc; checks what it made)
# The same as an archive, below 64 MiB, is build/gpu/FOLDER.tar.gz.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-install-gpu}
build=build/gpu
libraries='libfmt|libjpeg|libz|libgomp'  # the rest comes with every system, its driver and CUDA
limit_mib=64

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSTOPGRAD_DEVICE=cuda -DSTOPGRAD_ARCH=x86-64-v3 \
  -DSTOPGRAD_ONEDNN=OFF -DSTOPGRAD_TEST_DATA=. >/dev/null
targets=(simsiam bench_step bench_ladder bench_knn cuda_tests cuda_training_tests cuda_ladder_tests)
! grep -q bench_kernels bench/CMakeLists.txt || targets+=(bench_kernels)
cmake --build "$build" --target "${targets[@]}"
rm -rf "$folder"
# Not the whole installation, which would build all that it holds: the parts by name.
for component in Unspecified gpu; do
  cmake --install "$build" --prefix "$folder" --component $component --strip >/dev/null
done
git ls-files bench tests/golden tests/cuda tools/test_gpu.sh tools/gpu_libraries.sh | grep -E '\.(py|sh|json|safetensors)$' |
  xargs cp --parents -t "$folder"
# Scripts look for programs where a build leaves them.
for place in tests/cuda/{cuda_tests,cuda_training_tests,cuda_ladder_tests} tools/simsiam; do
  mkdir -p "$folder/build/cuda/$(dirname $place)"
  ln -s "$(realpath -m --relative-to="$folder/build/cuda/$(dirname $place)" "$folder/bin/$(basename $place)")" "$folder/build/cuda/$place"
done

mkdir -p "$folder/lib"
for program in "$folder"/bin/*; do
  ldd "$program" | awk -v wanted="^($libraries)" '$1 ~ wanted {print $3}'
done | sort -u | xargs cp -L -t "$folder/lib"

# A folder that was moved, in an environment without anything, must run.
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
archive=$build/$(basename "$folder").tar.gz
tar -C "$(dirname "$folder")" -czf "$archive" "$(basename "$folder")"
tar -C "$there" -xzf "$archive" && mv "$there/$(basename "$folder")" "$there/moved"
clean() { (cd "$there" && env -i PATH=/usr/bin:/bin HOME="$there" "$@"); }
for program in "$there"/moved/bin/*; do
  outside=$(clean ldd "$program" | awk -v wanted="^($libraries)" -v home="$there" '$1 ~ wanted && index($3, home) != 1')
  [ -z "$outside" ] || { echo "pack_gpu: $(basename "$program") takes $outside" >&2; exit 1; }
done
clean moved/bin/simsiam info >/dev/null
clean moved/bin/simsiam train moved/share/stopgrad/recipes/fashion_mnist.toml --device auto --data synthetic --quiet --out run \
  --set train.steps=2 --set train.batch=16 --set data.limit=64 --set monitor.knn_every=0 >/dev/null
if ! command -v nvidia-smi >/dev/null; then  # with a GPU, tools/test_gpu.sh is the test
  status=0
  clean moved/bin/bench_step --net tiny --device cuda 2>"$there/says" || status=$?
  [ $status -eq 8 ] && grep -q 'driver' "$there/says" || { echo "pack_gpu: --device cuda ended with $status:" >&2; cat "$there/says" >&2; exit 1; }
fi
mib=$(du -sm "$archive" | cut -f1)
[ "$mib" -lt $limit_mib ] || { echo "pack_gpu: $archive has $mib MiB, more than $limit_mib" >&2; exit 1; }
newest() { objdump -T "$folder"/bin/* "$folder"/lib/* | grep -oE "\b$1_[0-9.]+" | sort -uV | tail -1; }
echo "$folder, and $archive of $mib MiB; needs $(newest GLIBC), $(newest GLIBCXX), a processor of level x86-64-v3"
