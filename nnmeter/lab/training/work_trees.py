"""Trees over rates: what rates by sorts of work leave of a device that was measured with many networks.

Rules:

1. A device with `LEAST_BOOSTED` networks or more may say enough of itself for additive boosting (`additive`). It begins
   with the prices that the device's rates give its kernels (`population`), and the time that they give an inference.
   Whether trees help is decided by networks that were left out (`population_folds`, rule 4).
2. The number of rounds is fixed. Rates were fitted to the same networks and leave less of these than of others, so that
   a choice by networks that only the trees have not seen would stop at once.
3. The code of a kind of kernel, by which trees tell kinds of one family apart, is its rank by name in its family.

`benchmarks/public_additive.py` compares them with rates and with trees alone on networks that were kept aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.additive import AdditivePreset, AdditiveProblem, cross_validate_additive, fit_additive
from nnmeter.lab.training.population import Matrix
from nnmeter.lab.training.table import build_table
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.work import SORTS, work_of

LEAST_BOOSTED = 50
PRESET = AdditivePreset(rounds=200, leaves=8, learning_rate=0.2)


@dataclass(frozen=True, slots=True)
class KernelSums:
    """The networks of a device as sums of distinct kernels.

    Attributes:
        rows: features of kernels by family, the code of their kind in front, float32 [kernels of it, features].
        members: their numbers among all distinct kernels, by family.
        codes: of the kinds (rule 3).
        work: sparse amounts of work of each distinct kernel [kernels, sorts].
        counts: sparse, how often each network has each kernel [networks, kernels].
        latency_ms: of each network [networks].
    """

    rows: Mapping[str, Matrix]
    members: Mapping[str, Matrix]
    codes: Mapping[Kind, float]
    work: Any
    counts: Any
    latency_ms: Matrix

    def problem(self, theta: Matrix, learned: Matrix) -> AdditiveProblem:
        """What is left to learn of the networks in `learned`, where kernels have the prices of rates (rule 1).

        Args:
            theta: logarithms of the rates [columns].
            learned: whether each network takes part [networks].
        """
        from scipy import sparse

        kernels = self.work.shape[0]
        price_ms = np.maximum(self.work @ np.exp(theta[:-1]), 1e-9)
        return AdditiveProblem(
            self.rows,
            self.members,
            kind=np.zeros(kernels, int),
            free=np.zeros(1, bool),
            parts=np.full((kernels, 3), 1.0 / 3.0),
            base_ms=(self.counts @ sparse.diags(price_ms)).tocsr(),
            fixed_ms=np.zeros(len(self.latency_ms)),
            overhead_ms=float(np.exp(theta[-1])),
            measured_ms=self.latency_ms,
            weight=np.where(learned, 1.0, 0.0),
            judged_ms=self.latency_ms,
        )


@dataclass(frozen=True, slots=True)
class Trees:
    """What trees add to rates.

    Attributes:
        ensembles: log factors of prices, by kernel family.
        codes: of the kinds of kernels (rule 3).
        overhead_ms: time of an inference that no kernel accounts for.
    """

    ensembles: Mapping[str, TreeEnsemble]
    codes: Mapping[Kind, float]
    overhead_ms: float


def describe_sums(measurements: Sequence[Measurement]) -> KernelSums:
    """The whole networks of a device as sums of distinct kernels."""
    from scipy import sparse

    table = build_table(measurements)
    codes: dict[Kind, float] = {}
    last: dict[str, float] = {}
    for kind in sorted(table.kinds, key=str):
        codes[kind] = last[kind.family] = last.get(kind.family, -1.0) + 1.0
    members = {family: np.flatnonzero(table.family == family) for family in table.features}
    rows = {}
    for family, kernels in members.items():
        rows[family] = table.features[family][table.place[kernels]]
        rows[family][:, 0] = [codes[table.kinds[number]] for number in table.kind[kernels]]
    amounts = [(amount, kernel, place) for kernel, own in enumerate(table.located) for place, amount in work_of(own)]
    values, kernel, place = (np.array(column) for column in zip(*amounts, strict=True))
    work = sparse.csr_matrix((values, (kernel.astype(int), place.astype(int))), (len(table.located), len(SORTS)))
    shape = (len(table.networks), len(table.located))
    counts = sparse.coo_matrix((np.ones(len(table.kernel)), (table.network, table.kernel)), shape).tocsr()
    latency_ms = np.array([network.latency_ms for network in table.networks])
    return KernelSums(rows, members, codes, work, counts, latency_ms)


def fit_trees(sums: KernelSums, theta: Matrix) -> Trees:
    """Trees over the rates of a device, learned from all of its networks."""
    found = fit_additive(sums.problem(theta, np.ones(len(sums.latency_ms), bool)), PRESET.rounds, PRESET, 0)
    return Trees(found.ensembles, sums.codes, found.overhead_ms)


def predict_left_out(sums: KernelSums, theta: Matrix, left: Matrix, preset: AdditivePreset = PRESET) -> Matrix:
    """Logarithms of the milliseconds of networks that neither rates nor trees were learned from [left networks].

    Args:
        sums: of the device.
        theta: its rates, learned without them [columns].
        left: whether each network was left out [networks].
        preset: hyper-parameters of boosting.
    """
    fold = np.where(left, 0, 1)
    found = cross_validate_additive(sums.problem(theta, ~left), fold, preset, 0, preset.rounds, held=(0,))
    log_ms: Matrix = np.log(found.total_ms[left])
    return log_ms
