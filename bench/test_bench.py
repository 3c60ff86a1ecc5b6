#!/usr/bin/env python3
"""Checks what the benchmarks say of themselves: that PyTorch's nets are ours, that the arithmetic counted by bench_step is
the one that PyTorch's layers show, that a trace is well-formed, that augment.py does what torchvision does, and that
run_all.sh resumes, merges and says what is missing.
    bench/test_bench.py BENCH_STEP           exit code 77: no PyTorch here"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers")]
try:
    import torch
    from torchvision.transforms import functional as F
except ImportError:
    print("skipped: no PyTorch")
    sys.exit(77)
import augment
from nets import NETS, SimSiam

bench = sys.argv[1]
PROGRAMS = ["env"] + [f"BENCH_{name.upper()}={Path(bench).parent / f'bench_{name}'}" for name in ("step", "knn", "growth")]


def check(good, text):
    if not good:
        sys.exit(f"FAILED: {text}")


def run(*arguments, code=0):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    check(done.returncode == code, f"{arguments} ended with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
    return done


def flop_of_step(net, pairs):
    """2 FLOP per product of convolution and linear: forward, dw and dx, without the dx of the views; two views."""
    model, macs = SimSiam(net), []

    def count(layer, inputs, output):
        macs.append((layer.weight.numel() // layer.weight.shape[0]) * output.numel() / len(output))

    for layer in model.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            layer.register_forward_hook(count)
    side = net["side"]
    model(*(torch.zeros(2, net["channels"], side, side) for _ in range(2)))
    per_image = 3 * sum(macs) - 2 * macs[0]  # of both views; macs[0] is the stem
    return 2 * per_image * pairs, sum(p.numel() for p in model.parameters())


def test_nets_and_arithmetic():
    for name, batch in (("tiny", 16), ("a", 2), ("resnet50", 2)):
        out = json.loads(run(bench, "--net", name, "--batch", batch, "--steps", 1, "--warmup", 0, "--breakdown", "--breakdown-steps",
                             1, "--device", "cpu", "--json").stdout)
        flop, parameters = flop_of_step(NETS[name], batch)
        check(out["parameters"] == parameters, f"{name}: {out['parameters']} parameters here, {parameters} in PyTorch")
        check(out["breakdown"]["flop"] == flop, f"{name}: {out['breakdown']['flop']} FLOP here, {flop} in PyTorch")


def test_trace(folder):
    path = folder / "step.json"
    out = json.loads(run(bench, "--net", "tiny", "--device", "cpu", "--form", "branch", "--trace", path, "--json").stdout)
    events = json.loads(path.read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    forward = {e["args"]["node"]: e for e in slices if e["cat"] == "forward"}
    backward = {e["args"]["node"]: e for e in slices if e["cat"] == "backward"}
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    check(len(backward) > 30 and starts.keys() == ends.keys() == backward.keys(), "an arrow for every node that ran backward")
    check(sum(e["ph"] == "i" for e in events) == 2, "two walls")
    for node, e in backward.items():
        for arrow, of in ((starts[node], forward[node]), (ends[node], e)):
            check(of["ts"] <= arrow["ts"] <= of["ts"] + of["dur"] and arrow["tid"] == of["tid"], f"the arrow of node {node} hangs in the air")
    for row in (1, 2):
        in_order = sorted((e["ts"], e["dur"]) for e in slices if e["tid"] == row)
        check(all(a + d <= b + 1e-3 for (a, d), (b, _) in zip(in_order, in_order[1:])), f"slices of row {row} overlap")
    check(max(e["ts"] for e in forward.values()) <= min(e["ts"] for e in backward.values()), "backward comes after forward")
    check(out["requests_after_step_2"] == 0, "a step asks for memory")
    nodes = {n["index"]: n for n in out["breakdown"]["nodes"]}
    ran = {i for i, n in nodes.items() if n["backward_seconds"] > 0}
    check(ran == backward.keys(), f"backward of {ran ^ backward.keys()} is in the JSON or in the trace, not in both")
    check(0 < out["cold_start_seconds"] < 60, "the JSON lacks the cold start")
    mean = out["pairs"] * len(out["seconds"]) / sum(out["seconds"])
    check(abs(out["mean_pairs_per_second"] / mean - 1) < 1e-9, f"{mean} pairs/s over all steps, {out['mean_pairs_per_second']} in the JSON")


def test_augmentation():
    torch.manual_seed(1)
    side, n, recipe = 32, 24, augment.RECIPES["imagenet"]
    images = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8)
    images[0] = 77  # a grey image has no hue
    p = augment.draw(recipe, n, side, side, torch.device("cpu"))
    got = augment.apply(images, p, augment.on_device(recipe, 3, "cpu"), side)
    for i in range(n):
        q = {k: v[i].item() for k, v in p.items()}
        x = images[i].permute(2, 0, 1).float() / 255
        x = x[:, int(q["top"]):int(q["top"] + q["height"]), int(q["left"]):int(q["left"] + q["width"])]
        x = torch.nn.functional.interpolate(x[None], (side, side), mode="bilinear", align_corners=False)[0]
        for name in ("brightness", "contrast", "saturation", "hue"):
            x = getattr(F, f"adjust_{name}")(x, q[name])
        if q["grey"]:
            x = F.rgb_to_grayscale(x, 3)
        if q["sigma"] > 0:
            x = F.gaussian_blur(x, 2 * int(-(-3 * q["sigma"] // 1)) + 1, q["sigma"])
        if q["flip"]:
            x = F.hflip(x)
        want = F.normalize(x, recipe["mean"], recipe["std"])
        worst = (got[i] - want).abs().max().item()
        check(worst < 2e-4, f"image {i} differs from torchvision's by {worst} with {q}")
    many = augment.draw(recipe, 20000, 32, 32, torch.device("cpu"))
    for name, chance in (("flip", 0.5), ("grey", 0.2)):
        share = many[name].float().mean().item()
        check(abs(share - chance) < 0.02, f"{name} in {share} of the draws")
    shares = [((many["brightness"] != 1).float().mean().item(), 0.8), ((many["sigma"] > 0).float().mean().item(), 0.5),
              ((many["height"] * many["width"]).mean().item() / 1024, 0.58)]
    for share, expected in shares:
        check(abs(share - expected) < 0.03, f"{share} of the draws, expected {expected}")


def test_compiled_peer():
    """b2 on the CPU, views inside, without graphs: torch_step.py ends with an error for a loss out of its range. Compiling
    takes minutes."""
    if not hasattr(torch, "compile"):
        return print("skipped: b2, as this PyTorch has no torch.compile")
    out = json.loads(run(sys.executable, HERE / "peers/torch_step.py", "--net", "tiny", "--variant", "b2", "--steps", 1, "--warmup", 1)
                     .stdout)
    check(out["variant"] == "b2" and out["seconds"][0] > 0, out)


def test_kernel_rows():
    from merge_results import rows_of_piece
    benchmarks = [{"name": "batch_norm/cpu", "run_type": "iteration", "real_time": 3.0, "time_unit": "ms", "low_us": 2900.0,
                   "high_us": 3200.0, "samples": 9, "share_of_copy": 0.5, "speedup": 1.5, "label": "a library"},
                  {"name": "wrong", "run_type": "iteration", "error_occurred": True, "real_time": 1.0}]
    benchmarks[0]["warm_us"] = 2000.0
    rows = rows_of_piece("kernels", "kernels", {"benchmarks": benchmarks})
    check(rows.pop(1)[4:] == ({"median": 2000.0, "min": 2000.0, "max": 2000.0, "n": 1}, "kernels.batch_norm/cpu:warm_us"), rows)
    check([r[0] for r in rows] == ["batch_norm/cpu", "batch_norm/cpu share_of_copy", "batch_norm/cpu speedup"], rows)
    check(rows[0][4] == {"median": 3000.0, "min": 2900.0, "max": 3200.0, "n": 9} and rows[2][1] == "x of a library", rows)


def test_shares_of_the_best():
    """What one process measured of the machine holds for the shares of all, on the same device."""
    from merge_results import best_ceilings, rows_of_piece
    def piece(device, copy, bf16, **fields):
        b = {"name": "BM_a/cuda/bf16/x", "run_type": "iteration", "real_time": 1.0, **fields}
        return {"measured": {"benchmarks": [b], "context": {"device": device, "copy_bytes_per_second": copy, "matmul_f32_per_second": "5e13",
                                                            "matmul_bf16_per_second": bf16}}}
    pieces = {("kernels", "a"): piece("GPU", "2e12", "8e14", share_of_copy=0.8, share_of_matmul=0.5),
              ("kernels", "b"): piece("GPU", "4e12", "4e14", share_of_copy=0.5), ("kernels", "c"): piece("other", "9e12", "9e15"),
              ("step", "d"): {"measured": {"seconds": [1]}}}
    best = best_ceilings(pieces)["GPU"]
    shares = {r[5].split(":")[1]: r[4]["median"] for r in rows_of_piece("kernels", "a", pieces["kernels", "a"]["measured"], best)}
    check(shares["share_of_copy"] == 0.4 and shares["share_of_matmul"] == 0.5, shares)


def test_summaries():
    from compare_step import summary_of
    from merge_results import rows_of_piece
    ours = {"name": "tiny", "device": "cpu", "pairs": 10, "peak_rss_mib": 50}
    theirs = {"name": "torch", "torch": "1", "threads": 2, "peak_rss_mib": 200}
    rows = [(dict(ours, seconds=s), dict(theirs, seconds=t))
            for s, t in (([1, 9, 2], [4]), ([1, 1, 1], [3]), ([4, 4, 5], [6]), ([2, 2, 2], [5]), ([8, 8, 8], [9]))]
    s = summary_of(rows, None, False)
    check(s["seconds"] == {"median": 2, "min": 1, "max": 8, "n": 5} and s["memory_ratio"] == 0.25, s)
    check(s["speed_up"] == {"median": 2, "min": 1.125, "max": 3, "n": 5}, "each round is compared with itself")
    cold = [(dict(o, cold_start_seconds=2, built="commit x"), dict(t, cudnn=9)) for o, t in rows]
    s = summary_of(cold, 40, False, 10)
    check(s["cold_start_speed_up"] == 20 and s["first_start_speed_up"] == 4, s)
    check(s["cudnn"] == 9 and s["built"] == "commit x", s)
    merged = {r[0]: r for r in rows_of_piece("b2-512", "tiny", {"pairs": 12, "seconds": [6, 1, 2, 4, 12]})}
    check(merged["seconds"][4] == {"median": 4, "min": 1, "max": 12, "n": 5}, merged)
    check(merged["pairs_per_second"][4] == {"median": 3, "min": 1, "max": 12, "n": 5}, merged)
    check(merged["seconds"][5] == "b2-512.tiny:seconds", "what was predicted is found by this key")


def test_techniques():
    from merge_results import technique_rows
    def piece(seconds):
        return {"measured": {"seconds": seconds}}
    pieces = {("step", "cuda.turn-1-64-base"): piece([2, 1, 3]), ("step", "cuda.turn-1-64-eager"): piece([6]),
              ("step", "cuda.turn-2-64-base"): piece([4]), ("step", "cuda.turn-2-64-eager"): piece([20]),
              ("step", "cuda.turn-3-64-base"): piece([1]), ("step", "cuda.turn-1-64-overlap"): piece([1]),
              ("step", "cuda.turn-1-512-eager"): piece([1]), ("step", "cuda.resnet18-64-bf16"): piece([1])}
    rows = {r[5]: r[4] for r in technique_rows(pieces)}
    check(rows["techniques.cuda.graph-64"] == {"median": 4, "min": 3, "max": 5, "n": 2}, f"neighbours of one round: {rows}")
    check(rows["techniques.cuda.overlap-64"]["median"] == 2 and len(rows) == 2, f"what is on is divided by: {rows}")


def test_predictions():
    """Every key of predicted.json is one that a stage of run_all.sh or a kernel of ours can have."""
    from merge_results import FIELDS, TECHNIQUES
    keys = [k for k in json.loads((HERE / "predicted.json").read_text()) if k != "_"]
    fields = [f[0] for f in FIELDS]
    for key in keys:
        where, _, field = key.partition(":")
        if where.startswith("techniques."):
            good = where.split(".")[2].rpartition("-")[0] in [t[1] for t in TECHNIQUES] and not field
        elif where.startswith("kernels."):
            good = where.split("/")[1] == "cuda" and field in ("us", "warm_us", "share_of_copy", "share_of_matmul", "speedup")
        else:
            good = where.split(".")[1] == "cuda" and (field in fields or field.startswith("ratio "))
        check(good, f"predicted.json has {key}, which is no row of results.md")


def test_pages():
    from merge_results import markdown
    where = {"command": "c", "date": "d", "hardware": {"processor": "p"}}
    measured = {"context": {"device": "GPU", "built": "cuDNN 9", "copy_bytes_per_second": "2e12"},
                "benchmarks": [{"name": "BM_bad", "run_type": "iteration", "error_occurred": True, "error_message": "y[3] is 1"},
                               {"name": "BM_a/cuda/x", "run_type": "iteration", "real_time": 1.0, "share_of_copy": 0.8}]}
    ladder = {"topic": "t", "dtype": "bf16", "shape": "[2, 3]", "device": "GPU", "copy_bytes_per_second": 3e12, "versions": [
        {"name": "1 slow", "wrong": True}, {"name": "2 fast", "wrong": False, "us": 5, "low_us": 4, "high_us": 6, "samples": 7,
                                             "share_of_copy": 0.5}]}
    page = markdown({("kernels", "cuda.kernels"): dict(where, measured=measured), ("kernels", "cuda.ladder"): dict(where, measured=ladder)},
                    {"kernels.BM_a/cuda/x:share_of_copy": "at least 0.9"})
    for line in ("| BM_bad | **WRONG** | y[3] is 1 | | |", "| BM_a/cuda/x share_of_copy | of the copy rate | 0.800 | 1 | at least 0.9 |",
                 "device: GPU; ours: cuDNN 9; copy 2000.0 GB/s", "| t/bf16/[2, 3]/1 slow | **WRONG**", "5.00 [4.00 .. 6.00] | 7 |", "copy 3000.0"):
        check(line in page, f"'{line}' is not in\n{page}")


def test_wrong_kernels(folder):
    """A stage that finds a wrong kernel keeps the others' times, says so, and ends with 1, each time it is called."""
    program = folder / "bench_kernels"
    def writes(text):
        program.write_text(f"""#!/bin/sh
for o; do case $o in --benchmark_out=*) echo '{text}' >"${{o#*=}}";; esac; done
exit 1
""")
        program.chmod(0o755)

    writes(json.dumps({"benchmarks": [{"name": "BM_a", "run_type": "iteration", "real_time": 3.0},
                                      {"name": "BM_bad", "run_type": "iteration", "error_occurred": True, "error_message": "NaN"}]}))
    command = (*PROGRAMS, f"BENCH_KERNELS={program}", HERE / "run_all.sh", "--stage", "kernels", "--device", "cpu",
               "--quick", "--out", folder / "out", "--python", sys.executable)
    for _ in range(2):
        done = run(*command, code=1)
        check("FAILED" not in done.stdout and "WRONG in stage kernels: BM_bad" in done.stderr, done.stdout + done.stderr)
    page = (folder / "out" / "results.md").read_text()
    check("| knn_seconds | s | 0.0" in page and "| share_of_flop_ceiling | " in page, page)
    check("| BM_bad | **WRONG** | NaN |" in page and "| BM_a | us | 0.00 " in page, page)
    writes('{"benchmarks": []}')
    check("FAILED" in run(*command, "--again", code=1).stdout, "a program that fails otherwise has no piece")


