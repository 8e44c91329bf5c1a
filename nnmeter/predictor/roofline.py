"""The analytic roofline of a device: the price that physics suggests, which trained functions correct.

`latency = FLOPs / peak(dtype) + bytes / bandwidth + launch`. The sum, not the maximum of the roofline model (Williams
et al., CACM 2009), is used: it is smooth, so the learned ratio to it has no edge where the two terms cross.

An operator may have `Rates` of its own: how many times the device's time for a FLOP, a byte and a launch it takes. Such
a straight line extrapolates to the sizes of families that training did not have, where trees are flat.

It is read off the times of kernels where there are any (`fit_roofline`), and else off the times of whole networks
(`fit_roofline_to_totals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.operators.cost import Cost
from nnmeter.predictor.checks import mapping, member, positive

DTYPE_CLASSES: dict[int, str] = {64: "wide", 32: "float", 16: "half", 8: "int8", 4: "int8", 2: "int8"}
_CLASSES = ("float", "wide", "half", "int8")
_UNMEASURED = {"float": 1.0, "wide": 0.5, "half": 0.5, "int8": 1.5}  # peak of a class, relative to float's
_ROUNDS = 40

Rates = tuple[float, float, float]
EVEN: Rates = (1.0, 1.0, 1.0)  # rates of an operator that runs as fast as the device's roofline says


@dataclass(frozen=True, slots=True)
class Roofline:
    """Peak compute, memory bandwidth and launch time of a device.

    Attributes:
        peak_gflops: sustained GFLOP/s by class of element type: wide (64 bit), float, half, int8.
        bandwidth_gbs: sustained GB/s over all that a kernel reads and writes.
        launch_ms: time of the smallest kernel.
    """

    peak_gflops: Mapping[str, float]
    bandwidth_gbs: float
    launch_ms: float

    def latency_ms(self, cost: Cost, item_bits: int, rates: Rates = EVEN) -> float:
        """Milliseconds of a kernel of this cost, whose first input has items of `item_bits` bits.

        Args:
            cost: FLOPs and bytes.
            item_bits: width of the first input's items.
            rates: how often the time for a FLOP, for a byte and for a launch its operator takes.
        """
        peak = self.peak_gflops[DTYPE_CLASSES.get(item_bits, "float")]
        memory = (cost.bytes_read + cost.bytes_written) / (self.bandwidth_gbs * 1e6)
        return cost.flops / (peak * 1e6) * rates[0] + memory * rates[1] + self.launch_ms * rates[2]

    def latencies_ms(self, flops: np.ndarray, moved: np.ndarray, item_bits: np.ndarray) -> np.ndarray:
        """Milliseconds of kernels [n] of these FLOPs, bytes moved, and widths of their first inputs' items."""
        return self.terms_ms(flops, moved, item_bits).sum(axis=1)

    def terms_ms(self, flops: np.ndarray, moved: np.ndarray, item_bits: np.ndarray) -> np.ndarray:
        """The same apart: milliseconds for FLOPs, bytes and the launch [n, 3]."""
        peak = np.array([self.peak_gflops[name] for name in dtype_classes(item_bits)])
        launch = np.full(len(flops), self.launch_ms)
        return np.column_stack([flops / (peak * 1e6), moved / (self.bandwidth_gbs * 1e6), launch])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "peak_gflops": dict(self.peak_gflops),
            "bandwidth_gbs": self.bandwidth_gbs,
            "launch_ms": self.launch_ms,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Roofline:
        """The roofline that `to_dict` described; DeviceError if a quantity is not a positive number."""
        peaks = mapping(member(data, "peak_gflops"), "peak_gflops")
        peak = {name: _quantity(peaks, name) for name in sorted(set(DTYPE_CLASSES.values()))}
        return cls(peak, _quantity(data, "bandwidth_gbs"), _quantity(data, "launch_ms"))


def _quantity(data: Mapping[str, Any], name: str) -> float:
    return positive(member(data, name), f"{name} of the roofline", 1e-9, 1e12)


def dtype_classes(item_bits: np.ndarray) -> np.ndarray:
    """Class of element type, a key of `peak_gflops`, for each width in bits."""
    return np.array([DTYPE_CLASSES.get(int(bits), "float") for bits in item_bits])


