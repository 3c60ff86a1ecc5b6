"""Views of a whole batch in tensor code, on any device, each image with parameters of its own: the recipe of
kernels/augment.h, of which torch.compile can make a few kernels. Two differences, both in favour of this code: the four
jitter operations keep one order (brightness, contrast, saturation, hue) where ours draws one of 24 per image, and of the
crop's ten tries it takes one, clamped into the image."""
import functools
import math

import torch

CIFAR = dict(scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
             grey=0.2, blur=0.0, sigma=(0.1, 2.0), flip=0.5, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
RECIPES = {
    "cifar": CIFAR,
    "imagenet": dict(CIFAR, blur=0.5, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "grey": dict(CIFAR, scale=(0.4, 1.0), ratio=(1 / 1.1, 1.1), saturation=0.0, hue=0.0, grey=0.0, mean=(0.286,) * 3,
                 std=(0.353,) * 3),
}
LUMA = (0.2989, 0.587, 0.114)


def on_device(recipe, channels, device):
    """The recipe with mean and std as tensors [C, 1, 1] there, made once: made in every view, each would be a copy for which
    the host waits."""
    return dict(recipe, **{k: torch.tensor(recipe[k][:channels], device=device)[:, None, None] for k in ("mean", "std")})


def draw(recipe, count, height, width, device):
    """Parameters of `count` views of images [height, width]: a dict of tensors [count]."""
    u = torch.rand(14, count, device=device)
    r = recipe

    def between(x, low, high):
        return low + x * (high - low)

    area = height * width * between(u[0], *r["scale"])
    aspect = torch.exp(between(u[1], math.log(r["ratio"][0]), math.log(r["ratio"][1])))
    w = torch.sqrt(area * aspect).round().clamp(1, width)
    h = torch.sqrt(area / aspect).round().clamp(1, height)
    jittered = u[4] < r["jitter"]

    def strength(x, s):
        return torch.where(jittered, between(x, max(0.0, 1 - s), 1 + s), 1.0)

    return dict(height=h, width=w, top=(u[2] * (height - h + 1)).floor(), left=(u[3] * (width - w + 1)).floor(),
                brightness=strength(u[5], r["brightness"]), contrast=strength(u[6], r["contrast"]),
                saturation=strength(u[7], r["saturation"]),
                hue=torch.where(jittered, between(u[8], -r["hue"], r["hue"]), 0.0), grey=u[9] < r["grey"],
                sigma=torch.where(u[10] < r["blur"], between(u[11], *r["sigma"]), 0.0), flip=u[12] < r["flip"])


def crop(images, p, out):
    """images [N, H, W, C] uint8 -> [N, C, out, out] in [0, 1]: bilinear with half-pixel centres inside the box. The box is
    never larger than the view, so no wider filter is needed."""
    n, height, width, _ = images.shape
    if height > out or width > out:
        raise ValueError(f"crop: images of {height}x{width} would need an antialiasing filter for views of {out}")
    place = torch.arange(out, device=images.device) + 0.5
    mirrored = torch.where(p["flip"][:, None], out - place, place)  # a flip reads the columns from the other end

    def taps(at, start, size):
        x = (at * (size / out)[:, None] - 0.5).clamp(min=0).minimum(size[:, None] - 1)
        low = x.floor()
        high = (low + 1).minimum(size[:, None] - 1)
        return (low + start[:, None]).long(), (high + start[:, None]).long(), x - low

    y0, y1, fy = taps(place.expand(n, out), p["top"], p["height"])
    x0, x1, fx = taps(mirrored, p["left"], p["width"])
    image = torch.arange(n, device=images.device)[:, None, None]

    def at(y, x):
        return images[image, y[:, :, None], x[:, None, :]].float()  # [N, out, out, C]

    fy, fx = fy[:, :, None, None], fx[:, None, :, None]
    upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
    lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
    return ((upper * (1 - fy) + lower * fy) / 255).permute(0, 3, 1, 2)


def luma(x):
    return LUMA[0] * x[:, 0:1] + LUMA[1] * x[:, 1:2] + LUMA[2] * x[:, 2:3]


def mix(x, other, factor):
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def shift_hue(x, turns):
    """HSV with the hue moved and saturation and value kept, as torchvision's adjust_hue."""
    r, g, b = x[:, 0], x[:, 1], x[:, 2]
    high, low = x.amax(1), x.amin(1)
    spread = high - low
    safe = torch.where(spread > 0, spread, 1.0)
    hue = torch.where(high == r, (g - b) / safe, torch.where(high == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    hue = torch.where(spread > 0, hue, 0.0) + 6 * turns[:, None, None]
    channels = []
    for place in (0.0, 2.0, 4.0):  # of red, green and blue on a circle of six
        distance = torch.remainder(hue - place + 3, 6) - 3
        channels.append(high - spread * (distance.abs() - 1).clamp(0, 1))
    return torch.stack(channels, 1)


def jitter(x, p):
    def column(name):
        return p[name][:, None, None, None]

    x = (column("brightness") * x).clamp(0, 1)
    if x.shape[1] == 1:
        return mix(x, x.mean((1, 2, 3), keepdim=True), column("contrast"))
    x = mix(x, luma(x).mean((1, 2, 3), keepdim=True), column("contrast"))
    x = mix(x, luma(x), column("saturation"))
    return shift_hue(x, p["hue"])


def blur(x, sigma, largest):
    """Separable Gaussian cut at three sigma, mirrored at the edges; sigma 0 leaves an image as it is."""
    radius = math.ceil(3 * largest)
    n, _, height, width = x.shape
    t = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    s = sigma.clamp(min=1e-3)[:, None]
    weight = torch.exp(-0.5 * (t / s) ** 2) * (t.abs() <= torch.ceil(3 * s))
    weight = (weight / weight.sum(1, keepdim=True))[:, :, None, None, None]
    padded = torch.nn.functional.pad(x, (0, 0, radius, radius), mode="reflect")
    y = sum(weight[:, k] * padded[:, :, k:k + height] for k in range(2 * radius + 1))
    padded = torch.nn.functional.pad(y, (radius, radius, 0, 0), mode="reflect")
    y = sum(weight[:, k] * padded[:, :, :, k:k + width] for k in range(2 * radius + 1))
    return torch.where((sigma > 0)[:, None, None, None], y, x)


def apply(images, p, recipe, out):
    """Normalised views [N, C, out, out] of images [N, H, W, C] uint8 with the parameters of draw(); recipe: of on_device()."""
    x = jitter(crop(images, p, out), p)
    if x.shape[1] == 3:
        x = torch.where(p["grey"][:, None, None, None], luma(x), x)
    if recipe["blur"] > 0:
        x = blur(x, p["sigma"], recipe["sigma"][1])
    return (x - recipe["mean"]) / recipe["std"]


def views_of(images, index, recipe, out):
    """Two views of images[index], each [N, C, out, out]."""
    chosen = images[index]
    n, height, width, _ = chosen.shape
    return [apply(chosen, draw(recipe, n, height, width, images.device), recipe, out) for _ in range(2)]
