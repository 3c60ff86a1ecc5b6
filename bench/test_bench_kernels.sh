#!/usr/bin/env bash
# bench_kernels from the command line, on tiny shapes: exit codes, names, JSON. And no call of kernels/ without a
# benchmark.
#   bench/test_bench_kernels.sh path/to/bench_kernels
set -uo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
expect() {  # what, wanted exit code, command...
  local what=$1 wanted=$2 code=0
  shift 2
  "$@" >"$folder/out" 2>"$folder/err" || code=$?
  [ "$code" -eq "$wanted" ] && return
  echo "FAILED: $what: exit code $code, wanted $wanted"
  cat "$folder/out" "$folder/err"
  failures=$((failures + 1))
}
holds() { grep -qE "$2" "$1" || { echo "FAILED: '$2' is not in:"; cat "$1"; failures=$((failures + 1)); }; }

for call in $(grep -ohE 'void run\(const [A-Z][A-Za-z]+' kernels/*.h | sed 's/.* //' | sort -u); do
  grep -qE "\b$call(<[^(]*>)? make\(Arena" bench/kernels/*.cpp || { echo "FAILED: no benchmark of $call"; failures=$((failures + 1)); }
done

# The kernels that docs/benchmarks.md names for NVIDIA's profiler are those that kernels/ has, and its lines name benchmarks.
kernels=$(cat kernels/*.cu kernels/*.cuh | tr -s '\n ' ' ' | grep -oE '__global__ void (__launch_bounds__\([^()]*\) )?[a-z_]+ ?\(' |
  sed -E 's/ ?\($//; s/.* //' | sort -u)
[ "$(wc -w <<<"$kernels")" -ge 30 ] || { echo "FAILED: found too few kernels: $kernels"; failures=$((failures + 1)); }
for kernel in $kernels; do
  grep -qE "^profile .*#.*\b$kernel\b|^[^#]*\`$kernel\` is in no line" docs/benchmarks.md ||
    { echo "FAILED: $kernel has no line in docs/benchmarks.md"; failures=$((failures + 1)); }
done
for word in $(sed -nE 's/^profile .*# //p' docs/benchmarks.md | grep -oE '[a-z]+(_[a-z]+)+'); do
  grep -qx "$word" <<<"$kernels" || { echo "FAILED: docs/benchmarks.md names $word, which is no kernel"; failures=$((failures + 1)); }
done
"$program" --benchmark_list_tests=true --benchmark_filter=all | sed 's,/cpu/,/cuda/,' >"$folder/names"
while read -r filter; do
  grep -qE "$filter" "$folder/names" || { echo "FAILED: docs/benchmarks.md profiles $filter, which is no benchmark"; failures=$((failures + 1)); }
done < <(sed -nE "s/^profile '([^']*)'.*/\1/p" docs/benchmarks.md)

quick="--max_time=0.002 --benchmark_min_time=0.001 --threads=1"
expect "tiny shapes of every call" 0 "$program" $quick '--benchmark_filter=(/(p2_)?r7_c5$|bwd_acc/.*r7_c5_relu|/n1003$|m5_n7_k9$|n2_h5_w7|n3_p35|v2_n3_h17|r7_n1001|r45_c3_k8)' \
  --benchmark_out="$folder/a.json" --benchmark_out_format=json --roofline "$folder/a.svg"
holds "$folder/out" '^batch_norm_fwd +bf16 +r7_c5 .* GB/s'
holds "$folder/out" '^batch_norm_bwd_acc +f32 +r7_c5_relu .* GB/s'
holds "$folder/out" '^conv2d_bwd_input_acc +f32 +n2_h5_w7.* GF/s'
holds "$folder/a.json" '"name": "BM_batch_norm_fwd/(cpu|cuda)/bf16/r7_c5"'
holds "$folder/a.json" '"share_of_copy": [0-9]'
holds "$folder/a.json" '"built": "commit '
holds "$folder/a.json" '"copy_bytes_per_second": "[1-9]'
awk -F'[:,]' '/"real_time"/ {us = $2} /"low_us"/ {low = $2} /"high_us"/ {high = $2}
  /"low_us"/ && !(low <= us * 1.001) || /"high_us"/ && !(us <= high * 1.001) {bad = 1}
  /"name"/ {us = low = high = 0} END {exit bad}' "$folder/a.json" || { echo "FAILED: a time outside its quartiles"; failures=$((failures + 1)); }
holds "$folder/a.svg" '</svg>'
rows=$(grep -cE ' (GB|GF)/s' "$folder/out")
[ "$rows" -ge 50 ] || { echo "FAILED: only $rows rows"; cat "$folder/out"; failures=$((failures + 1)); }
grep -q WRONG "$folder/out" && { cat "$folder/out"; failures=$((failures + 1)); }

expect "an own shape, against the run before" 0 "$program" $quick --shape rows=7,channels=5 --compare "$folder/a.json"
holds "$folder/out" 'of [0-9]+ moved beyond the noise'
holds "$folder/out" 'not compared: [0-9]+ of this run alone, [0-9]+ of the earlier one alone'
device=$(sed -n 's/.*"device": "\(.*\)",/\1/p' "$folder/a.json")
echo "{\"machine\": \"$device\", \"copy_bytes_per_second\": 1e15, \"matmul_f32_per_second\": 1, \"matmul_bf16_per_second\": 1}" >"$folder/best.json"
expect "a part of a run that knows a better copy" 0 "$program" $quick --shape count=300 --benchmark_filter=sgd --ceilings "$folder/best.json" \
  --benchmark_out="$folder/part.json" --benchmark_out_format=json
holds "$folder/part.json" '"copy_bytes_per_second": "1e\+15"'
holds "$folder/part.json" '"matmul_f32_per_second": "[1-9][0-9.]*e'
holds "$folder/best.json" '"copy_bytes_per_second":1e\+?15'
expect "a part of the small set" 0 "$program" --benchmark_list_tests=true --small --benchmark_filter='gemm|n1003'
holds "$folder/out" '^BM_gemm_fwd/'
if grep -q n1003 "$folder/out"; then echo "FAILED: --small lists what is not in the small set"; failures=$((failures + 1)); fi
expect "help" 0 "$program" --help
holds "$folder/out" 'benchmark_filter'
expect "names" 0 "$program" --benchmark_list_tests=true --benchmark_filter=all
holds "$folder/out" '^BM_conv2d_fwd/(cpu|cuda)/f32/n64_h32_w32_c64_k64_r3_s1_p1$'
expect "an unknown option" 2 "$program" --benchmark_nonsense
expect "a filter that nothing matches" 2 "$program" --benchmark_filter=nothing_at_all
expect "a shape that no call has" 2 "$program" --shape rows=4,m=3
expect "augmentation of an own shape" 0 "$program" $quick --shape views=1,count=2,height=9,width=8,channels=3
holds "$folder/out" '^augment +f32 +v1_n2_h9_w8_c3_h9_w8_s3 .* GB/s'
if grep -q WRONG "$folder/out"; then cat "$folder/out"; failures=$((failures + 1)); fi
expect "images of two channels" 2 "$program" --shape views=1,count=2,height=9,width=8,channels=2
holds "$folder/err" 'channels? .*not 2'
expect "an old run that is not there" 4 "$program" $quick --shape count=3 --benchmark_filter=/n3 --compare "$folder/none.json"
echo nonsense >"$folder/best.json"
expect "ceilings that cannot be read" 4 "$program" $quick --shape count=3 --benchmark_filter=sgd --ceilings "$folder/best.json"
expect "ceilings that cannot be written" 9 "$program" $quick --shape count=3 --benchmark_filter=sgd --ceilings "$folder/none/best.json"
expect "a picture that cannot be written" 9 "$program" $quick --shape count=3 --benchmark_filter=sgd --roofline "$folder/none/a.svg"
[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
