"""Making a device pack for a near device from the pack of another and few measurements: what `nnmeter calibrate` does.

1. All measurements are of one device. It may differ from the first one in clock, threads, version, machine or runtime.
2. Its fusion rules, and the state of the machine that its prices are of, are as `near_device` has them.
3. The learning curve is over all measurements; the pack is calibrated on those that were chosen.
4. The card names the pack that was calibrated, and the measurements.
5. The sampled range of an operator that the first pack was trained on grows by the kernels that the pack is calibrated
   on.
6. A pack that has rates by sorts of work, as those of published tables have, is calibrated in its own way
   (`calibrate_work`).
7. Packs of several machines that were measured err in different places. Where they are mixed, vocabulary, rules and the
   state of the machine are those of the first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.devices.card import Card
from nnmeter.devices.identity import match_measurements
from nnmeter.devices.pack import DevicePack, check_place, save_pack
from nnmeter.lab.measuring.clock import state_of_card
from nnmeter.lab.training.build import make_card, mix_packs, mixture_id, read_all
from nnmeter.lab.transfer.near_device import (
    candidate_kernels,
    choose_measurements,
    choose_rules,
    in_one_state,
)
from nnmeter.lab.transfer.report import CalibrationReport, describe_errors

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.kernels.anchor import Kind
    from nnmeter.kernels.kernel import KernelSignature
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.lab.transfer.calibration import Calibration
    from nnmeter.lab.transfer.plan import Suggestion
    from nnmeter.lab.transfer.problem import CalibrationProblem
    from nnmeter.predictor.baselines import Baselines
    from nnmeter.predictor.kernel_predictor import KernelPredictor
    from nnmeter.predictor.vocabulary import Sampled


def calibrate_pack(
    prior: DevicePack,
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    only: Sequence[str] = (),
    limit: int | None = None,
    candidates: str | os.PathLike[str] | None = None,
    rules: str | os.PathLike[str] | None = None,
    device_id: str | None = None,
    repeats: int | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    progress: Callable[[str], None] | None = None,
    mix: Sequence[DevicePack] = (),
    notice: Callable[[str], None] | None = None,
) -> tuple[DevicePack, CalibrationReport]:
    """Calibrate a device pack to a near device and save it as another.

    Args:
        prior: the pack of the first device.
        sources: measurement files of the near device.
        output: directory of the new pack.
        only: names of the measured networks to calibrate on; all if empty.
        limit: calibrate on the first so many of them.
        candidates: folder of models that could be measured next; if not given, measurements that were not chosen, or
            else the kernel types of the first device.
        rules: fusion rules of the new pack, a file or the name of a rule set.
        device_id: name of the device; made from processor, runtime and threads if not given.
        repeats: draws for each point of the learning curve; 0 for no curve.
        seed: of the draws.
        dims: values of the candidates' free dimensions.
        shapes: whole shapes of their inputs.
        progress: told what is being done, a line at a time.
        mix: packs of other devices of the first one's runtime; what is corrected are the geometric means of all
            prices (rule 7).
        notice: told which rows and candidates are left out, if any.

    Raises:
        MeasurementError: measurements are missing, damaged, or of several devices; a name of `only` is not there.
        ModelError: no candidate can be read.
        DeviceError: the rules are faulty, `output` is something else than a pack, or a pack of `mix` was calibrated.
    """
    from nnmeter.fusion.loading import rules_to_dict
    from nnmeter.lab.transfer.calibration import fit_calibration
    from nnmeter.lab.transfer.curve import REPEATS, learning_curve
    from nnmeter.lab.transfer.problem import pose_problem

    say = progress or (lambda _: None)
    check_place(output)
    raw, fingerprint = read_all(sources, notice)
    machine = match_measurements(prior.card, fingerprint)
    measurements = in_one_state(raw, state_of_card(prior.card) if machine.same_reference else None)
    if prior.predictor.work is not None:
        return _calibrate_work(
            prior, measurements, fingerprint, output, only, limit, device_id, repeats, seed, say, mix, machine
        )
    predictor = mix_packs([prior, *mix])
    start = mixture_id(pack.id for pack in (prior, *mix))
    chosen = choose_measurements(measurements, only, limit)
    target_rules = choose_rules(prior, fingerprint, rules)
    say("pricing the measured kernels")
    pool = candidate_kernels(
        candidates, target_rules, {m.network for m in measurements}, dims, shapes, notice or (lambda _: None)
    )
    foreign = target_rules.runtime != prior.card.runtime
    problem = pose_problem(predictor, measurements, pool, foreign)
    draws = REPEATS if repeats is None else repeats
    curve = learning_curve(problem, repeats=draws, seed=seed, progress=say) if draws else []
    say("calibrating")
    calibration = fit_calibration(problem, chosen)
    calibrated, left_out = _calibrated_predictor(calibration, predictor)
    taken = [k for m, used in zip(measurements, chosen, strict=True) if used for k in m.kernels]
    calibrated = replace(calibrated, vocabulary=_with_ranges(calibrated, taken))
    suggestions, suggested_from = _suggest(calibration, prior, predictor, candidates)
    used = [m for m, taken in zip(measurements, chosen, strict=True) if taken]
    kernels = sum(1 if m.granularity == "kernel" else len(m.kernel_ms) for m in used)
    facts = {
        "calibrated_from": start,
        "measurements": len(used),
        "networks": sum(m.granularity != "kernel" for m in used),
        "kernels": kernels,
        "measured": ", ".join(m.network for m in used),
        "left_out": left_out,
        "prior": prior.card.trained_on,
    }
    card = replace(_card(used, fingerprint, facts, prior, device_id), **_state_of_prior(prior, machine))
    pack = save_pack(output, card, rules_to_dict(target_rules), calibrated)
    report = CalibrationReport(
        device=pack.id,
        prior=start,
        measurements=tuple(m.network for m in used),
        kernels=kernels,
        left_out=left_out,
        held_out=_held_out(calibration),
        half_width=_half_width(calibrated, used),
        curve=tuple(curve),
        suggestions=tuple(suggestions),
        suggested_from=suggested_from,
        machine=machine,
    )
    return pack, report


def _calibrate_work(
    prior: DevicePack,
    measurements: Sequence[Measurement],
    fingerprint: Mapping[str, Any],
    output: str | os.PathLike[str],
    only: Sequence[str],
    limit: int | None,
    device_id: str | None,
    repeats: int | None,
    seed: int,
    say: Callable[[str], None],
    mix: Sequence[DevicePack],
    machine: MachineMatch,
) -> tuple[DevicePack, CalibrationReport]:
    """Rule 6."""
    from nnmeter.errors import DeviceError
    from nnmeter.lab.training.population_file import shipped_population
    from nnmeter.lab.transfer.calibrate_work import calibrate_by_work
    from nnmeter.lab.transfer.curve import REPEATS

    if mix:
        raise DeviceError(f"{prior.id}: rests on all devices of published tables already; leave out --mix")
    chosen = choose_measurements(measurements, only, limit)
    pack, found = calibrate_by_work(
        prior,
        shipped_population(),
        measurements,
        chosen,
        fingerprint,
        output,
        device_id,
        REPEATS if repeats is None else repeats,
        seed,
        say,
    )
    names = tuple(m.network for m, used in zip(measurements, chosen, strict=True) if used)
    return pack, CalibrationReport(
        device=pack.id,
        prior=prior.id,
        measurements=names,
        kernels=0,
        suggestions=(),
        suggested_from="",
        machine=machine,
        **found,
    )


def _calibrated_predictor(
    calibration: Calibration, predictor: KernelPredictor
) -> tuple[KernelPredictor, dict[str, Any] | None]:
    """The predictor with its correction and intervals, and the metrics of networks predicted without themselves."""
    from nnmeter.lab.transfer.calibration import predict_left_out
    from nnmeter.lab.transfer.intervals import fit_calibrated_intervals

    correction = calibration.to_correction()
    errors = predict_left_out(calibration)
    intervals = fit_calibrated_intervals(calibration, correction, predictor.roofline, predictor.intervals, errors)
    calibrated = replace(
        predictor,
        factors=None,  # the other device's, and the correction is of prices without them
        corrections=(*predictor.corrections, correction),
        overhead_ms=calibration.overhead_ms,
        intervals=intervals,
        baselines=_baselines(calibration, predictor),
    )
    if len(errors) < 2:
        return calibrated, None
    problem = calibration.problem
    measured = problem.measured_ms[calibration.chosen[problem.network_of]]
    return calibrated, describe_errors(measured / np.exp(errors), measured)


def _with_ranges(predictor: KernelPredictor, kernels: Sequence[KernelSignature]) -> dict[Kind, Sampled]:
    """The vocabulary with ranges that hold these kernels too (rule 5)."""
    from nnmeter.predictor.vocabulary import RANGE_COLUMNS

    found = dict(predictor.vocabulary)
    for features in map(predictor.describe, dict.fromkeys(kernels)):
        sampled = found.get(features.kind)
        if sampled is not None:
            own = [features.values[column] for column in RANGE_COLUMNS]
            found[features.kind] = replace(
                sampled, low=tuple(map(min, sampled.low, own)), high=tuple(map(max, sampled.high, own))
            )
    return found


def _baselines(calibration: Calibration, predictor: KernelPredictor) -> Baselines:
    """The baselines of scorecards, fitted to the same networks; the first device's where there are none."""
    from nnmeter.kernels.features import COMMON_NAMES
    from nnmeter.predictor.baselines import fit_baselines, network_totals

    problem = calibration.problem
    rows = np.flatnonzero(calibration.chosen[problem.network_of])
    if not len(rows):
        return predictor.baselines
    bits = COMMON_NAMES.index("item_bits")
    totals = []
    for row in rows:
        features = [
            problem.features[k] for k in np.flatnonzero(problem.counts[row]) for _ in range(int(problem.counts[row, k]))
        ]
        totals.append(
            network_totals([f.cost for f in features], [int(f.values[bits]) for f in features], predictor.roofline)
        )
    return fit_baselines(np.array(totals), problem.measured_ms[rows])


