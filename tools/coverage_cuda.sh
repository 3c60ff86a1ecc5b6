#!/usr/bin/env bash
# Which lines of kernels/*.cu and *.cuh the tests of the emulated device run: built without optimisation under gcov, a line
# of a template counts by its best instance. Prints each file, the total and what never ran; exit 1 under 95 %.
#   tools/coverage_cuda.sh            about five minutes; not part of CI
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage
cmake --preset emulate -B $build -DSTOPGRAD_ONEDNN=OFF -DCMAKE_CXX_FLAGS_RELEASE="-O0 -g1 --coverage" >/dev/null
cmake --build $build --target cuda_tests
find $build -name '*.gcda' -delete
OMP_WAIT_POLICY=passive $build/tests/cuda/cuda_tests

python3 - $build <<'END'
import collections, json, pathlib, subprocess, sys

counts = collections.defaultdict(dict)  # file -> line -> most often run, of all instances
for data in pathlib.Path(sys.argv[1]).rglob("*.gcda"):
    out = subprocess.run(["gcov", "--json-format", "--stdout", data], capture_output=True, check=True).stdout
    for report in out.splitlines():
        for file in json.loads(report)["files"]:
            path = pathlib.Path(file["file"])
            if path.parent.name != "kernels" or path.suffix not in (".cu", ".cuh"):
                continue
            lines = counts[path.name]
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = max(lines.get(number, 0), line["count"])
total = missed = 0
for name, lines in sorted(counts.items()):
    never = sorted(n for n, count in lines.items() if count == 0)
    total, missed = total + len(lines), missed + len(never)
    print(f"{name:<26}{len(lines) - len(never):5} of {len(lines):4} {'  never: ' + ', '.join(map(str, never)) if never else ''}")
share = 100 * (total - missed) / max(total, 1)
print(f"{total - missed} of {total} lines of kernels/*.cu and *.cuh: {share:.1f} %")
sys.exit(share < 95)
END
