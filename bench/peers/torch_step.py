#!/usr/bin/env python3
"""SimSiam's training step in PyTorch: the nets, batch, data and optimizer of bench_step. Prints one line of JSON.
    torch_step.py --net a                                       the CPU, float, on views made once
    torch_step.py --net resnet18-cifar --device cuda --variant b2
Variants (--device cuda; on the CPU they run too, without graphs: there test_bench.py runs b1, and b2 where this PyTorch has
torch.compile; b2g is the same there. The graphs of both have no test without a GPU):
    cpu  float or --bf16 autocast, channels_last, eager, views made once
    b0   as released: float with TF32 products, NCHW, eager
    b1   bf16 autocast, channels_last, eager, fused SGD
    b2   the same compiled with max-autotune and its CUDA graphs, views inside the compiled step
    b2g  compiled without its own graphs; the whole step, SGD included, captured as one CUDA graph
b0 to b2g keep the data set on the device as uint8 and make two views of every image in each step (augment.py).
With --serve the process stays: every number on a line of its input is a number of steps to time (compare_step.py)."""
import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import torch

import augment
from nets import NETS, SimSiam

VARIANTS = ("cpu", "b0", "b1", "b2", "b2g")


def process_age():
    """Seconds since this process was started: the same clock as bench/step/process.cpp."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


class Step:
    """run() is one training step; wait() returns when the device has done it."""

    def __init__(self, args):
        self.variant, self.net = args.variant, dict(NETS[args.net])
        if args.batch:
            self.net["batch"] = args.batch
        self.device, self.cuda = torch.device(args.device), args.device == "cuda"
        self.bf16 = args.bf16 if self.variant == "cpu" else self.variant != "b0"
        self.format = torch.contiguous_format if self.variant == "b0" else torch.channels_last
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high" if self.cuda else "highest")  # TF32; cuDNN takes it by itself
        self.free = torch.cuda.mem_get_info()[0] if self.cuda else 0
        self.model = SimSiam(self.net).to(self.device, memory_format=self.format)
        fused = {"fused": True} if self.cuda and self.variant != "b0" else {}
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.03, momentum=0.9, weight_decay=5e-4, **fused)
        side, channels, batch = self.net["side"], self.net["channels"], self.net["batch"]
        if self.variant == "cpu":
            self.views = [torch.randn(batch, channels, side, side).to(memory_format=self.format) for _ in range(2)]
        else:
            self.images = torch.randint(0, 256, (max(2 * batch, 4096 if side < 64 else 512), side, side, channels),
                                        dtype=torch.uint8, device=self.device)
            self.index = torch.zeros(batch, dtype=torch.long, device=self.device)
            self.recipe = augment.on_device(augment.RECIPES[self.net["recipe"]], channels, self.device)
            if self.variant == "b2":  # else its graphs copy the whole set in every step
                for tensor in (self.images, self.index, self.recipe["mean"], self.recipe["std"]):
                    torch._dynamo.mark_static_address(tensor)
        self.loss_of = self.loss
        if self.variant in ("b2", "b2g"):
            graphs = self.variant == "b2" and self.cuda
            mode = "max-autotune" if graphs else "max-autotune-no-cudagraphs" if self.cuda else "default"
            self.loss_of = torch.compile(self.loss, mode=mode)
        self.graph = None

    def two_views(self):
        if self.variant == "cpu":
            return self.views
        with torch.no_grad():
            views = augment.views_of(self.images, self.index, self.recipe, self.net["side"])
            return [v.to(memory_format=self.format) for v in views]

    def loss(self):
        view1, view2 = self.two_views()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model(view1, view2)

    def train(self):
        loss = self.loss_of()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def choose(self):
        if self.variant != "cpu":
            self.index.copy_(torch.randint(0, len(self.images), self.index.shape, device=self.device))

    def capture(self):
        """The whole step as one graph, after steps on another stream, as the documentation of CUDAGraph asks."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.optimizer.zero_grad(set_to_none=True)
                self.train()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.captured_loss = self.train()

    def run(self):
        self.choose()
        if self.variant == "b2g" and self.cuda:
            if self.graph is None:
                self.capture()
            self.graph.replay()
            return self.captured_loss
        if self.variant == "b2" and self.cuda:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        return self.train()

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()


class Timer:
    def __init__(self, step, block):
        self.step, self.block, self.steps, self.cold_start = step, block, 0, None

    def take(self, count):
        """Seconds per step of `count` blocks of steps."""
        out = []
        for _ in range(count):
            self.step.wait()
            start = time.perf_counter()
            for _ in range(self.block):
                loss = self.step.run()
                self.steps += 1
                if self.steps == 10:
                    self.step.wait()
                    self.cold_start = process_age()
            self.step.wait()
            out.append((time.perf_counter() - start) / self.block)
        value = loss.item()
        if not -1.01 <= value <= 1.01:
            raise SystemExit(f"torch_step: the loss is {value}; no times are printed")
        return out


def report(args, step, timer, seconds):
    out = {"name": f"torch {args.net} {args.variant}{' bf16' if args.bf16 else ''}", "net": args.net,
           "variant": args.variant, "pairs": step.net["batch"], "seconds": seconds,
           "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
           "cold_start_seconds": timer.cold_start, "torch": torch.__version__, "threads": torch.get_num_threads(),
           "device": torch.cuda.get_device_name() if step.cuda else "cpu"}
    if step.cuda:
        out["device_mib"] = (step.free - torch.cuda.mem_get_info()[0]) >> 20
        out["reserved_mib"] = torch.cuda.max_memory_reserved() >> 20
        out["cudnn"] = torch.backends.cudnn.version()
    print(json.dumps(out), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NETS, default="b")
    parser.add_argument("--batch", type=int, default=0, help="pairs; 0: the net's own")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    parser.add_argument("--steps", type=int, default=8, help="measurements")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them")
    parser.add_argument("--block", type=int, default=0, help="steps per measurement; 0: 1 on the CPU, 10 on CUDA")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="autocast, for --variant cpu")
    parser.add_argument("--serve", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("torch_step: this PyTorch sees no CUDA device", file=sys.stderr)
        raise SystemExit(8)
    if args.device == "cuda" and args.variant == "cpu":
        parser.error("--device cuda wants --variant b0, b1, b2 or b2g")
    if args.threads:
        torch.set_num_threads(args.threads)
    step = Step(args)
    timer = Timer(step, 1)
    timer.take(args.warmup)
    timer.block = args.block or (10 if step.cuda else 1)
    report(args, step, timer, timer.take(args.steps))
    if args.serve:
        for line in sys.stdin:
            report(args, step, timer, timer.take(int(line)))


if __name__ == "__main__":
    main()