def test_few_files(folder, script, names):
    """--leave makes three files of all, and --from goes on from them where there is nothing else."""
    left, bare = folder.parent / "left", folder.parent / "bare"
    (folder / "inductor").mkdir()
    (folder / "inductor" / "compiled").write_text("large")
    run(*PROGRAMS, script, "--stage", "step", "--device", "cpu", "--quick", "--out", folder, "--python", sys.executable, "--leave", left)
    check(sorted(f.name for f in left.iterdir()) == ["pieces.tgz", "results.json", "results.md"], list(left.iterdir()))
    on = run(*PROGRAMS, script, "--stage", "step", "--device", "cpu", "--quick", "--out", bare, "--python", sys.executable, "--from",
             left / "pieces.tgz", "--leave", left).stdout
    check("step growth: there" in on and on.count(": there") == len([n for n in names if n[0] == "step"]), on)
    check((bare / "cpu-tiny.trace.json").exists() and not (bare / "inductor").exists(), list(bare.iterdir()))
    again = {(p["stage"], p["name"]) for p in json.loads((left / "results.json").read_text())["pieces"]}
    check(again == names, f"{again} of {names}")
    (folder / "damaged.tgz").write_text("no archive")
    run(*PROGRAMS, script, "--stage", "step", "--device", "cpu", "--quick", "--out", bare, "--from", folder / "damaged.tgz", code=4)


