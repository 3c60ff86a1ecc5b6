#!/usr/bin/env python3
"""Alternates bench_step and PyTorch (A B A B ...) and prints medians, spread and the ratio of each round.
    bench/peers/compare_step.py --net a --rounds 7 [--bf16] [--torch-bf16] [--python /usr/bin/python3]
    bench/peers/compare_step.py --net resnet18-cifar --batch 512 --device cuda --variant b2 --bf16
Needs bench_step and a Python with PyTorch. A single time says nothing on a shared machine: the ratio of neighbours in
time does. PyTorch's process stays between the rounds, so that it compiles once; ours starts anew. Its cold start is
given twice on CUDA: the first one searches for the libraries' plans, later ones find them in a file."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What makes PyTorch fast on the CPU: memory that is kept, BLAS kernels for AVX-512, the OpenMP build of OpenBLAS.
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "34359738368",
    "MALLOC_TOP_PAD_": "268435456",
    "GOMP_SPINCOUNT": "20000",
}


def find_bench(name="bench_step"):
    """In a folder made by tools/pack_gpu.sh, or in a build tree."""
    places = [ROOT / "bin" / name] + [ROOT / "build" / preset / "bench" / name for preset in ("cuda", "release")]
    found = [p for p in places if p.exists()]
    return str(found[0] if found else places[-1])


def tuned_environment():
    env = dict(os.environ, **TUNED)
    env["OPENBLAS_CORETYPE"] = "SkylakeX" if "avx512f" in Path("/proc/cpuinfo").read_text() else "Haswell"
    openmp_blas = Path("/usr/lib/x86_64-linux-gnu/openblas-openmp")
    if openmp_blas.exists():
        env["LD_LIBRARY_PATH"] = f"{openmp_blas}:{env.get('LD_LIBRARY_PATH', '')}"
    return env


def run(command, env):
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # the program has said why on stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


class Server:
    """torch_step.py --serve: the first answer holds its cold start, each next one `steps` measurements."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command + ["--serve"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(self.process.wait() or 1)
        return json.loads(line)

    def ask(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def spread(values):
    values = sorted(values)
    return {"median": statistics.median(values), "min": values[0], "max": values[-1], "n": len(values)}


def show(s, factor=1, digits=2):
    return f"{s['median'] * factor:.{digits}f} [{s['min'] * factor:.{digits}f} .. {s['max'] * factor:.{digits}f}]"


def command_lines(args, threads):
    ours = [args.bench, "--net", args.net, "--device", args.device, "--steps", str(args.steps), "--threads", threads, "--json"]
    theirs = [args.python, str(ROOT / "bench/peers/torch_step.py"), "--net", args.net, "--device", args.device, "--variant",
              args.variant, "--steps", str(max(args.steps, 7)), "--threads", threads]
    for command in (ours, theirs):
        if args.batch:
            command += ["--batch", str(args.batch)]
    precision = args.precision or ("bf16" if args.bf16 else "float32")
    ours += ["--precision", precision]
    if args.torch_bf16:
        theirs.append("--bf16")
    return ours, theirs


def summary_of(rows, cold_torch, with_views, first_start=None):
    """rows: (ours, theirs) of each round. Times are medians of a round; without views where PyTorch makes none.
    first_start: seconds of our cold start before the rounds, when no plan file was there."""
    key = "seconds" if with_views or "step_seconds" not in rows[0][0] else "step_seconds"
    ours = [statistics.median(a[key]) for a, _ in rows]
    theirs = [statistics.median(b["seconds"]) for _, b in rows]
    a, b = rows[-1]
    out = {"ours": a["name"], "theirs": b["name"], "device": a["device"], "torch": b["torch"], "threads": b["threads"],
           "pairs": a["pairs"], "views_inside": with_views, "seconds": spread(ours), "torch_seconds": spread(theirs),
           "pairs_per_second": spread([a["pairs"] / s for s in ours]),
           "torch_pairs_per_second": spread([a["pairs"] / s for s in theirs]),
           "speed_up": spread([t / o for o, t in zip(ours, theirs)])}
    if "cudnn" in b:
        out["cudnn"] = b["cudnn"]
    if "built" in a:
        out["built"] = a["built"]
    if "device_mib" in a and "device_mib" in b:
        out["memory_mib"], out["torch_memory_mib"] = a["device_mib"], b["device_mib"]
    else:
        out["memory_mib"], out["torch_memory_mib"] = a["peak_rss_mib"], b["peak_rss_mib"]
    out["memory_ratio"] = out["memory_mib"] / out["torch_memory_mib"]
    cold = [r["cold_start_seconds"] for r, _ in rows if "cold_start_seconds" in r]
    if cold and cold_torch:
        out["cold_start_seconds"], out["torch_cold_start_seconds"] = spread(cold), cold_torch
        out["cold_start_speed_up"] = cold_torch / statistics.median(cold)
        if first_start:
            out["first_start_seconds"], out["first_start_speed_up"] = first_start, cold_torch / first_start
    if not with_views and "step_seconds" in a:
        out["speed_up_with_our_views"] = spread([statistics.median(b["seconds"]) / statistics.median(a["seconds"]) for a, b in rows])
    return out


def print_summary(s, steps):
    print(f"{s['ours']} against {s['theirs']} (torch {s['torch']}, {s['threads']} threads, {s['device']}), {s['speed_up']['n']} "
          f"rounds of {steps} measurements, medians [least .. most], views {'inside' if s['views_inside'] else 'made before'}:\n"
          f"  ours  {show(s['seconds'], 1e3)} ms, {show(s['pairs_per_second'], 1, 1)} pairs/s, memory {s['memory_mib']:.0f} MiB\n"
          f"  torch {show(s['torch_seconds'], 1e3)} ms, {show(s['torch_pairs_per_second'], 1, 1)} pairs/s, memory "
          f"{s['torch_memory_mib']:.0f} MiB\n  speed-up {show(s['speed_up'])}")
    if "speed_up_with_our_views" in s:
        print(f"  speed-up with our augmentation inside {show(s['speed_up_with_our_views'])}")
    if "cold_start_seconds" in s:
        first = f", {s['first_start_seconds']:.2f} s without a plan file" if "first_start_seconds" in s else ""
        print(f"  cold start to step 10: ours {show(s['cold_start_seconds'])} s{first}, torch {s['torch_cold_start_seconds']:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="b")
    parser.add_argument("--batch", type=int, default=0, help="of both; 0: the net's own")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variant", default="cpu", help="of torch_step.py")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=7, help="measurements per round; with 7 ours shows its cold start")
    parser.add_argument("--threads", type=int, default=0, help="of both; 0: all processors")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16")
    parser.add_argument("--precision", help="ours in another one")
    parser.add_argument("--torch-bf16", action="store_true", help="PyTorch under bf16 autocast (--variant cpu)")
    parser.add_argument("--inductor-cache", help="folder that keeps what PyTorch compiled; the cold start is no longer cold")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--bench", default=find_bench())
    parser.add_argument("--out", help="write the summary as JSON")
    args = parser.parse_args()
    threads = str(args.threads or len(os.sched_getaffinity(0)))  # PyTorch's own default may be one
    ours, theirs = command_lines(args, threads)
    env = tuned_environment()
    with tempfile.TemporaryDirectory() as empty:
        env["TORCHINDUCTOR_CACHE_DIR"] = args.inductor_cache or empty
        first_start = None
        if args.device == "cuda":  # plans are found anew as PyTorch's code is compiled anew
            env["XDG_CACHE_HOME"] = empty
            first_start = run(ours, env).get("cold_start_seconds")
        server = Server(theirs, env)
        rows = []
        for i in range(args.rounds):
            rows.append((run(ours, env), server.ask(args.steps)))
            a, b = rows[-1]
            mine, other = statistics.median(a["seconds"]), statistics.median(b["seconds"])
            print(f"round {i + 1}: ours {mine * 1e3:.2f} ms, {b['name']} {other * 1e3:.2f} ms", flush=True)
        server.close()
    cold = None if args.inductor_cache else server.first["cold_start_seconds"]
    summary = summary_of(rows, cold, args.variant != "cpu", first_start)
    print_summary(summary, args.steps)
    if args.out:
        Path(args.out).write_text(json.dumps(dict(summary, commands=[" ".join(ours), " ".join(theirs)]), indent=1) + "\n")


if __name__ == "__main__":
    main()
