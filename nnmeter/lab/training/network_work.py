"""Networks as work: what a table of published times becomes before rates are fitted to it.

Rules:

1. A network's work is the sum of that of its kernels (`nnmeter.predictor.work`), and one inference.
2. Of each kind of kernel it is kept apart too, so that its share of the time is known under any rates.
3. Networks that are the same list of kernels are described once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import COMMON_NAMES, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.paths import code_path
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.population import COLUMNS, DeviceTable, Matrix
from nnmeter.operators.cost import Cost
from nnmeter.predictor.roofline import DTYPE_CLASSES
from nnmeter.predictor.vocabulary import RANGE_COLUMNS
from nnmeter.predictor.work import work_of

_ITEM_BITS = COMMON_NAMES.index("item_bits")
_LEAST_KERNELS = 3  # distinct kernels that sample a code path, as in `nnmeter.lab.training.paths`


@dataclass(frozen=True, slots=True, eq=False)
class KindWork:
    """The kernels of one kind in a network.

    Attributes:
        work: what they do together [columns].
        count: how many they are.
        low, high: range of their `RANGE_FEATURES`.
        paths: distinct kernels by code path.
    """

    work: Matrix
    count: int
    low: Matrix
    high: Matrix
    paths: dict[str, set[KernelSignature]]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkWork:
    """One network on one sort of device.

    Attributes:
        work: of all kernels and the inference [columns].
        kinds: of each kind of kernel.
        costs: FLOPs and bytes of each kernel.
        item_bits: width of the items of each kernel's first input.
    """

    work: Matrix
    kinds: dict[Kind, KindWork]
    costs: tuple[Cost, ...]
    item_bits: tuple[int, ...]

    @property
    def cost(self) -> tuple[float, float, float]:
        """FLOPs, bytes and kernels."""
        flops = sum(c.flops for c in self.costs)
        return float(flops), float(sum(c.bytes_read + c.bytes_written for c in self.costs)), float(len(self.costs))

    def flops_by_type(self) -> dict[str, float]:
        """FLOPs by class of element type."""
        found: dict[str, float] = {}
        for cost, bits in zip(self.costs, self.item_bits, strict=True):
            name = DTYPE_CLASSES.get(bits, "float")
            found[name] = found.get(name, 0.0) + cost.flops
        return found


class NetworkWorks:
    """Describes networks, each list of kernels once (rule 3)."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[KernelSignature, ...], NetworkWork]] = {}

    def of(self, kernels: tuple[KernelSignature, ...]) -> NetworkWork:
        """The work of a network; the tuple is kept, so that its identity stays its own."""
        found = self._known.get(id(kernels))
        if found is None:
            found = self._known[id(kernels)] = (kernels, describe_network(kernels))
        return found[1]


def describe_network(kernels: Sequence[KernelSignature]) -> NetworkWork:
    """The work of a network (rules 1 and 2)."""
    total = np.zeros(len(COLUMNS))
    total[-1] = 1.0
    kinds: dict[Kind, KindWork] = {}
    costs, bits = [], []
    for kernel in kernels:
        features = kernel_features(kernel)
        own = np.zeros(len(COLUMNS))
        for place, amount in work_of(kernel):
            own[place] += amount
        total += own
        costs.append(features.cost)
        bits.append(int(features.values[_ITEM_BITS]))
        sizes = np.array([features.values[column] for column in RANGE_COLUMNS])
        known = kinds.get(features.kind)
        paths = known.paths if known else {}
        paths.setdefault(code_path(kernel), set()).add(kernel)
        kinds[features.kind] = (
            KindWork(own, 1, sizes, sizes, paths)
            if known is None
            else KindWork(
                known.work + own, known.count + 1, np.minimum(known.low, sizes), np.maximum(known.high, sizes), paths
            )
        )
    return NetworkWork(total, kinds, tuple(costs), tuple(bits))


def sampled_kinds(networks: Sequence[NetworkWork]) -> dict[Kind, tuple[int, Matrix, Matrix, frozenset[str]]]:
    """Of each kind of kernel how many were sampled, the range of their sizes, and the code paths."""
    found: dict[Kind, tuple[int, Matrix, Matrix, dict[str, set[KernelSignature]]]] = {}
    for network in {id(n): n for n in networks}.values():
        for kind, own in network.kinds.items():
            count, low, high, paths = found.get(kind, (0, own.low, own.high, {}))
            for path, kernels in own.paths.items():
                paths.setdefault(path, set()).update(kernels)
            found[kind] = (count + own.count, np.minimum(low, own.low), np.maximum(high, own.high), paths)
    return {
        kind: (
            count,
            low,
            high,
            frozenset(p for p, kernels in paths.items() if len(kernels) >= _LEAST_KERNELS or not p),
        )
        for kind, (count, low, high, paths) in found.items()
    }


def device_table(
    id: str, fingerprint: Mapping[str, Any], measurements: Sequence[Measurement], works: Sequence[NetworkWork]
) -> DeviceTable:
    """The table of a device, whose fingerprint tells what sort of device it is.

    Args:
        id: name of the device.
        fingerprint: of its measurements.
        measurements: of whole networks.
        works: of the same networks.
    """
    sort, engine, hardware = traits_of(fingerprint)
    return DeviceTable(
        id,
        sort,
        engine,
        hardware,
        np.array([work.work for work in works]).reshape(len(works), len(COLUMNS)),
        np.array([m.latency_ms for m in measurements], float),
        tuple(m.network for m in measurements),
        tuple(m.family for m in measurements),
    )


def traits_of(fingerprint: Mapping[str, Any]) -> tuple[str, str, str]:
    """Sort of device, engine and hardware of a fingerprint."""
    table = fingerprint.get("table")
    told = table if isinstance(table, Mapping) else {}
    quantity = str(fingerprint.get("quantity") or "latency")
    sort = f"{fingerprint.get('kind') or 'cpu'} {fingerprint.get('precision') or 'float32'}"
    if quantity != "latency":
        sort = f"{sort} {quantity}"
    engine = f"{sort} {told.get('runtime') or fingerprint.get('runtime') or 'unknown'}"
    return sort, engine, str(told.get("device") or fingerprint.get("device") or fingerprint.get("cpu") or "unknown")
