"""Random sizes with the density of real models: image sides, channel counts, batches, sequence lengths.

Each sampler mixes the values that published models use with a log-uniform tail, so that trees trained on the samples
are dense where models live and still bracket the sizes that nobody has published yet.
"""

from __future__ import annotations

import math
import random

_COMMON_SIDES = (96, 112, 128, 144, 160, 176, 192, 208, 240, 256, 260, 288, 299, 300, 320, 352, 384, 416, 448, 480, 512)
_COMMON_CHANNELS: tuple[int, ...] = (
    16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 112, 120, 128, 144, 160, 176, 184, 192, 200, 208, 224, 232,
    240, 256, 272, 288, 320, 336, 352, 384, 408, 432, 448, 480, 512, 560, 576, 640, 672, 704, 720, 768, 784,
    808, 896, 912, 960, 1024, 1088, 1152, 1232, 1280, 1344, 1392, 1536, 1792, 1920, 2048,
)  # fmt: skip
_ODD_CHANNELS: tuple[int, ...] = (
    10, 12, 18, 20, 22, 26, 28, 30, 34, 36, 42, 44, 46, 52, 58, 60, 68, 76, 78, 84, 90, 92, 100, 108, 116, 122,
    132, 148, 156, 164, 172, 196, 216, 228, 244, 268, 300, 308, 348, 364, 420, 444, 456, 488, 528, 612, 888,
    976,
)  # fmt: skip


_COMMON_DIMS = (128, 192, 192, 256, 256, 320, 384, 384, 384, 512, 512, 576, 640, 768, 768, 768, 1024, 1280)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A value between `low` and `high`, uniform in its logarithm."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def log_int(rng: random.Random, low: int, high: int) -> int:
    """An integer between `low` and `high` inclusive, about uniform in its logarithm."""
    return min(high, max(low, round(log_uniform(rng, low, high))))


def round_to(value: float, multiple: int) -> int:
    """The multiple nearest to `value`, at least one."""
    return max(multiple, round(value / multiple) * multiple)


def batch(rng: random.Random) -> int:
    """Batch size: 1 in seven networks of ten."""
    return 1 if rng.random() < 0.7 else rng.choice((2, 2, 2, 3, 4, 4, 4, 5, 6, 8, 8, 8, 10, 12, 16, 16, 16, 24, 32))


def image_side(rng: random.Random) -> int:
    """Side of the square input image, 32 to 512, most often 224."""
    pick = rng.random()
    if pick < 0.4:
        return 224
    if pick < 0.8:
        return rng.choice(_COMMON_SIDES)
    return log_int(rng, 32, 512)


def feature_size(rng: random.Random, stride: int) -> tuple[int, int]:
    """Height and width of a feature map after `stride` times reduction of a random image; one in ten is not square."""
    height = max(1, math.ceil(image_side(rng) / stride))
    width = height if rng.random() < 0.9 else max(1, math.ceil(image_side(rng) / stride))
    return height, width


def channels(rng: random.Random, low: int, high: int) -> int:
    """A channel count between `low` and `high`: mostly multiples of 8 and published widths, sometimes odd ones."""
    pick = rng.random()
    if pick < 0.45:
        return nearest_common(log_uniform(rng, low, high), low, high)
    if pick < 0.65:
        return min(high, max(low, 1 << round(math.log2(log_uniform(rng, low, high)))))
    if pick < 0.86:
        return min(high, max(low, round_to(log_uniform(rng, low, high), 8)))
    odd = [c for c in _ODD_CHANNELS if low <= c <= high]
    if odd and pick < 0.96:
        return rng.choice(odd)
    return min(high, max(low, round_to(log_uniform(rng, low, high), 2)))


def nearest_common(value: float, low: int, high: int) -> int:
    """The published channel count nearest to `value` within the bounds."""
    inside = [c for c in _COMMON_CHANNELS if low <= c <= high] or [low]
    return min(inside, key=lambda c: abs(math.log(c / value)))


def stage_widths(rng: random.Random, first: int, stages: int, largest: int = 2048) -> list[int]:
    """Channel counts of consecutive stages: doubling, or growing by random factors as searched networks do."""
    doubling = rng.random() < 0.45
    widths = [first]
    for _ in range(stages - 1):
        factor = 2.0 if doubling else rng.uniform(1.2, 2.6)
        width = widths[-1] * factor
        width = round(width) if doubling else round_to(width, 8 if rng.random() < 0.85 else 2)
        widths.append(min(largest, int(width)))
    return widths


def sequence_length(rng: random.Random) -> int:
    """Number of tokens, 1 to 1024 and rarely up to 4096."""
    pick = rng.random()
    if pick < 0.4:
        return rng.choice((8, 16, 32, 64, 64, 128, 128, 128, 197, 256, 384, 512))
    if pick < 0.95:
        return log_int(rng, 4, 1600)
    if pick < 0.97:
        return 1
    return log_int(rng, 1000, 4096)


def model_dim(rng: random.Random, low: int = 64, high: int = 1280) -> tuple[int, int]:
    """Width of a transformer and its number of heads: a published width in half of the cases."""
    published = [d for d in _COMMON_DIMS if low <= d <= high]
    if published and rng.random() < 0.5:
        dim = rng.choice(published)
        head = rng.choice([h for h in (64, 64, 64, 32, 48, 96, 128) if dim % h == 0])
        return dim, dim // head
    head = rng.choice((16, 24, 32, 32, 32, 40, 48, 64, 64, 64, 64, 64, 64, 80, 96, 128))
    heads = max(1, log_int(rng, max(1, low // head), max(1, high // head)))
    return head * heads, heads
