#!/usr/bin/env python3
"""The exported backbone loads strict=True into torchvision's ResNet-18 and gives the same features.
    test_export.py PATH_TO_SIMSIAM        exits with 77 (skipped) where torch or torchvision is missing"""
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import torch
    import torchvision
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

RECIPE = """
[augment]
preset = "grey"
[net]
backbone = "resnet18"
stem = "{stem}"
stem_stride = 1
[projector]
widths = [32, 32]
[predictor]
hidden = 8
[train]
batch = 8
steps = 2
base_rate = 0.5
"""


def read_safetensors(path):
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    types = {"F32": np.float32, "I64": np.int64, "I32": np.int32}
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            out[name] = torch.from_numpy(np.frombuffer(data[begin:end], types[entry["dtype"]]).reshape(entry["shape"]).copy())
    return out


def read_metadata(path):
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + length])["__metadata__"]


def check(simsiam, stem, side, folder):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (32, side, side), dtype=np.uint8)
    (folder / "images").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 32, side, side) + images.tobytes())
    (folder / "labels").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 32) + bytes(i % 4 for i in range(32)))
    (folder / "recipe.toml").write_text(RECIPE.format(stem=stem))
    data = f"idx:{folder}/images,{folder}/labels;{folder}/images,{folder}/labels"
    run = lambda *args: subprocess.run([simsiam, *map(str, args)], check=True, capture_output=True, text=True).stdout
    run("train", folder / "recipe.toml", "--data", data, "--out", folder / stem, "--quiet", "--set", "monitor.knn_k=5")
    checkpoint = folder / stem / "checkpoint-000002.safetensors"
    snippet = run("export", checkpoint, "--out", folder / "backbone.safetensors")
    run("features", checkpoint, "--data", data, "--split", "train", "--out", folder / "features.safetensors", "--page", folder / "n.html")

    # The lines that export prints, with our own reader in place of the safetensors package.
    assert "strict=True" in snippet, snippet
    lines = [l for l in snippet.splitlines() if not l.startswith(("from safetensors", "net.load_state_dict"))]
    scope = {}
    exec("\n".join(lines), scope)
    net = scope["net"]
    net.load_state_dict(read_safetensors(folder / "backbone.safetensors"), strict=True)
    net.eval()
    meta = read_metadata(folder / "backbone.safetensors")
    assert meta["stopgrad.image_size"] == f"{side}x{side}x1", meta
    mean, std = (np.float32(json.loads(meta[f"stopgrad.{key}"])) for key in ("mean", "std"))
    assert mean.shape == std.shape == (1,), meta
    x = torch.from_numpy((images.astype(np.float32) / 255 - mean) / std)[:, None]
    with torch.no_grad():
        want = net(x)
    got = read_safetensors(folder / "features.safetensors")["features"]
    error = ((got - want).norm() / want.norm()).item()
    print(f"{stem} stem, {side}x{side}: relative difference of the features {error:.2e}")
    assert error < 1e-5, error


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        check(sys.argv[1], "cifar", 16, Path(name))
        check(sys.argv[1], "imagenet", 32, Path(name))