def _suggest(
    calibration: Calibration, prior: DevicePack, predictor: KernelPredictor, candidates: object
) -> tuple[list[Suggestion], str]:
    from nnmeter.lab.transfer.plan import suggest_models, suggest_operators

    problem = calibration.problem
    if candidates is not None:
        first = len(problem.network_of)
        rows = np.arange(first, first + len(problem.candidates))
        return suggest_models(calibration, problem.candidates, rows), f"models of {candidates}"
    rows = np.flatnonzero(~calibration.chosen[problem.network_of])
    if len(rows):
        names = [problem.names[problem.network_of[row]] for row in rows]
        return suggest_models(calibration, names, rows), "measurements that were not used"
    return suggest_operators(calibration, predictor.vocabulary), f"kernel types of {prior.id}"


def _held_out(calibration: Calibration) -> dict[str, Any] | None:
    problem: CalibrationProblem = calibration.problem
    rows = np.flatnonzero(~calibration.chosen[problem.network_of])
    if not len(rows):
        return None
    predicted, _ = problem.totals(calibration.coefficients, rows)
    return describe_errors(predicted, problem.measured_ms[rows])


def _half_width(predictor: KernelPredictor, measurements: Sequence[Measurement]) -> float | None:
    if 0.9 not in predictor.intervals.multipliers:
        return None
    halves = []
    for measurement in measurements:
        prices = predictor.price_network(measurement.kernels)
        total = sum(p.latency_ms for p in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        halves.append(50.0 * (high - low) / total)
    return round(float(np.median(halves)), 2)


def _state_of_prior(prior: DevicePack, machine: MachineMatch) -> dict[str, Any]:
    """What the card of a pack says of its state that is in the prior's: of the same machine."""
    return {"reference_by_length": prior.card.reference_by_length} if machine.same_reference else {}


def _card(
    used: Sequence[Measurement],
    fingerprint: Mapping[str, Any],
    facts: Mapping[str, Any],
    prior: DevicePack,
    device_id: str | None,
) -> Card:
    card = make_card(used, fingerprint, facts, device_id)
    if card.id == prior.id:
        card = replace(card, id=f"{card.id}-calibrated")
    count = len(used)
    limit = (
        f"calibrated from {facts['calibrated_from']} with {count} measurement{'s' if count > 1 else ''}; what these "
        "do not contain is "
    )
    return replace(
        card,
        protocol=f"{facts['networks']} networks; {card.protocol}",
        limits=(f"{limit}priced as there, moved with the rest of its family", *card.limits),
    )
