#!/usr/bin/env python3
"""Merges what run_all.sh measured into results.json and results.md. What was predicted stands in a column of its own.
    merge_results.py DIR                         DIR/STAGE.PIECE.json -> DIR/results.json, DIR/results.md
    merge_results.py --wrap FROM TO -- COMMAND   one piece, with where, when and how it was measured"""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

STAGES = ("step", "b2-512", "b2-small", "r50", "kernels")
# Fields of a piece that become rows: name, unit, factor, digits.
FIELDS = (
    ("pairs_per_second", "pairs/s", 1, 1), ("torch_pairs_per_second", "pairs/s", 1, 1), ("seconds", "ms per step", 1e3, 2),
    ("torch_seconds", "ms per step", 1e3, 2), ("speed_up", "x", 1, 2), ("cold_start_seconds", "s to step 10", 1, 2),
    ("torch_cold_start_seconds", "s to step 10", 1, 2), ("cold_start_speed_up", "x", 1, 1), ("memory_mib", "MiB", 1, 0),
    ("torch_memory_mib", "MiB", 1, 0), ("memory_ratio", "ours / theirs", 1, 2), ("device_mib", "MiB", 1, 0),
    ("peak_rss_mib", "MiB", 1, 0), ("pool_mib", "MiB", 1, 0), ("requests_after_step_2", "requests", 1, 0),
    ("idle_share", "of the step", 1, 4), ("views_seconds", "us per step", 1e6, 1), ("update_seconds", "us per step", 1e6, 1),
    ("share_of_flop_ceiling", "of the matmul rate", 1, 3), ("flop_per_second", "GFLOP/s, matmul", 1e-9, 0),
    ("bytes_per_second", "GB/s, copy", 1e-9, 1),
)


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def hardware():
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    out = {"processor": names[0] if names else platform.machine(), "cores": len(os.sched_getaffinity(0)),
           "system": platform.platform()}
    gpu = first_line("nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader")
    if gpu:
        out["gpu, driver, clock, power"] = gpu
    return out


def spread(values):
    values = sorted(values)
    return {"median": statistics.median(values), "min": values[0], "max": values[-1], "n": len(values)}


def wrap(source, target, command):
    content = json.loads(Path(source).read_text())
    piece = {"command": command, "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
             "hardware": hardware(), "measured": content}
    Path(target).write_text(json.dumps(piece, indent=1) + "\n")


def flat(measured):
    """Field -> spread, of a piece of bench_step or compare_step."""
    fields = dict(measured)
    fields.update({k: v for k, v in measured.get("breakdown", {}).items() if k != "step_seconds"})
    if isinstance(fields.get("seconds"), list):
        fields["pairs_per_second"] = [fields["pairs"] / s for s in fields["seconds"]]
    out = {}
    for name, value in fields.items():
        if isinstance(value, list) and value and all(isinstance(v, (int, float)) for v in value):
            out[name] = spread(value)
        elif isinstance(value, dict) and "median" in value:
            out[name] = value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            out[name] = spread([value])
    return out


def rows_of_piece(stage, name, measured):
    if "benchmarks" in measured:  # Google Benchmark
        return kernel_rows(measured["benchmarks"])
    rows = []
    if "rows" in measured:  # augment_peers
        for r in measured["rows"]:
            rows.append((f"view by {r['peer']}", "us", 1e6, 2, r["seconds_per_view"], None))
            if "ratio" in r:
                rows.append((f"ratio {r['peer']}", "x", 1, 1, r["ratio"], f"{stage}.{name}:ratio {r['peer']}"))
        return rows
    values = flat(measured)
    return [(field, unit, factor, digits, values[field], f"{stage}.{name}:{field}")
            for field, unit, factor, digits in FIELDS if field in values]


def kernel_rows(benchmarks):
    """Time, share of its ceiling and ratio to the library of each kernel: medians with quartiles over its samples."""
    rows = []
    for b in benchmarks:
        if b.get("run_type", "iteration") != "iteration" or b.get("error_occurred") or "real_time" not in b:
            continue
        name, n = b.get("run_name", b["name"]), int(b.get("samples", 1))
        us = b["real_time"] * {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}[b.get("time_unit", "ns")]
        rows.append((name, "us", 1, 2, {"median": us, "min": b.get("low_us", us), "max": b.get("high_us", us), "n": n}, None))
        for field, unit in (("share_of_copy", "of the copy rate"), ("share_of_matmul", "of the matmul rate"),
                            ("speedup", f"x of {b.get('label') or 'the library'}")):
            if field in b:
                rows.append((f"{name} {field}", unit, 1, 3, spread([b[field]]), None))
    return rows


def markdown(pieces, predicted):
    out = ["# Results", "", "Made by `bench/run_all.sh`. Medians [least .. most] of n measurements. **Predicted** figures are "
           "arithmetic made before the code had run on a GPU, for one H200; they are no measurements.", ""]
    for stage in STAGES:
        for (s, name), piece in sorted(pieces.items()):
            if s != stage:
                continue
            m, where = piece["measured"], piece["hardware"]
            versions = ", ".join(f"{k} {m[k]}" for k in ("torch", "torchvision", "cudnn", "threads") if k in m)
            out += [f"## {stage}: {name}", "", f"`{piece['command']}`", "",
                    f"{piece['date']}; " + ", ".join(f"{k}: {v}" for k, v in where.items()) +
                    (f"; device {m['device']}" if "device" in m else "") + (f"; {versions}" if versions else ""), "",
                    "| what | unit | measured | n | predicted |", "|---|---|---|---|---|"]
            for what, unit, factor, digits, v, key in rows_of_piece(stage, name, m):
                text = f"{v['median'] * factor:.{digits}f}"
                if v["n"] > 1:
                    text += f" [{v['min'] * factor:.{digits}f} .. {v['max'] * factor:.{digits}f}]"
                out.append(f"| {what} | {unit} | {text} | {v['n']} | {predicted.get(key, '')} |")
            out.append("")
    return "\n".join(out)


def merge(folder):
    predicted = json.loads((Path(__file__).parent / "predicted.json").read_text())
    pieces = {}
    for path in sorted(Path(folder).glob("*.json")):
        stage, _, name = path.stem.partition(".")
        if stage in STAGES and name:
            pieces[stage, name] = json.loads(path.read_text())
    merged = {"pieces": [dict(piece, stage=stage, name=name) for (stage, name), piece in pieces.items()], "predicted": predicted}
    (Path(folder) / "results.json").write_text(json.dumps(merged, indent=1) + "\n")
    (Path(folder) / "results.md").write_text(markdown(pieces, predicted))
    print(f"{len(pieces)} pieces in {folder}/results.json and results.md")


if __name__ == "__main__":
    if sys.argv[1] == "--wrap":
        wrap(sys.argv[2], sys.argv[3], " ".join(sys.argv[5:]))
    else:
        merge(sys.argv[1])
