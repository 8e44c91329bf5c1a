"""What is known before whole networks are fitted to: from a roofline alone, or from the pack of another device.

Rules:

1. A prior is a roofline, ensembles, a vocabulary, and what turns kernels as profiled into whole runs. With no kernel's
   time it is the roofline alone, fitted to the whole networks, or the pack of another device.
2. Whole networks tell a launch badly from work that small kernels do badly, and a roofline fitted to them calls both a
   launch. A core calls a function where a GPU is sent a job: with a tenth of it, ten families of generated networks and
   one of tiny ones, each left out in turn, gain 5 points within 10 % on a phone's CPU, and lose 5 on its GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.table import KernelTable
from nnmeter.lab.training.unobserved import Unobserved
from nnmeter.predictor.kernel_predictor import FALLBACK, KernelPredictor, log_ratio_of_shares
from nnmeter.predictor.roofline import EVEN, Roofline, dtype_classes, fit_roofline_to_totals
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import Sampled

LAUNCH_OF_A_CORE = 0.1  # of what whole networks call a launch, the part that is one on a CPU (rule 2)


def launch_of(kind: str) -> float:
    """Of what whole networks call a launch, the part that is one (rule 2), on a device of this kind: cpu, gpu, vpu."""
    return LAUNCH_OF_A_CORE if kind == "cpu" else 1.0


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before whole networks are looked at (rule 1)."""

    roofline: Roofline
    vocabulary: dict[Kind, Sampled]
    ensembles: dict[str, TreeEnsemble]
    unobserved: Unobserved


def roofline_prior(table: KernelTable, launch: float = LAUNCH_OF_A_CORE) -> Prior:
    """A prior from whole networks alone.

    Args:
        table: all measurements.
        launch: of what they call a launch, the part that is one (rule 2).
    """
    classes = dtype_classes(table.item_bits)
    total_ms = np.array([n.latency_ms for n in table.networks])
    roofline, overhead_ms = fit_roofline_to_totals(
        {name: table.sums(np.where(classes == name, table.flops, 0.0)) for name in sorted(set(classes.tolist()))},
        table.sums(table.moved),
        table.sums(np.ones(len(table.flops))),
        total_ms,
    )
    roofline = replace(roofline, launch_ms=roofline.launch_ms * launch)
    return Prior(roofline, {}, {}, Unobserved(1.0, 0.0, overhead_ms))


def pack_prior(table: KernelTable, predictor: KernelPredictor) -> tuple[Prior, np.ndarray, np.ndarray]:
    """A prior from the predictor of another device, brought to the speed of this one by the median network.

    Returns:
        The prior; its log ratio to the roofline of each row; whether it was trained on the row's operator.

    Raises:
        DeviceError: the predictor was calibrated, so that its prices are not those of its ensembles.
    """
    if predictor.corrections:
        raise DeviceError("a calibrated pack cannot be trained further; give the pack that it was calibrated from")
    codes = np.array([s.code if (s := predictor.vocabulary.get(kind)) else -1.0 for kind in table.kinds])
    trained = table.among_kinds(predictor.vocabulary)[table.kind]
    ratio = np.zeros(len(table.flops))
    for name in [*table.features, FALLBACK]:
        mine = np.flatnonzero(~trained if name == FALLBACK else trained & (table.family == name))
        if len(mine):
            rows = table.common[mine] if name == FALLBACK else table.features[name][table.place[mine]]
            rows[:, 0] = codes[table.kind[mine]]
            ratio[mine] = predictor.ensembles[name].predict(rows)
    terms_ms = predictor.roofline.terms_ms(table.flops, table.moved, table.item_bits)
    roofline_ms = terms_ms.sum(axis=1)
    own_ms = (terms_ms * own_rates(table, predictor.vocabulary)).sum(axis=1)
    ratio += np.log(own_ms / roofline_ms)
    if predictor.shares:
        ratio += log_ratio_of_shares(predictor.shares, table.located, own_ms)
    price = np.maximum(predictor.scale * roofline_ms * np.exp(ratio) + predictor.per_kernel_ms, 0.0)
    measured_ms = np.array([n.latency_ms for n in table.networks])
    speed = float(np.median(measured_ms / (table.sums(price) + predictor.overhead_ms)))
    unobserved = Unobserved(
        predictor.scale * speed, predictor.per_kernel_ms * speed, max(predictor.overhead_ms, 0.0) * speed
    )
    prior = Prior(predictor.roofline, dict(predictor.vocabulary), dict(predictor.ensembles), unobserved)
    return prior, ratio[table.kernel], trained[table.kernel]


def own_rates(table: KernelTable, vocabulary: Mapping[Kind, Sampled]) -> np.ndarray:
    """Rates of each distinct kernel's operator [kernels, 3]."""
    rates = [vocabulary[kind].rates if kind in vocabulary else EVEN for kind in table.kinds]
    return np.array(rates)[table.kind]