def fit_roofline(flops: np.ndarray, moved: np.ndarray, item_bits: np.ndarray, latency_ms: np.ndarray) -> Roofline:
    """Read a device's roofline off measured kernels.

    The launch is the 2nd percentile of the latencies; peaks and bandwidth are the 95th percentile of what kernels that
    do little else achieved (arithmetic intensity above 20 FLOP a byte, and below 1). A class of types that was not
    measured gets the peak of float, scaled by its width.

    Args:
        flops: FLOPs of each kernel [n].
        moved: bytes that it reads and writes [n].
        item_bits: width of its first input's items [n].
        latency_ms: its measured time [n].
    """
    bits = dtype_classes(item_bits)
    seconds = latency_ms * 1e-3
    launch = float(np.quantile(latency_ms, 0.02))
    large = latency_ms > 5 * launch
    streaming = large & (flops < moved) & (moved > 0)
    bandwidth = float(np.quantile(moved[streaming] / seconds[streaming], 0.95)) / 1e9 if streaming.any() else 10.0
    compute = large & (flops > 20 * moved)
    peaks: dict[str, float] = {}
    for name in _CLASSES:
        mine = compute & (bits == name)
        if mine.sum() >= 20:
            peaks[name] = float(np.quantile(flops[mine] / seconds[mine], 0.95)) / 1e9
        else:
            peaks[name] = peaks.get("float", 10.0) * _UNMEASURED[name]
    return Roofline(peaks, bandwidth, max(launch, 1e-5))


def fit_roofline_to_totals(
    flops: Mapping[str, np.ndarray], moved: np.ndarray, kernels: np.ndarray, total_ms: np.ndarray
) -> tuple[Roofline, float]:
    """Read a device's roofline off whole networks, relative errors counting.

    Args:
        flops: FLOPs of each network [n] by class of element type.
        moved: bytes that its kernels read and write [n].
        kernels: number of its kernels [n].
        total_ms: its measured time [n].

    Returns:
        The roofline, and the milliseconds of an inference that no kernel accounts for.
    """
    present = [name for name in _CLASSES if name in flops and flops[name].any()]
    relative = np.array([_UNMEASURED[name] for name in present])
    work = np.column_stack([flops[name] for name in present]) / relative  # as much as float would take
    terms = np.column_stack([work, moved, kernels, np.ones(len(total_ms))]).astype(float)
    # At first, work of any class, bytes and kernels take a third of a network each, an inference half a little one.
    thirds = [float(np.median(total_ms / np.maximum(q, 1.0))) / 3 for q in (work.sum(axis=1), moved, kernels)]
    unit = np.array([thirds[0]] * len(present) + [*thirds[1:], 0.5 * float(total_ms.min())])
    factors = np.exp(fit_log_factors(terms * unit, total_ms, ridge=1e-3 * len(total_ms)))
    *rates, memory, launch, overhead = (unit * factors).tolist()
    peaks = {name: 1e-6 * width / rate for name, width, rate in zip(present, relative.tolist(), rates, strict=True)}
    widest = peaks.get("float") or next((peaks[n] / _UNMEASURED[n] for n in present), 10.0)
    for name in _CLASSES:
        peaks.setdefault(name, widest * _UNMEASURED[name])
    return Roofline(peaks, 1e-6 / memory, max(launch, 1e-7)), overhead


def fit_log_factors(
    terms: np.ndarray,
    total_ms: np.ndarray,
    ridge: float,
    fixed_ms: np.ndarray | float = 0.0,
    weight: np.ndarray | None = None,
    clip: float = 0.5,
) -> np.ndarray:
    """Factors of positive terms such that their sums match, by Gauss-Newton on the log error with Huber's weights.

    Minimises `sum weight x huber(log(fixed + terms @ exp(x)) - log(total))^2 + ridge x |x|^2`.

    Args:
        terms: milliseconds of each term in each network, not negative [networks, terms].
        total_ms: measured time of each network.
        ridge: how strongly factors are held to 1, in networks.
        fixed_ms: part of each network that no factor scales.
        weight: of each network.
        clip: log error beyond which a network counts linearly.

    Returns:
        Logarithms of the factors [terms]; 0 for a term that no network has.
    """
    weights = np.ones(len(total_ms)) if weight is None else weight
    x = np.zeros(terms.shape[1])
    if not len(x):
        return x
    for _ in range(_ROUNDS):
        parts = terms * np.exp(x)
        totals = np.maximum(parts.sum(axis=1) + fixed_ms, 1e-9)
        error = np.log(totals / total_ms)
        importance = weights * np.minimum(1.0, clip / np.maximum(np.abs(error), 1e-9))
        shares = parts / totals[:, None]
        pull = shares.T @ (importance * error) + ridge * x
        curvature = shares.T @ (importance[:, None] * shares) + ridge * np.eye(len(x))
        step = np.clip(np.linalg.solve(curvature, pull), -1.0, 1.0)
        x -= step
        if np.abs(step).max() < 1e-4:
            break
    return x