def test_run_all(folder):
    script = HERE / "run_all.sh"
    common = ("--device", "cpu", "--quick", "--out", folder, "--python", sys.executable)
    first = run(*PROGRAMS, script, "--stage", "step", *common).stdout
    again = run(*PROGRAMS, script, "--stage", "step", *common).stdout
    check("step tiny: there" not in first and "step tiny: there" in again, "a stage that is called again goes on")
    compared = run(*PROGRAMS, script, "--stage", "b2-512", *common).stdout
    check("speed-up" in compared, compared)
    merged = json.loads((folder / "results.json").read_text())
    names = {(p["stage"], p["name"]) for p in merged["pieces"]}
    check(("step", "cpu.growth") in names and "| threads 1, float32 | ms per step |" in (folder / "results.md").read_text(), names)
    turns = {("step", f"cpu.turn-{i}-16-{form}") for i in (1, 2) for form in ("base", "eager")}
    check(names == turns | {("step", "cpu.growth"), ("step", "cpu.tiny"), ("b2-512", "cpu.tiny-b1")}, f"merged are {names}")
    page = (folder / "results.md").read_text()
    check("| n | predicted |" in page and "| speed_up | x | " in page and "| idle_share |" in page, page)
    check("| the step as one graph, 16 pairs, cpu | x | " in page and "ours: commit" in page, page)
    test_few_files(folder, script, names)
    refused = run(*PROGRAMS, script, "--stage", "r50", *common, code=2)
    check("has no sizes" in refused.stderr, refused.stderr)
    broken = run(*PROGRAMS, "BENCH_STEP=/bin/false", script, "--stage", "step", *common, "--again", code=1)
    check("FAILED" in broken.stdout, broken.stdout)


test_nets_and_arithmetic()
test_augmentation()
test_kernel_rows()
test_shares_of_the_best()
test_summaries()
test_techniques()
test_predictions()
test_pages()
test_compiled_peer()
with tempfile.TemporaryDirectory() as where:
    test_trace(Path(where))
    test_wrong_kernels(Path(where))
    (Path(where) / "results").mkdir()
    test_run_all(Path(where) / "results")
print("nets, arithmetic, trace, augmentation, run_all: as they should be")
