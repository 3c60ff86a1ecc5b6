#!/usr/bin/env python3
"""Merges what run_all.sh measured into results.json and results.md. What was predicted stands in a column of its own.
    merge_results.py DIR [STAGE]     DIR/STAGE.DEVICE.NAME.json -> DIR/results.json, DIR/results.md; ends with 1 where a piece
                                     of STAGE (of any, unless told) holds a wrong kernel
    merge_results.py --wrap STATUS FROM TO -- COMMAND      one piece, with where, when and how it was measured; a program
                                     that ended with STATUS 1 is believed where its JSON names a wrong kernel"""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

STAGES = ("step", "b2-512", "b2-small", "r50", "kernels")
ROOT = Path(__file__).resolve().parents[1]
# Each technique: the pieces with and without it, of `turn` in run_all.sh.
TECHNIQUES = (
    ("the step as one graph", "graph", "base", "eager"), ("plan search", "plans", "base", "unsearched"),
    ("batch norm on the chip", "on-chip", "base", "two-passes"), ("kernels that overlap", "overlap", "overlap", "base"),
    ("both views in one convolution", "batched", "base", "branch"), ("bf16 in place of TF32", "bf16", "base", "tf32"),
)
# Fields of a piece that become rows: name, unit, factor, digits.
FIELDS = (
    ("pairs_per_second", "pairs/s", 1, 1), ("mean_pairs_per_second", "pairs/s, all steps", 1, 1), ("torch_pairs_per_second", "pairs/s", 1, 1), ("seconds", "ms per step", 1e3, 2),
    ("torch_seconds", "ms per step", 1e3, 2), ("speed_up", "x", 1, 2), ("cold_start_seconds", "s to step 10", 1, 2),
    ("torch_cold_start_seconds", "s to step 10", 1, 2), ("cold_start_speed_up", "x", 1, 1), ("memory_mib", "MiB", 1, 0),
    ("torch_memory_mib", "MiB", 1, 0), ("memory_ratio", "ours / theirs", 1, 2), ("device_mib", "MiB", 1, 0),
    ("peak_rss_mib", "MiB", 1, 0), ("pool_mib", "MiB", 1, 0), ("requests_after_step_2", "requests", 1, 0),
    ("idle_share", "of the step", 1, 4), ("views_seconds", "us per step", 1e6, 1), ("update_seconds", "us per step", 1e6, 1),
    ("knn_seconds", "s", 1, 2), ("first_start_seconds", "s to step 10, no plan file", 1, 2), ("first_start_speed_up", "x", 1, 1),
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
    commit = first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    if commit:
        out["scripts"] = commit
    gpu = first_line("nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader")
    if gpu:
        out["gpu, driver, clock, power"] = gpu
    return out


def spread(values):
    values = sorted(values)
    return {"median": statistics.median(values), "min": values[0], "max": values[-1], "n": len(values)}


def wrong_kernels(measured):
    """Names and reasons, of a piece of bench_kernels or bench_ladder."""
    wrong = [(b["name"], b.get("error_message", "")) for b in measured.get("benchmarks", []) if b.get("error_occurred")]
    return wrong + [(ladder_name(measured, v), "differs from the CPU") for v in measured.get("versions", []) if v["wrong"]]


def ladder_name(ladder, version):
    return f"{ladder['topic']}/{ladder['dtype']}/{ladder['shape']}/{version['name']}"


def wrap(status, source, target, command):
    content = json.loads(Path(source).read_text())
    if status != 0 and not wrong_kernels(content):
        raise SystemExit(1)
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


def rows_of_piece(stage, name, measured, best=None):
    """best: ceiling -> the highest of all pieces, of which shares are then."""
    if "benchmarks" in measured:  # Google Benchmark
        return kernel_rows(measured["benchmarks"], measured.get("context", {}), best or {})
    if "versions" in measured:
        return ladder_rows(measured)
    if "growth" in measured:
        return growth_rows(measured["growth"])
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


def ceilings_of(context):
    return {key: float(value) for key, value in context.items() if key.endswith("_per_second")}


def best_ceilings(pieces):
    """Device -> ceiling -> the highest that any process has measured there."""
    best = {}
    for piece in pieces.values():
        context = piece["measured"].get("context", {})
        of = best.setdefault(context.get("device"), {})
        for key, value in ceilings_of(context).items():
            of[key] = max(of.get(key, 0), value)
    return best


def share_by_best(benchmark, field, own, best):
    bf16 = "/bf16/" in benchmark["name"] and own.get("matmul_bf16_per_second", 0) > 0
    key = "copy_bytes_per_second" if field == "share_of_copy" else f"matmul_{'bf16' if bf16 else 'f32'}_per_second"
    return benchmark[field] * (own[key] / best[key] if own.get(key) and best.get(key) else 1)


def kernel_rows(benchmarks, context, best):
    """Time, share of its ceiling and ratio to the library of each kernel: medians with quartiles over its samples.
    Predictions of kernels have the kernel's name for a piece, whichever piece it is in."""
    rows = []
    for b in benchmarks:
        if b.get("run_type", "iteration") != "iteration" or b.get("error_occurred") or "real_time" not in b:
            continue
        name, n = b.get("run_name", b["name"]), int(b.get("samples", 1))
        us = b["real_time"] * {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}[b.get("time_unit", "ns")]
        rows.append((name, "us", 1, 2, {"median": us, "min": b.get("low_us", us), "max": b.get("high_us", us), "n": n},
                     f"kernels.{name}:us"))
        if "warm_us" in b:
            rows.append((f"{name} warm", "us", 1, 2, spread([b["warm_us"]]), f"kernels.{name}:warm_us"))
        for field, unit in (("share_of_copy", "of the copy rate"), ("share_of_matmul", "of the matmul rate"),
                            ("speedup", f"x of {b.get('label') or 'the library'}")):
            if field in b:
                value = share_by_best(b, field, ceilings_of(context), best) if field != "speedup" else b[field]
                rows.append((f"{name} {field}", unit, 1, 3, spread([value]), f"kernels.{name}:{field}"))
    return rows


def ladder_rows(ladder):
    rows = []
    for v in ladder["versions"]:
        if v["wrong"] or "us" not in v:
            continue
        name = ladder_name(ladder, v)
        rows += [(name, "us", 1, 2, {"median": v["us"], "min": v["low_us"], "max": v["high_us"], "n": v["samples"]}, None),
                 (f"{name} share_of_copy", "of the copy rate", 1, 3, spread([v["share_of_copy"]]), None)]
    return rows


def growth_rows(growth):
    """Milliseconds per step of every size, in each precision."""
    return [(f"{what} {size:g}, {precision}", "ms per step", 1, 2, spread([ms]), None)
            for what, data in growth.items() for precision in ("float32", "bf16") if precision in data
            for size, ms in zip(data["sizes"], data[precision])]


def technique_rows(pieces):
    """How many times as long a step takes without each technique: ratios of neighbours in time, a row per device and size."""
    turns = {}  # (device, pairs) -> round -> form -> seconds
    for (stage, name), piece in pieces.items():
        device, _, rest = name.partition(".turn-")
        if stage == "step" and rest:
            turn, pairs, form = rest.split("-", 2)
            turns.setdefault((device, pairs), {}).setdefault(turn, {})[form] = statistics.median(piece["measured"]["seconds"])
    rows = []
    for (device, pairs), rounds in sorted(turns.items()):
        for what, key, with_it, without in TECHNIQUES:
            ratios = [r[without] / r[with_it] for r in rounds.values() if with_it in r and without in r]
            if ratios:
                rows.append((f"{what}, {pairs} pairs, {device}", "x", 1, 3, spread(ratios), f"techniques.{device}.{key}-{pairs}"))
    return rows


def table(rows, predicted, wrong=()):
    out = ["| what | unit | measured | n | predicted |", "|---|---|---|---|---|"]
    out += [f"| {name} | **WRONG** | {why.replace('|', '/')} | | |" for name, why in wrong]
    for what, unit, factor, digits, v, key in rows:
        text = f"{v['median'] * factor:.{digits}f}"
        if v["n"] > 1:
            text += f" [{v['min'] * factor:.{digits}f} .. {v['max'] * factor:.{digits}f}]"
        out.append(f"| {what} | {unit} | {text} | {v['n']} | {predicted.get(key, '')} |")
    return out + [""]


def where_of(piece):
    """Machine, device, versions and, for kernels, what the machine can do."""
    m, out = piece["measured"], [f"{k}: {v}" for k, v in piece["hardware"].items()]
    context = m.get("context", {})
    device = m.get("device") or context.get("device")
    if device:
        out.append(f"device: {device}")
    built = m.get("built") or context.get("built")
    if built:
        out.append(f"ours: {built}")
    out += [f"{k} {m[k]}" for k in ("torch", "torchvision", "cudnn", "threads") if k in m]
    for key, what, factor in (("copy_bytes_per_second", "copy {:.1f} GB/s", 1e-9), ("matmul_f32_per_second", "matmul {:.0f} GFLOP/s in float32", 1e-9),
                              ("matmul_bf16_per_second", "{:.0f} in bf16", 1e-9)):
        rate = float(context.get(key, m.get(key, 0)))
        if rate > 0:
            out.append(what.format(rate * factor))
    return "; ".join(out)


def markdown(pieces, predicted):
    out = ["# Results", "", "Made by `bench/run_all.sh`. Medians [least .. most] of n measurements. **Predicted** figures are "
           "arithmetic made before the code had run on a GPU, for one H200; they are no measurements.", ""]
    ratios = technique_rows(pieces)
    if ratios:
        out += ["## Techniques", "", "A step without each, divided by one with it; each ratio is of two runs of one round.", ""]
        out += table(ratios, predicted)
    best = best_ceilings(pieces)
    for stage in STAGES:
        for (s, name), piece in sorted(pieces.items()):
            if s != stage:
                continue
            m = piece["measured"]
            out += [f"## {stage}: {name}", "", f"`{piece['command']}`", "", f"{piece['date']}; {where_of(piece)}", ""]
            out += table(rows_of_piece(stage, name, m, best.get(m.get("context", {}).get("device"))), predicted, wrong_kernels(m))
    return "\n".join(out)


def merge(folder, wanted):
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
    wrong = [(stage, *w) for (stage, _), piece in pieces.items() if wanted in ("", stage) for w in wrong_kernels(piece["measured"])]
    for stage, name, why in wrong:
        print(f"WRONG in stage {stage}: {name}: {why}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1] == "--wrap":
        wrap(int(sys.argv[2]), sys.argv[3], sys.argv[4], " ".join(sys.argv[6:]))
    else:
        sys.exit(merge(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
