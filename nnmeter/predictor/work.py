"""Prices by sorts of work: what a device takes for a unit of each, learned from whole networks of many devices.

A table of published latencies has some dozen networks of a device, too few for trees. They are enough for some dozen
rates that have a strong prior: how all other devices of its sort do (`nnmeter.lab.training.population`).

Rules:

1. A kernel does amounts of several sorts of work (`work_of`): FLOPs, bytes and a launch of its *group*, and more for
   what is fused to it. Its price is `sum(amount x rate)`, rates in milliseconds a unit and never negative.
2. A group is what one loop of a runtime does: convolutions by their window, stride and groups, products by what they
   multiply, row-wise operators, element-wise operators by how they broadcast, and so on.
3. FLOPs of convolutions and products are of up to nine sorts, by how many channels they have and how many results: a
   kernel between two of them does a part of each, by hats over the logarithms that add up to one, so that a price has
   no edge.
4. A rate is known with the standard deviation that `sigmas` tells, of its logarithm. Those of one kernel's work are
   independent of each other; but for a group that was not sampled (rule 6), whose rates err together.
5. The names in `SORTS` are the schema. A pack stores those that it has rates of; another version's may be others, and
   such a pack is refused.
6. A group that no network of the device had was not sampled, whatever the operator: the last layer of a classifier is a
   product with a vector, and says nothing of products of matrices. A pack names the groups that were (`groups`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import log2, prod
from typing import Any

import numpy as np

from nnmeter.kernels.features import kernel_family, signature_cost
from nnmeter.kernels.features.common import channels_first, result_of, shape_of
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.predictor.checks import damaged, mapping, member, number, sequence, text

# Groups whose FLOPs are of several sorts (rule 3): the centres of hats over log2 of the channels, and of the results.
_SIZED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "conv1x1": ((3.0, 4.5, 6.0, 8.5), (14.0, 18.0)),
    "conv3x3": ((4.0, 6.0, 8.5), (14.0, 18.0)),
    "conv3x3_stride": ((4.0, 7.0), (14.0, 18.0)),
    "conv_wide": ((4.0, 7.0), (14.0, 18.0)),
    "conv_first": ((3.0, 5.0), (16.0, 20.0)),
    "grouped": ((3.0, 6.0), (15.0,)),
    "depthwise3": ((3.5, 5.5, 8.0), (13.0, 17.0)),
    "depthwise3_stride": ((4.0, 7.0), (13.0, 17.0)),
    "depthwise_wide": ((7.0,), (13.0, 17.0)),
    "transposed": ((6.0,), (16.0,)),
    "linear": ((6.0, 9.0), (14.0, 18.0)),
    "vector": ((9.0,), (10.0,)),
    "batched": ((6.0,), (14.0, 18.0)),
    "attention": ((6.0,), (16.0,)),
    "recurrent": ((6.0,), (10.0,)),
}
_PLAIN = (
    *("softmax", "layer_norm", "batch_norm", "reduction", "pooling", "global_pool", "rectifier", "activation"),
    *("arithmetic", "gate", "transpose", "movement", "resize", "generic"),
)
_FLOPS, _BYTES = 1e6, 1e6  # of a unit of work


def _names() -> tuple[str, ...]:
    names = []
    for group, (channels, results) in _SIZED.items():
        names += [f"{group}.flops{c}{r}" for c in range(len(channels)) for r in range(len(results))]
        names += [f"{group}.bytes", f"{group}.launch"]
    for group in _PLAIN:
        names += [f"{group}.elements", f"{group}.bytes", f"{group}.launch"]
    return (*names, "fused.activation", "fused.sum")


SORTS = _names()
GROUPS = (*_SIZED, *_PLAIN)
_PLACE = {name: place for place, name in enumerate(SORTS)}
_LARGEST_RATE, _LARGEST_SIGMA, _LARGEST_AMOUNT = 1e9, 1e3, 1e30
_LEAST_MS = 1e-9

Work = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class WorkRates:
    """Milliseconds a unit of each sort of work on one device.

    Attributes:
        rates: by sort [sorts], in the order of `SORTS`.
        sigmas: standard deviation of their logarithms [sorts] (rule 4).
        groups: that were sampled (rule 6); None where the pack does not tell.
    """

    rates: np.ndarray
    sigmas: np.ndarray
    groups: frozenset[str] | None = None
    _known: dict[KernelSignature, tuple[float, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def price(self, signature: KernelSignature) -> tuple[float, float]:
        """Milliseconds of a kernel, and the standard deviation of their logarithm."""
        total = together = squares = 0.0
        for place, amount in work_of(signature):
            part = amount * float(self.rates[place])
            total += part
            together += part * float(self.sigmas[place])
            squares += (part * float(self.sigmas[place])) ** 2
        spread = squares**0.5 if self.has_sampled(signature) else together
        return max(total, _LEAST_MS), spread / max(total, _LEAST_MS)

    def has_sampled(self, signature: KernelSignature) -> bool:
        """Whether the group of a kernel was sampled (rule 6)."""
        return self.groups is None or _group(signature)[0] in self.groups

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        found: dict[str, Any] = {
            "sorts": list(SORTS),
            "log_rates": [round(float(value), 4) for value in np.log(self.rates)],
            "sigmas": [round(float(value), 4) for value in self.sigmas],
        }
        if self.groups is not None:
            found["groups"] = [group for group in GROUPS if group in self.groups]
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkRates:
        """The rates that `to_dict` described; DeviceError if they are of other sorts, or no numbers."""
        sorts = [text(name, "a sort of work") for name in sequence(member(data, "sorts"), "sorts")]
        if sorts != list(SORTS):
            raise damaged("its rates are of other sorts of work than this nnmeter's")
        rates = sequence(member(data, "log_rates"), "log_rates", len(SORTS))
        sigmas = sequence(member(data, "sigmas"), "sigmas", len(SORTS))
        groups = (
            [text(name, "a group of work") for name in sequence(data["groups"], "groups")] if "groups" in data else None
        )
        if not set(groups or ()) <= set(GROUPS):
            raise damaged("it names groups of work that this nnmeter does not know")
        return cls(
            np.exp([number(value, "a rate", -50.0, 20.0) for value in rates]),
            np.array([number(value, "the deviation of a rate", 0.0, _LARGEST_SIGMA) for value in sigmas]),
            None if groups is None else frozenset(groups),
        )


def stored_work(data: Any) -> WorkRates | None:
    """The rates of a document that may have none."""
    return None if data is None else WorkRates.from_dict(mapping(data, "work"))


@lru_cache(maxsize=65536)
def work_of(signature: KernelSignature) -> Work:
    """The work of a kernel (rules 1 to 3): places in `SORTS` with their amounts, which are positive."""
    cost = signature_cost(signature)
    if cost.flops <= 0 and cost.bytes_read + cost.bytes_written <= 0:
        return ()  # a view
    group, channels = _group(signature)
    moved = max(cost.bytes_read + cost.bytes_written, 0) / _BYTES
    results = float(sum(t.elements for t in signature.outputs))
    found: dict[str, float] = {f"{group}.bytes": moved, f"{group}.launch": 1.0}
    if group in _SIZED:
        rows, columns = _SIZED[group]
        amount = max(cost.flops, 0) / _FLOPS
        for c, by_channels in enumerate(_hats(channels, rows)):
            for r, by_results in enumerate(_hats(results, columns)):
                found[f"{group}.flops{c}{r}"] = amount * by_channels * by_results
        activations, sums = _fused(signature.type)
        found["fused.activation"] = results * activations / _FLOPS
        found["fused.sum"] = results * sums / _FLOPS
    else:
        found[f"{group}.elements"] = max(cost.flops, 0) / _FLOPS
    return tuple((_PLACE[name], min(amount, _LARGEST_AMOUNT)) for name, amount in found.items() if amount > 0)


def _hats(size: float, centres: Sequence[float]) -> list[float]:
    """Parts that add up to one: of the centre below and that above the logarithm of a size (rule 3)."""
    place = log2(max(size, 1.0))
    parts = [0.0] * len(centres)
    if place <= centres[0]:
        parts[0] = 1.0
    elif place >= centres[-1]:
        parts[-1] = 1.0
    else:
        above = next(i for i, centre in enumerate(centres) if centre > place)
        share = (place - centres[above - 1]) / (centres[above] - centres[above - 1])
        parts[above - 1], parts[above] = 1.0 - share, share
    return parts


_RECTIFIERS = frozenset({"Relu", "Clip", "LeakyRelu"})


@lru_cache(maxsize=4096)
def _fused(kernel_type: str) -> tuple[int, int]:
    """Activations dearer than a rectifier, and sums, that are fused to a kernel of this type."""
    parts = kernel_type.split("+")[1:]
    sums = sum(part in ("Add", "Sub", "Mul", "Div") for part in parts)
    return sum(part not in _RECTIFIERS for part in parts) - sums, sums


def _convolution(signature: KernelSignature) -> tuple[str, float]:
    """Group of a convolution, and the channels that its loop runs over."""
    x, y = channels_first(signature)
    weight = shape_of(signature, 3 if signature.op_type.startswith("QLinear") else 1)
    in_channels, out_channels = (s[1] if len(s) > 1 else 1 for s in (x, y))
    groups = max(int(signature.attribute("group", 1)), 1)
    if "Transpose" in signature.op_type:
        return "transposed", float(min(in_channels, out_channels))
    window = tuple(signature.attribute("kernel_shape") or weight[2:] or (1,))
    strides = signature.attribute("strides") or (1,)
    dilations = signature.attribute("dilations") or (1,)
    area, plain = prod(window), max(strides) == 1 and max(dilations) == 1
    if groups > 1:
        if in_channels == groups:
            stride = "" if plain else "_stride"
            return ("depthwise_wide" if area > 9 else f"depthwise3{stride}"), float(in_channels)
        return "grouped", in_channels / groups
    if in_channels <= 4 and area > 1:
        return "conv_first", float(out_channels)
    least = float(min(in_channels, out_channels))
    if area == 1:
        return "conv1x1", least
    if area == 9 and len(set(window)) == 1:
        return ("conv3x3" if plain else "conv3x3_stride"), least
    return "conv_wide", least


def _product(signature: KernelSignature) -> tuple[str, float]:
    a, b, y = shape_of(signature, 0), shape_of(signature, 1), result_of(signature)
    if not (a and b and y):
        return "linear", 1.0
    constant = len(signature.constants) > 1 and signature.constants[1]
    inner = float(min(a[-1], y[-1]))
    if not constant and len(b) > 2 and prod(b[:-2]) > 1:
        return "batched", inner
    return ("vector" if prod(y[:-1]) <= 8 else "linear"), inner


def _elementwise(signature: KernelSignature) -> tuple[str, float]:
    operator = signature.op_type
    if operator in ("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min"):
        size = prod(result_of(signature))
        shapes = [t.elements for t in signature.inputs if t is not None]
        broadcast = any(1 < elements < size for elements in shapes)
        return ("gate" if broadcast else "arithmetic"), 1.0
    return ("rectifier" if operator in _RECTIFIERS else "activation"), 1.0


def _pool(signature: KernelSignature) -> tuple[str, float]:
    return ("global_pool" if signature.op_type.startswith("Global") else "pooling"), 1.0


def _normalization(signature: KernelSignature) -> tuple[str, float]:
    return ("batch_norm" if signature.op_type == "BatchNormalization" else "layer_norm"), 1.0


def _plain(name: str) -> Callable[[KernelSignature], tuple[str, float]]:
    return lambda _: (name, 1.0)


_BY_FAMILY: dict[str, Callable[[KernelSignature], tuple[str, float]]] = {
    "convolution": _convolution,
    "grouped_convolution": _convolution,
    "depthwise_convolution": _convolution,
    "matmul": _product,
    "blockwise_matmul": _product,
    "attention": _plain("attention"),
    "recurrent": _plain("recurrent"),
    "softmax": _plain("softmax"),
    "normalization": _normalization,
    "reduction": _plain("reduction"),
    "pooling": _pool,
    "elementwise": _elementwise,
    "transpose": _plain("transpose"),
    "movement": _plain("movement"),
    "resize": _plain("resize"),
}
_GENERIC = _plain("generic")


def _group(signature: KernelSignature) -> tuple[str, float]:
    """The group of a kernel (rule 2), and the channels that its FLOPs are sorted by."""
    return _BY_FAMILY.get(kernel_family(signature), _GENERIC)(signature)
