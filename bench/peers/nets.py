"""SimSiam's nets in PyTorch: what bench/step/nets.cpp has, by the same names."""
from torch import nn
from torch.nn import functional as F

RESNET18 = dict(widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), channels=3, side=32, batch=512, projector=(2048, 2048),
                hidden=512, recipe="cifar")
NETS = {
    "resnet18-cifar": RESNET18,
    "a": dict(RESNET18, batch=64),
    "resnet50": dict(widths=(64, 128, 256, 512), blocks=(3, 4, 6, 3), channels=3, side=224, batch=256,
                     projector=(2048, 2048, 2048), hidden=512, recipe="imagenet", bottleneck=True),
    "b": dict(widths=(16, 32, 64, 128), blocks=(2, 2, 2, 2), channels=1, side=28, batch=256, projector=(256, 256, 256),
              hidden=64, recipe="grey"),
    "tiny": dict(widths=(4, 8), blocks=(1, 1), channels=3, side=8, batch=16, projector=(16, 16), hidden=4, recipe="cifar"),
}


class Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 (with the stride), 1x1 of four times the width."""

    def __init__(self, cin, width, stride, bottleneck):
        super().__init__()
        out = width * 4 if bottleneck else width
        plan = [(width, 1, 1), (width, 3, stride), (out, 1, 1)] if bottleneck else [(width, 3, stride), (out, 3, 1)]
        self.convs, self.norms, channels = nn.ModuleList(), nn.ModuleList(), cin
        for to, kernel, step in plan:
            self.convs.append(nn.Conv2d(channels, to, kernel, step, kernel // 2, bias=False))
            self.norms.append(nn.BatchNorm2d(to))
            channels = to
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for conv, norm in zip(self.convs[:-1], self.norms[:-1]):
            y = F.relu(norm(conv(y)), inplace=True)
        y = self.norms[-1](self.convs[-1](y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class Encoder(nn.Module):
    def __init__(self, net):
        super().__init__()
        bottleneck, widths = net.get("bottleneck", False), net["widths"]
        kernel, stride = (7, 2) if bottleneck else (3, 1)
        stem = [nn.Conv2d(net["channels"], widths[0], kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(widths[0]),
                nn.ReLU(inplace=True)]
        if bottleneck:
            stem.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*stem)
        layers, cin = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, net["blocks"])):
            for b in range(count):
                layers.append(Block(cin, width, 2 if stage > 0 and b == 0 else 1, bottleneck))
                cin = width * 4 if bottleneck else width
        self.layers = nn.Sequential(*layers)
        head = []
        for i, out in enumerate(net["projector"]):
            head += [nn.Linear(cin, out, bias=False), nn.BatchNorm1d(out)]
            if i + 1 < len(net["projector"]):
                head.append(nn.ReLU(inplace=True))
            cin = out
        self.fc = nn.Sequential(*head)

    def forward(self, x):
        return self.fc(self.layers(self.stem(x)).mean((2, 3)))


class SimSiam(nn.Module):
    """forward(two views) is the loss: each view through the encoder by itself, as in the released code."""

    def __init__(self, net):
        super().__init__()
        self.encoder = Encoder(net)
        d, hidden = net["projector"][-1], net["hidden"]
        self.predictor = nn.Sequential(nn.Linear(d, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
                                       nn.Linear(hidden, d))

    def forward(self, view1, view2):
        z1, z2 = self.encoder(view1), self.encoder(view2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return -(self.similarity(p1, z2) + self.similarity(p2, z1)) / 2

    @staticmethod
    def similarity(p, z):
        return F.cosine_similarity(p.float(), z.detach().float(), dim=1).mean()
