"""The machine in front of you as a device: a short campaign over the best prior, trained and kept.

Rules:

1. Setup is a campaign like any other (`nnmeter.lab.campaign`) whose budget is short, and training like any other whose
   start is not a roofline but a pack that ships (`nnmeter.lab.training.continued`). More time goes on with the same
   campaign: what was measured before counts.
2. All packs of the same runtime that nnmeter measured itself are tried, not only the nearest: corrected by what was
   measured, they err so much on networks that the correction has not seen. So are those that setup made of this machine
   with other threads or another version of the runtime: what they have in common is known. Of several of one machine
   that with the nearest number of threads is tried. The prior is the mixture
   (`nnmeter.predictor.shares`) of the two best ones of different machines, each of which errs in other places; the best
   one alone where the second is far behind (`_ALIKE`) or the mixture is worse (`_NO_WORSE`), which few networks hardly
   tell.
3. `budget_s` is all of it: starting processes, measuring, choosing the prior, training. `_TRAINING_S` of it, and
   `_TRAINING_SHARE` of a longer one, are kept for what follows the measuring.
4. What is left out of training says how good the pack is: networks by fifths. Of longer budgets it is foreseen that
   errors fall as `networks ** -DECAY`, as those on real models of three servers did from 110 to 550 networks
   (`benchmarks/short_campaigns.py`); a hundred networks of the user's own tell nothing of so small a slope.
5. What training imports takes seconds; it is imported while the measuring process starts, before anything is timed.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.devices import DevicePack, list_devices, load_pack
from nnmeter.devices.catalog import DeviceInfo, is_shipped, user_directory
from nnmeter.devices.identity import Verdict, match_measurements
from nnmeter.devices.machine import runtime_version
from nnmeter.devices.pack import check_place
from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.supervisor import run_supervised_campaign
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.training.build import build_pack, default_id, mix_packs, mixture_id, read_all
from nnmeter.lab.training.continued import ContinuedFit
from nnmeter.lab.training.folds import interval_folds
from nnmeter.lab.training.table import build_table
from nnmeter.lab.wire.campaign import run_campaign_on

if TYPE_CHECKING:
    from nnmeter.devices.card import Card
    from nnmeter.lab.campaign.campaign import CampaignProgress
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.lab.wire.board import Board
    from nnmeter.predictor import KernelPredictor

LEAST_S, DEFAULT_S = 30.0, 60.0
_TRAINING_S, _TRAINING_SHARE = 19.0, 0.12
_JUDGED_FOLDS = (0, 1)
_CLIP = 0.3  # log error beyond which a network counts no more in choosing a prior: few are far off, whatever the prior
_ALIKE, _NO_WORSE = 1.5, 1.05  # rule 2
DECAY = 0.15  # rule 4
ENOUGH = 40  # networks that a learning curve is read off, and that a pack rests on
_LONGER = (300.0, 1200.0)  # budgets that the report foresees the error of, seconds

Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class SetupReport:
    """What setup made, and how good it is.

    Attributes:
        pack: the device pack.
        prior: id of the pack that it started from; of several, with a plus between them.
        candidates: mean absolute log error of networks left out, by id of the packs that were tried, and their mixture.
        networks, kernels: measured in all, earlier calls included.
        elapsed_s: seconds that this call took.
        totals: metrics of networks that were left out, as `nnmeter.lab.evaluation.metrics.Metrics.to_dict` has them.
        coverage: share of networks inside the 90 % interval that was fitted to the other half of them, in per cent,
            before it was made that of networks that people use (`nnmeter.lab.training.real_networks`).
        half_width: median half width of the 90 % interval of the measured networks, relative.
        foreseen: mean error of networks left out that a budget of so many seconds would bring, by seconds (rule 4).
        restlessness: relative spread of the reference kernel's latest runs; large where something else was running.
        by_wire: whether it is of another machine than this one, which was measured by wire.
    """

    pack: DevicePack
    prior: str
    candidates: dict[str, float]
    networks: int
    kernels: int
    elapsed_s: float
    totals: Mapping[str, float] | None
    coverage: float | None
    half_width: float
    foreseen: dict[float, float]
    restlessness: float = 0.0
    by_wire: bool = False

    @property
    def is_thin(self) -> bool:
        """Whether too little was measured for a pack that can be relied on."""
        return self.networks < ENOUGH


def setup_device(
    budget_s: float = DEFAULT_S,
    runtime: str = "onnxruntime",
    threads: int = 1,
    output: str | os.PathLike[str] | None = None,
    device_id: str | None = None,
    progress: Tell | None = None,
    board: Board | None = None,
) -> SetupReport:
    """Measure this machine for a short time and make a device pack of it, which predictions take from then on.

    Args:
        budget_s: seconds in all (rule 3), at least `LEAST_S`.
        runtime: name of the runtime that executes the models.
        threads: threads that execute one model.
        output: directory of the pack; one in the user's data folder, where it is found by its id, if not given.
        device_id: name of the device; made from processor, runtime and threads if not given.
        progress: told what is being done, and the share of the budget that has passed.
        board: a device by wire to measure in place of this machine, with its runtime and threads.

    Raises:
        MeasurementError: the budget is too short, the runtime is not installed or cannot be measured, or no pack of
            the runtime is there to start from.
        DeviceError: no pack can be written to `output`; that is known before anything is measured.
    """
    began = time.monotonic()
    if budget_s < LEAST_S:
        raise MeasurementError(f"setup needs {LEAST_S:g} seconds or more, not {budget_s:g}; give a longer --budget")

    def tell(what: str) -> None:
        if progress is not None:
            progress(what, min((time.monotonic() - began) / budget_s, 1.0))

    if output is not None:
        check_place(output)
    measuring_s = measuring_s_of(budget_s)
    tell("starting")
    _import_training()
    if board is None:
        here: Mapping[str, Any] = take_fingerprint(runtime, runtime_version(runtime) or "", threads, {})
        candidates(runtime, here)  # that there are any is known before a minute has gone into the measuring
        campaign = user_directory() / "setup" / default_id(here)
        measure = partial(run_supervised_campaign, campaign, runtime, threads)
    else:
        board = board.filled(runtime, threads)
        runtime, threads = str(board.runtime), int(board.threads or threads)
        candidates(runtime, {"threads": threads})
        campaign = user_directory() / "setup" / _folder_of(board)
        measure = partial(run_campaign_on, campaign, board)
    measured = measure(measuring_s, progress=lambda latest: tell(_measuring(latest)))
    measurements, here = read_all([campaign])
    name = device_id or default_id(here)
    priors = candidates(runtime, here)
    tell("choosing the packs to start from")
    packs = {device.id: load_pack(device.path) for device in priors}
    errors, best = choose_prior(measurements, list(packs.values()))
    tell("training")
    place = output or user_directory() / "packs" / name
    pack = build_pack([campaign], place, device_id=name, prior=[one.path for one in best])
    started_from = mixture_id(one.id for one in best)
    return SetupReport(
        pack,
        started_from,
        errors,
        len(measurements),
        sum(len(row.kernels) for row in measurements),
        time.monotonic() - began,
        pack.card.trained_on["totals"],
        pack.card.trained_on["interval_coverage"],
        _half_width(pack, measurements),
        foresee(errors[started_from], len(measurements), measuring_s / max(measured.networks, 1), budget_s)
        if len(measurements) >= ENOUGH
        else {},
        measured.restlessness,
        board is not None,
    )


def _folder_of(board: Board) -> str:
    """Name of the folder of a device's campaign: two boards of one kind are two devices to measure."""
    place = re.sub(r"[^A-Za-z0-9.-]+", "-", board.address)
    cores = f"-cores{board.cores}" if board.cores else ""
    return f"{place}-{board.runtime}-{board.threads}t{cores}"


