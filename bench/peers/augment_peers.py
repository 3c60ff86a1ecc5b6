#!/usr/bin/env python3
"""Views per second and core: ours against torchvision, Kornia and tensor code, the CIFAR recipe on uint8 images of 32x32x3
(crop of 0.2 to 1 of the area, flip 0.5, jitter 0.8, grey 0.2, normalise), parameters drawn for every image.
    bench/peers/augment_peers.py [--rounds 5] [--device cpu|cuda] [--out FILE]
On the CPU all with one thread, alternated. Order of the jitter: ours and torchvision draw one for every image, Kornia one
for every batch, the tensor code (augment.py) has a fixed one."""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torchvision

import augment
from compare_step import find_bench, show, spread

BATCH = 512
R = augment.RECIPES["cifar"]


def torchvision_steps(t, first, to_tensor):
    """The recipe as the released code writes it, from either of torchvision's two modules."""
    jitter = t.ColorJitter(R["brightness"], R["contrast"], R["saturation"], R["hue"])
    return t.Compose(first + [t.RandomResizedCrop(32, scale=R["scale"], ratio=R["ratio"]), t.RandomApply([jitter], p=R["jitter"]),
                              t.RandomGrayscale(p=R["grey"]), t.RandomHorizontalFlip(R["flip"])] + to_tensor +
                     [t.Normalize(R["mean"], R["std"])])


def per_image(transform, images):
    def run():
        return torch.stack([transform(x) for x in images])
    return run


def peers(device, compiled):
    """Name -> function that makes one view of every image."""
    from torchvision import transforms as v1
    raw = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8)
    planes = raw.permute(0, 3, 1, 2).contiguous().to(device)
    out = {}
    if device == "cpu":
        arrays = list(raw.numpy())
        out["torchvision PIL"] = per_image(torchvision_steps(v1, [v1.ToPILImage()], [v1.ToTensor()]), arrays)
    out["torchvision tensor"] = per_image(torchvision_steps(v1, [], [v1.ConvertImageDtype(torch.float32)]), list(planes))
    try:
        from torchvision.transforms import v2
        to_float = v2.ToDtype(torch.float32, scale=True)
        if device == "cpu":
            out["torchvision v2 PIL"] = per_image(torchvision_steps(v2, [v2.ToPILImage()], [v2.ToImage(), to_float]), arrays)
        out["torchvision v2 tensor"] = per_image(torchvision_steps(v2, [], [to_float]), list(planes))
    except ImportError:
        pass
    try:
        import kornia.augmentation as K
        jitter = K.ColorJitter(R["brightness"], R["contrast"], R["saturation"], R["hue"], p=R["jitter"])
        chain = torch.nn.Sequential(K.RandomResizedCrop((32, 32), scale=R["scale"], ratio=R["ratio"]), jitter,
                                    K.RandomGrayscale(p=R["grey"]), K.RandomHorizontalFlip(R["flip"]),
                                    K.Normalize(torch.tensor(R["mean"]), torch.tensor(R["std"])))
        out["kornia"] = lambda: chain(planes.float() / 255)
    except ImportError:
        pass
    images, index = raw.to(device), torch.arange(BATCH, device=device)
    recipe = augment.on_device(R, 3, device)

    def tensor_code():
        chosen = images[index]
        return augment.apply(chosen, augment.draw(recipe, BATCH, 32, 32, chosen.device), recipe, 32)

    out["tensor code"] = tensor_code
    if compiled and hasattr(torch, "compile"):
        out["tensor code compiled"] = torch.compile(tensor_code)
    return out


def seconds_of(run, device):
    """Per view, over at least a fifth of a second."""
    if device == "cuda":
        torch.cuda.synchronize()
    start, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - start < 0.2:
        run()
        rounds += 1
        if device == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - start) / rounds / BATCH


def ours(bench, device):
    command = [bench, "--net", "resnet18-cifar", "--batch", str(BATCH), "--views", "--device", device, "--threads", "1", "--steps",
               "30" if device == "cpu" else "200", "--json"] + (["--precision", "bf16"] if device == "cuda" else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    out = json.loads(done.stdout)
    return statistics.median(out["seconds"]) / out["views"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="the tensor code compiled too")
    parser.add_argument("--bench", default=find_bench())
    parser.add_argument("--out", help="write the summary as JSON")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("augment_peers: this PyTorch sees no CUDA device", file=sys.stderr)
        raise SystemExit(8)
    torch.set_num_threads(1)
    runs = peers(args.device, args.compile)
    for run in runs.values():
        run()  # warm
    times, mine = {name: [] for name in runs}, []
    for _ in range(args.rounds):
        mine.append(ours(args.bench, args.device))
        for name, run in runs.items():
            times[name].append(seconds_of(run, args.device))
    rows = [{"peer": "ours", "seconds_per_view": spread(mine)}]
    for name, values in times.items():
        rows.append({"peer": name, "seconds_per_view": spread(values), "ratio": spread([v / m for v, m in zip(values, mine)])})
    where = "one core" if args.device == "cpu" else torch.cuda.get_device_name()
    print(f"views of the CIFAR recipe, {BATCH} images, {where}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
          f"{args.rounds} rounds, medians [least .. most]")
    for r in rows:
        ratio = f"  ours is {show(r['ratio'], 1, 1)} times as fast" if "ratio" in r else ""
        print(f"  {r['peer']:<24} {show(r['seconds_per_view'], 1e6)} us per view{ratio}")
    if args.out:
        Path(args.out).write_text(json.dumps({"device": where, "torch": torch.__version__, "torchvision": torchvision.__version__,
                                              "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
