#!/usr/bin/env python3
"""Alternates bench_step and PyTorch (A B A B ...) and prints medians, spread and the ratio of each round.
    bench/peers/compare_step.py --net a --rounds 7 [--bf16] [--python /usr/bin/python3]
Needs a build in build/release and a Python with PyTorch. A single time says nothing on a shared machine: the ratio of
neighbours in time does."""
import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What makes PyTorch fast on the CPU: memory that is kept, BLAS kernels for AVX-512, the OpenMP build of OpenBLAS.
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "34359738368",
    "MALLOC_TOP_PAD_": "268435456",
    "GOMP_SPINCOUNT": "20000",
}


def tuned_environment():
    env = dict(os.environ, **TUNED)
    env["OPENBLAS_CORETYPE"] = "SkylakeX" if "avx512f" in Path("/proc/cpuinfo").read_text() else "Haswell"
    openmp_blas = Path("/usr/lib/x86_64-linux-gnu/openblas-openmp")
    if openmp_blas.exists():
        env["LD_LIBRARY_PATH"] = f"{openmp_blas}:{env.get('LD_LIBRARY_PATH', '')}"
    return env


def run(command, env):
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", choices="ab", default="b")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=0, help="of both; 0: all processors")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16")
    parser.add_argument("--torch-bf16", action="store_true", help="PyTorch under bf16 autocast")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--bench", default=str(ROOT / "build/release/bench/bench_step"))
    args = parser.parse_args()
    threads = str(args.threads or len(os.sched_getaffinity(0)))  # PyTorch's own default may be one
    ours = [args.bench, "--net", args.net, "--steps", str(args.steps), "--threads", threads, "--json"]
    theirs = [args.python, str(ROOT / "bench/peers/torch_step.py"), "--net", args.net, "--steps", str(args.steps),
              "--threads", threads]
    if args.bf16:
        ours += ["--precision", "bf16"]
    if args.torch_bf16:
        theirs.append("--bf16")
    env = tuned_environment()
    rows = []
    for i in range(args.rounds):
        a, b = run(ours, env), run(theirs, env)
        mine, step_only, other = (statistics.median(s) for s in (a["seconds"], a["step_seconds"], b["seconds"]))
        rows.append((mine, step_only, other, a["peak_rss_mib"], b["peak_rss_mib"]))
        print(f"round {i + 1}: ours {mine * 1e3:7.1f} ms with views, {step_only * 1e3:7.1f} without; "
              f"{b['name']} {other * 1e3:7.1f} ms; speed-up {other / step_only:.2f} ({other / mine:.2f} with views)", flush=True)
    median = lambda k: statistics.median(r[k] for r in rows)
    ratios = sorted(r[2] / r[1] for r in rows)
    with_views = sorted(r[2] / r[0] for r in rows)
    print(f"{a['name']} against {b['name']} (torch {b['torch']}, {b['threads']} threads), {args.rounds} rounds of "
          f"{args.steps} steps, medians:\n"
          f"  ours  {median(1) * 1e3:.1f} ms, {a['pairs'] / median(1):.1f} pairs/s ({a['pairs'] / median(0):.1f} with augmentation), "
          f"peak {median(3):.0f} MiB\n"
          f"  torch {median(2) * 1e3:.1f} ms, {b['pairs'] / median(2):.1f} pairs/s, peak {median(4):.0f} MiB\n"
          f"  speed-up {statistics.median(ratios):.2f} [{ratios[0]:.2f} .. {ratios[-1]:.2f}], "
          f"with our augmentation inside {statistics.median(with_views):.2f}")


if __name__ == "__main__":
    main()