def _import_training() -> None:
    """Begin to import what training needs (rule 5).

    Raises:
        ModuleNotFoundError: it is not installed; a minute of measuring would be for nothing.
    """
    if importlib.util.find_spec("lightgbm") is None:
        raise ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    threading.Thread(target=importlib.import_module, args=("lightgbm",), daemon=True).start()


def _measuring(latest: CampaignProgress) -> str:
    return f"measuring: {latest.networks} networks, {latest.kernels} kernels"


def candidates(runtime: str, here: Mapping[str, Any]) -> list[DeviceInfo]:
    """The packs that setup may start from (rule 2).

    Args:
        runtime: name of the runtime.
        here: fingerprint of this machine, with runtime and threads.

    Raises:
        MeasurementError: there is none.
    """
    found = [d for d in list_devices() if d.card.runtime == runtime and not d.card.is_reported and d.card.kind == "cpu"]
    found = [d for d in found if "calibrated_from" not in d.card.trained_on and _is_independent(d.card, here)]
    found = _one_of_each_machine(found, int(here.get("threads", 1)))
    if not found:
        raise MeasurementError(
            f"no device pack of {runtime} is there to start from; measure from nothing with `nnmeter profile --runtime "
            f"{runtime} --out DIR`, then `nnmeter train`"
        )
    return found


