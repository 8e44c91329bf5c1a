"""The machine in front of you as a device: a short campaign over the best prior, trained and kept.

Rules:

1. Setup is a campaign like any other (`nnmeter.lab.campaign`) whose budget is short, and training like any other whose
   start is not a roofline but a pack that ships (`nnmeter.lab.training.continued`). More time goes on with the same
   campaign: what was measured before counts.
2. The prior is the pack of the same runtime whose prices, corrected by what was measured, err least on networks that
   the correction has not seen. All packs that nnmeter measured itself are tried, not only the nearest.
3. `budget_s` is all of it: starting processes, measuring, choosing the prior, training. `_TRAINING_S` of it, and
   `_TRAINING_SHARE` of a longer one, are kept for what follows the measuring.
4. What is left out of training says how good the pack is: networks by fifths. What a longer budget would bring is read
   off the same networks: the error with four fifths of them, and with two fifths, on a line over the logarithm of
   their number.
5. What training imports takes seconds; it is imported while the measuring process starts, before anything is timed.
"""

from __future__ import annotations

import importlib.util
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.devices import DevicePack, list_devices, load_pack
from nnmeter.devices.catalog import DeviceInfo, user_directory
from nnmeter.devices.machine import runtime_version
from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.supervisor import run_supervised_campaign
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.training.build import build_pack, default_id, read_all
from nnmeter.lab.training.continued import ContinuedFit
from nnmeter.lab.training.folds import interval_folds
from nnmeter.lab.training.table import KernelTable, build_table

if TYPE_CHECKING:
    from nnmeter.lab.campaign.campaign import CampaignProgress
    from nnmeter.lab.measuring.measurement import Measurement

