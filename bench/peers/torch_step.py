#!/usr/bin/env python3
"""One SimSiam training step in PyTorch on the CPU: the nets, batch and optimizer of bench_step, on views made once.
Prints one JSON line: {"name", "seconds": [per step], "peak_rss_mib", "torch", "threads"}.
compare_step.py sets the environment that makes PyTorch fast here (allocator, BLAS kernels)."""
import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

NETS = {  # widths, blocks, in channels, image side, batch, projector, predictor hidden
    "a": ((64, 128, 256, 512), (2, 2, 2, 2), 3, 32, 64, (2048, 2048), 512),
    "b": ((16, 32, 64, 128), (2, 2, 2, 2), 1, 28, 256, (256, 256, 256), 64),
}


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
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class Encoder(nn.Module):
    def __init__(self, widths, blocks, channels, projector):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]),
                                  nn.ReLU(inplace=True))
        layers, cin = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks)):
            for b in range(count):
                layers.append(Block(cin, width, 2 if stage > 0 and b == 0 else 1))
                cin = width
        self.layers = nn.Sequential(*layers)
        head = []
        for i, out in enumerate(projector):
            head += [nn.Linear(cin, out, bias=False), nn.BatchNorm1d(out)]
            if i + 1 < len(projector):
                head.append(nn.ReLU(inplace=True))
            cin = out
        self.fc = nn.Sequential(*head)

    def forward(self, x):
        return self.fc(self.layers(self.stem(x)).mean((2, 3)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", choices=NETS, default="b")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="autocast")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    widths, blocks, channels, side, batch, projector, hidden = NETS[args.net]
    torch.manual_seed(0)
    encoder = Encoder(widths, blocks, channels, projector).to(memory_format=torch.channels_last)
    d = projector[-1]
    predictor = nn.Sequential(nn.Linear(d, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
                              nn.Linear(hidden, d))
    parameters = list(encoder.parameters()) + list(predictor.parameters())
    optimizer = torch.optim.SGD(parameters, 0.03, momentum=0.9, weight_decay=5e-4)
    views = [torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last) for _ in range(2)]

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            z1, z2 = encoder(views[0]), encoder(views[1])
            p1, p2 = predictor(z1), predictor(z2)
        cos = lambda p, z: F.cosine_similarity(p.float(), z.detach().float(), dim=1).mean()
        loss = -(cos(p1, z2) + cos(p2, z1)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    seconds = []
    for i in range(args.warmup + args.steps):
        start = time.perf_counter()
        step()
        if i >= args.warmup:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"name": f"torch {args.net}{' bf16' if args.bf16 else ''}", "pairs": batch, "seconds": seconds,
                      "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                      "torch": torch.__version__, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