def _one_of_each_machine(found: Sequence[DeviceInfo], threads: int) -> list[DeviceInfo]:
    """Of packs of one machine the one whose threads are nearest, first of those that were made here.

    Trying them all would take seconds.
    """
    kept: list[DeviceInfo] = []
    for device in sorted(found, key=lambda d: (abs(math.log(d.card.threads / threads)), is_shipped(d.path), d.id)):
        matches = (match_measurements(other.card, device.card.fingerprint) for other in kept)
        if all(match.verdict is Verdict.ANOTHER_MACHINE for match in matches):
            kept.append(device)
    return kept


def _is_independent(card: Card, here: Mapping[str, Any]) -> bool:
    """Whether a pack does not rest on setup's own measurements, nor on those of a setup of another machine (rule 2)."""
    return "prior" not in card.trained_on or match_measurements(card, here).verdict is Verdict.OTHER_SETTINGS


def choose_prior(
    measurements: Sequence[Measurement], packs: Sequence[DevicePack]
) -> tuple[dict[str, float], list[DevicePack]]:
    """The packs whose mixture is started from, and the error with each that was tried (rule 2).

    Args:
        measurements: of this machine.
        packs: of which at least one does not rest on others.
    """
    errors = {pack.id: out_of_fold_error(measurements, pack.predictor) for pack in packs}
    ranked = sorted(packs, key=lambda pack: (errors[pack.id], pack.id))
    best = ranked[0]
    other = next((pack for pack in ranked[1:] if _may_join(pack, best)), None)
    if other is None or errors[other.id] > _ALIKE * errors[best.id]:
        return errors, [best]
    both = [best, other]
    mixed = errors[mixture_id(pack.id for pack in both)] = out_of_fold_error(measurements, mix_packs(both))
    return errors, both if mixed <= _NO_WORSE * errors[best.id] else [best]


def _may_join(pack: DevicePack, best: DevicePack) -> bool:
    """Whether a pack can be mixed in, and is of another machine than the best one: one of its own tells nothing new."""
    another = match_measurements(best.card, pack.card.fingerprint).verdict is Verdict.ANOTHER_MACHINE
    return another and not pack.predictor.shares and not best.predictor.corrections


def out_of_fold_error(measurements: Sequence[Measurement], prior: KernelPredictor) -> float:
    """Mean absolute log error of networks that a fit over `prior` has not seen, none counting more than `_CLIP`.

    Two folds of five are judged: choosing a pack takes a second of the budget each then, and three times as long else.

    Args:
        measurements: of this machine.
        prior: the predictor to start from.
    """
    table = build_table(measurements, prior.describe)
    fit = ContinuedFit(table, prior, 0)
    folds = interval_folds(table.networks, 0)
    held_out = fit.held_out(folds[table.network], judged=_JUDGED_FOLDS)
    price = np.exp(fit.log_roofline[table.kernel] + held_out.log_ratio)
    known = table.timed & np.isin(folds, _JUDGED_FOLDS)[table.network]
    sums = np.bincount(table.network[known], table.latency_ms[known], len(table.networks))
    prices = np.bincount(table.network[known], price[known], len(table.networks))
    judged = sums > 0
    return float(np.mean(np.minimum(np.abs(np.log(prices[judged] / sums[judged])), _CLIP)))


def foresee(error: float, networks: int, each_s: float, budget_s: float) -> dict[float, float]:
    """The error that longer budgets would bring, by seconds (rule 4).

    Args:
        error: now, of networks left out.
        networks: that were measured so far.
        each_s: seconds that one takes.
        budget_s: that this call had.
    """
    found = {}
    for longer in _LONGER:
        if longer > 1.5 * budget_s:
            more = networks + measuring_s_of(longer) / each_s
            found[longer] = error * (more / networks) ** -DECAY
    return found


def measuring_s_of(budget_s: float) -> float:
    """What is measured for, of a budget (rule 3)."""
    return budget_s - max(_TRAINING_S, _TRAINING_SHARE * budget_s)


def _half_width(pack: DevicePack, measurements: Sequence[Measurement]) -> float:
    """Median half width of the 90 % intervals of measured networks, relative to the prediction."""
    predictor = pack.predictor
    widths = []
    for measurement in measurements:
        prices = predictor.price_network(measurement.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        widths.append((high - low) / (2 * total))
    return float(np.median(widths))