LEAST_S, DEFAULT_S = 30.0, 60.0
_TRAINING_S, _TRAINING_SHARE = 16.0, 0.12
_JUDGED_FOLDS = (0, 1)
ENOUGH = 40  # networks that a learning curve is read off, and that a pack rests on
_LONGER = (300.0, 1200.0)  # budgets that the report foresees the error of, seconds

Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class SetupReport:
    """What setup made, and how good it is.

    Attributes:
        pack: the device pack.
        prior: id of the pack that it started from.
        candidates: mean absolute log error of networks left out, by id of the packs that were tried.
        networks, kernels: measured in all, earlier calls included.
        elapsed_s: seconds that this call took.
        totals: metrics of networks that were left out, as `nnmeter.lab.evaluation.metrics.Metrics.to_dict` has them.
        coverage: share of networks inside the 90 % interval that was fitted to the other half of them, in per cent.
        half_width: mean half width of the 90 % interval of the measured networks, relative.
        foreseen: mean error of networks left out that a budget of so many seconds would bring, by seconds (rule 4).
        restlessness: relative spread of the reference kernel's latest runs; large where something else was running.
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
) -> SetupReport:
    """Measure this machine for a short time and make a device pack of it, which predictions take from then on.

    Args:
        budget_s: seconds in all (rule 3), at least `LEAST_S`.
        runtime: name of the runtime that executes the models.
        threads: threads that execute one model.
        output: directory of the pack; one in the user's data folder, where it is found by its id, if not given.
        device_id: name of the device; made from processor, runtime and threads if not given.
        progress: told what is being done, and the share of the budget that has passed.

    Raises:
        MeasurementError: the budget is too short, the runtime is not installed or cannot be measured, or no pack of
            the runtime is there to start from.
    """
    began = time.monotonic()
    if budget_s < LEAST_S:
        raise MeasurementError(f"setup needs {LEAST_S:g} seconds or more, not {budget_s:g}; give a longer --budget")

    def tell(what: str) -> None:
        if progress is not None:
            progress(what, min((time.monotonic() - began) / budget_s, 1.0))

    priors = candidates(runtime)
    measuring_s = budget_s - max(_TRAINING_S, _TRAINING_SHARE * budget_s)
    tell("starting")
    _import_training()
    here = take_fingerprint(runtime, runtime_version(runtime) or "", threads, {})
    campaign = user_directory() / "setup" / default_id(here)
    measured = run_supervised_campaign(
        campaign,
        runtime,
        threads,
        measuring_s,
        progress=lambda latest: tell(_measuring(latest)),
    )
    measurements, fingerprint = read_all([campaign])
    tell("choosing the pack to start from")
    packs = {device.id: load_pack(device.path) for device in priors}
    tables = {name: build_table(measurements, pack.predictor.describe) for name, pack in packs.items()}
    errors = {name: out_of_fold_error(tables[name], pack) for name, pack in packs.items()}
    best = min(errors, key=lambda name: (errors[name], name))
    table = tables[best]
    tell("training")
    name = device_id or default_id(fingerprint)
    place = output or user_directory() / "packs" / name
    pack = build_pack([campaign], place, device_id=name, prior=packs[best].path)
    tell("looking ahead")
    enough = len(table.networks) >= ENOUGH
    return SetupReport(
        pack,
        best,
        errors,
        len(table.networks),
        len(table.kernel),
        time.monotonic() - began,
        pack.card.trained_on["totals"],
        pack.card.trained_on["interval_coverage"],
        _half_width(pack, measurements),
        foresee(table, packs[best], errors[best], budget_s) if enough else {},
        measured.restlessness,
    )


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


def candidates(runtime: str) -> list[DeviceInfo]:
    """The packs that setup may start from (rule 2).

    Raises:
        MeasurementError: there is none.
    """
    found = [d for d in list_devices() if d.card.runtime == runtime and not d.card.is_reported and d.card.kind == "cpu"]
    found = [d for d in found if "prior" not in d.card.trained_on and "calibrated_from" not in d.card.trained_on]
    if not found:
        raise MeasurementError(
            f"no device pack of {runtime} is there to start from; measure from nothing with `nnmeter profile --runtime "
            f"{runtime} --out DIR`, then `nnmeter train`"
        )
    return found


def out_of_fold_error(table: KernelTable, prior: DevicePack, share: float = 1.0) -> float:
    """Mean absolute log error of networks that a fit over `prior` has not seen (rules 2 and 4).

    Two folds of five are judged: choosing a pack takes a second of the budget each then, and three times as long else.

    Args:
        table: the measurements.
        prior: the pack to start from.
        share: of the other networks, how many the fit sees.
    """
    fit = ContinuedFit(table, prior.predictor, 0)
    folds = interval_folds(table.networks, 0)
    timed = np.random.default_rng(0).random(len(table.networks)) < share
    held_out = fit.held_out(folds[table.network], timed[table.network], _JUDGED_FOLDS)
    price = np.exp(fit.log_roofline[table.kernel] + held_out.log_ratio)
    known = table.timed & np.isin(folds, _JUDGED_FOLDS)[table.network]
    sums = np.bincount(table.network[known], table.latency_ms[known], len(table.networks))
    prices = np.bincount(table.network[known], price[known], len(table.networks))
    judged = sums > 0
    return float(np.mean(np.abs(np.log(prices[judged] / sums[judged]))))


def foresee(table: KernelTable, prior: DevicePack, all_of_them: float, budget_s: float) -> dict[float, float]:
    """The error that longer budgets would bring, by seconds (rule 4); `all_of_them` is that with all networks."""
    fewer = out_of_fold_error(table, prior, 0.5)
    slope = min((math.log(all_of_them) - math.log(fewer)) / math.log(2.0), 0.0)
    return {longer: all_of_them * (longer / budget_s) ** slope for longer in _LONGER if longer > 1.5 * budget_s}


def _half_width(pack: DevicePack, measurements: Sequence[Measurement]) -> float:
    """Mean half width of the 90 % intervals of measured networks, relative to the prediction."""
    predictor = pack.predictor
    widths = []
    for measurement in measurements:
        prices = predictor.price(measurement.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        widths.append((high - low) / (2 * total))
    return float(np.mean(widths))
