"""Kernels' times as they are in the mean of networks: what training fits its ensembles to.

Rules:

1. Products that wait for their weights are brought to the mean of the networks first (`network_factors`). Then, to the
   prices that a first round out of fold gives them, all kernels by what they take longer in long networks (`coldness`),
   and by how long ago others of their kind ran (`reuse`).
2. Sums that are corrected additively are sums of prices, so that nothing is done where many networks were timed whole
   alone.
3. Over the predictor of another machine the factors are that one's, where it has some.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnmeter.lab.training.coldness import fit_coldness
from nnmeter.lab.training.folds import FOLDS, interval_folds
from nnmeter.lab.training.kernels import HeldOut, KernelFit, Progress
from nnmeter.lab.training.network_factors import bound_log_factors, divided, fit_network_factors, warmed
from nnmeter.lab.training.reuse import fit_reuse, reuse_log_factors
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.kernel_predictor import KernelPredictor
from nnmeter.predictor.network_factors import KNOTS_MS, NetworkFactors
from nnmeter.predictor.roofline import Roofline, fit_roofline

MIN_NETWORKS = 2 * FOLDS


def unprofiled(table: KernelTable) -> int:
    """How many networks were only timed whole."""
    return sum(not n.alone and not table.timed[n.rows].all() for n in table.networks)


def factors_over(table: KernelTable, prior: KernelPredictor | None) -> NetworkFactors | None:
    """What kernels take by their network: as the prior says (rule 3), else what rows bound by their weights show."""
    if unprofiled(table) >= MIN_NETWORKS:
        return None
    return fit_network_factors(table) if prior is None or prior.factors is None else prior.factors


def out_of_networks(table: KernelTable, seed: int, say: Progress) -> tuple[KernelTable, NetworkFactors | None]:
    """Kernels' times as they are in the mean of networks, and what they take by their network (rules 1 and 2)."""
    bound = factors_over(table, None)
    if bound is not None:
        table = divided(table, bound_log_factors(table, bound))
    if unprofiled(table) >= MIN_NETWORKS:
        return table, bound
    say("learning what kernels take by their networks")
    roofline = roofline_of(table)
    fit = KernelFit(table, roofline, "lightgbm", seed)
    folds = interval_folds(table.networks, seed)
    priced = fit.cross_validate(fit.presets(), folds[table.network], lambda _: None)
    profiled_ms = profiled_ms_of(table, roofline, priced)
    coldness = fit_coldness(table, profiled_ms, fit.weight)
    if coldness is not None:
        table = warmed(table, coldness)
    reuse = fit_reuse(table, profiled_ms, fit.weight)
    if reuse is None:
        return table, bound
    table = divided(table, reuse_log_factors(table, reuse, profiled_ms))
    if bound is None:
        bound = NetworkFactors((0.0,) * len(KNOTS_MS))
    return table, replace(bound, reuse=reuse, coldness=coldness)


def roofline_of(table: KernelTable) -> Roofline:
    """The roofline that the rows with times show."""
    timed = np.flatnonzero(table.timed)
    kernels = table.kernel[timed]
    return fit_roofline(table.flops[kernels], table.moved[kernels], table.item_bits[kernels], table.latency_ms[timed])


def profiled_ms_of(table: KernelTable, roofline: Roofline, held_out: HeldOut) -> np.ndarray:
    """Price of each row without its network, as a profiler would see it [rows]."""
    roofline_ms = roofline.latencies_ms(table.flops, table.moved, table.item_bits)
    return np.asarray(roofline_ms[table.kernel] * np.exp(held_out.log_ratio))
