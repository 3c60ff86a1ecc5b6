#!/usr/bin/env python3
"""Makes tests/golden/simsiam_*.safetensors with PyTorch: start values, views, loss, gradients, and the state after ten
steps, for a small residual net and for MLP heads alone. Run with Debian's python3 (python3-torch); float64, so that
the figures are PyTorch's formulas and not its rounding."""
import json
import math
import struct
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

STEPS, RATE, MOMENTUM, DECAY = 10, 0.05, 0.9, 1e-2


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def projector(features):
    return nn.Sequential(nn.Linear(features, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
                         nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16))


class Net(nn.Module):
    """Widths 4 and 8, one block each, 3x3 stem; projector 8-16-16."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 8, 2))
        self.fc = projector(8)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.layer2(self.layer1(y))
        return self.fc(y.mean((2, 3)))


class Heads(nn.Module):
    """Flattened pixels through fc-BN-ReLU, then the projector."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(48, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
        self.fc = projector(8)

    def forward(self, x):
        return self.fc(self.backbone(x.permute(0, 2, 3, 1).flatten(1)))


class SimSiam(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.predictor = nn.Sequential(nn.Linear(16, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 16))

    def loss(self, x1, x2):
        z1, z2 = self.encoder(x1), self.encoder(x2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        cos = nn.CosineSimilarity(dim=1)
        return -(cos(p1, z2.detach()).mean() + cos(p2, z1.detach()).mean()) / 2


def our_name(name):
    # The MLP backbone's layers carry their number alone.
    return name.replace("encoder.backbone.", "encoder.")


def write_safetensors(path, tensors):
    names = {torch.float64: "F64", torch.int64: "I64"}
    header, body = {}, b""
    for name in sorted(tensors, key=lambda n: (tensors[n].dtype != torch.int64, n)):
        t = tensors[name].detach().contiguous()
        data = t.numpy().tobytes()
        header[name] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def main(encoder, size, path):
    torch.manual_seed(7)
    model = SimSiam(encoder()).double()
    for name, p in model.named_parameters():  # values that float32 holds exactly; no gamma of 1
        scale = 0.3 if p.dim() > 1 else 0.2
        start = scale * torch.randn(p.shape) + (1 if p.dim() == 1 and "bias" not in name else 0)
        p.data = start.float().double()
    views = torch.randn(2, 12, size, size, 3).float().double()
    x1, x2 = (v.permute(0, 3, 1, 2).contiguous() for v in views)
    out = {"views": views}
    for name, value in model.state_dict().items():
        out["start." + our_name(name)] = value.clone()
    optimizer = torch.optim.SGD([{"params": model.encoder.parameters()}, {"params": model.predictor.parameters()}],
                                RATE, momentum=MOMENTUM, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        loss = model.loss(x1, x2)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            for name, p in model.named_parameters():
                out["gradient." + our_name(name)] = p.grad.clone()
        optimizer.step()
        losses.append(loss.item())
    out["losses"] = torch.tensor(losses, dtype=torch.float64)
    for name, value in model.state_dict().items():
        out["end." + our_name(name)] = value.clone()
    write_safetensors(path, out)
    print(path, Path(path).stat().st_size, "bytes, losses", [round(v, 4) for v in losses])


if __name__ == "__main__":
    here = Path(__file__).parent
    main(Net, 8, here / "simsiam_resnet.safetensors")
    main(Heads, 4, here / "simsiam_heads.safetensors")
