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
libraries='libfmt|libjpeg|libz|libgomp|libbenchmark'  # these travel along
system='linux-vdso|(/lib64/)?ld-linux|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|cuda)\.so'  # these every system with a driver has
limit_mib=64

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSTOPGRAD_DEVICE=cuda -DSTOPGRAD_ARCH=x86-64-v3 \
  -DSTOPGRAD_ONEDNN=OFF -DSTOPGRAD_TEST_DATA=. >/dev/null
targets=(simsiam bench_step bench_kernels bench_ladder bench_knn cuda_tests cuda_training_tests cuda_ladder_tests)
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
  name=$(basename "$program")
  outside=$(clean ldd "$program" | awk -v known="^($system)" -v home="$there" '$1 !~ known && index($3, home) != 1 {print $1}')
  [ -z "$outside" ] || { echo "pack_gpu: $name takes from outside of the folder:" $outside >&2; exit 1; }
  clean "$program" --help >"$there/says" 2>&1 || { echo "pack_gpu: $name --help ended with $?:" >&2; cat "$there/says" >&2; exit 1; }
done
clean moved/bin/simsiam info >/dev/null
clean moved/bin/simsiam train moved/share/stopgrad/recipes/fashion_mnist.toml --device auto --data synthetic --quiet --out run \
  --set train.steps=2 --set train.batch=16 --set data.limit=64 --set monitor.knn_every=0 >/dev/null
# Without a GPU each program says that it wants a driver; with one, tools/test_gpu.sh is the test.
refuses() {  # exit code, command...
  local status=0
  clean "${@:2}" >"$there/says" 2>&1 || status=$?
  [ $status -eq "$1" ] && grep -q driver "$there/says" && return
  echo "pack_gpu: without a GPU ${*:2} ended with $status, not with $1 and a word about the driver:" >&2
  cat "$there/says" >&2
  exit 1
}
if ! command -v nvidia-smi >/dev/null; then
  refuses 8 moved/bin/simsiam train moved/share/stopgrad/recipes/fashion_mnist.toml --device cuda --data synthetic --out none
  refuses 8 moved/bin/bench_step --net tiny --device cuda
  refuses 8 moved/bin/bench_knn --device cuda --bank 300 --queries 20 --width 16 --k 5 --rounds 1
  refuses 8 moved/bin/bench_kernels --device cuda
  refuses 8 moved/bin/bench_ladder cosine_loss_forward
  for name in cuda_tests cuda_training_tests cuda_ladder_tests; do refuses 77 moved/bin/$name; done
fi
mib=$(du -sm "$archive" | cut -f1)
[ "$mib" -lt $limit_mib ] || { echo "pack_gpu: $archive has $mib MiB, more than $limit_mib" >&2; exit 1; }
newest() { objdump -T "$folder"/bin/* "$folder"/lib/* | grep -oE "\b$1_[0-9.]+" | sort -uV | tail -1; }
echo "$folder, and $archive of $mib MiB; needs $(newest GLIBC), $(newest GLIBCXX), a processor of level x86-64-v3"
