"""Packs of all devices of published tables: one model of all, a scorecard each, a reason for each that does not ship.

Rules:

1. A device has at least `LEAST_NETWORKS` networks. Those with `LEAST_LEARNED` are learned from too, but do not ship;
   one with fewer tells too little of itself.
2. Its scorecard is of networks that were left out on all devices (`population_folds`); the same with whole families
   left out stands beside it (`families_left_out`). Baselines are fitted anew to the networks that are left
   (`public_baselines`): FLOPs alone, FLOPs and bytes, the roofline, and the time of the nearest network.
3. It ships if its mean error is no larger than `MOST_MAPE`, and below `MARGIN` of that of FLOPs alone and of the
   roofline: with a dozen networks a smaller lead is luck. Its intervals of 90 %, each of a network by the others alone,
   must hold `LEAST_COVERAGE` or more.
4. Of a hundred devices with the same twenty networks some lead by luck. So of an engine with `LEAST_OF_ENGINE` devices
   that have a scorecard none ships, unless they err less than the roofline in the median.
5. Devices that trees over their rates help (`population_folds`, rule 4) have them, in scorecard and pack.
6. Whether rows are right is not decided here: a row that is broken is an outlier of the fit, and an error of the
   scorecard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.devices.card import Card
from nnmeter.devices.pack import save_pack
from nnmeter.devices.pack_rules import referenced_rules
from nnmeter.fusion.ruleset_index import rule_sets
from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.evaluation.scorecard import ScoredModel, score_models
from nnmeter.lab.importing.published import Imported
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import make_card
from nnmeter.lab.training.network_work import NetworkWork, NetworkWorks, device_table
from nnmeter.lab.training.population import DeviceTable, Matrix, Population
from nnmeter.lab.training.population_folds import LeftOut
from nnmeter.lab.training.public_baselines import baseline_metrics, left_out_baselines
from nnmeter.lab.training.work_predictor import (
    Errors,
    conformal_multiplier,
    explained_spreads,
    fit_work_intervals,
    kind_sigmas,
    make_predictor,
)
from nnmeter.lab.training.work_trees import LEAST_BOOSTED, KernelSums, describe_sums, fit_trees
from nnmeter.predictor.kernel_predictor import KernelPredictor

LEAST_NETWORKS, LEAST_LEARNED = 10, 8
LEAST_COVERAGE, MOST_MAPE, MARGIN = 80.0, 12.0, 0.8
LEAST_OF_ENGINE = 10
CONFIDENCE = 0.9
SPLIT = "networks left out of training on all devices, in {parts} parts; intervals of each by the other networks"
_MOST_ROWS = 120  # of a scorecard; of more networks only the metrics are kept


@dataclass(frozen=True, slots=True)
class PublicDevice:
    """A device of published tables, with its networks as work."""

    id: str
    fingerprint: dict[str, Any]
    measurements: tuple[Measurement, ...]
    works: tuple[NetworkWork, ...]
    table: DeviceTable

    @property
    def networks(self) -> int:
        """Distinct networks."""
        return len(set(self.table.networks))


@dataclass(frozen=True, slots=True)
class LeftOutScores:
    """How good predictions of networks are that were left out; shares in per cent.

    Attributes:
        metrics: of the predictions.
        within_20: networks within ±20 %.
        coverage: networks that their intervals of 90 % hold.
        baselines: metrics of estimates that were fitted without them, too.
    """

    metrics: Metrics
    within_20: float
    coverage: float
    baselines: dict[str, Metrics]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            **self.metrics.to_dict(),
            "within_20": round(self.within_20, 4),
            "interval_coverage": round(self.coverage, 2),
            "baselines": {name: metrics.to_dict() for name, metrics in self.baselines.items()},
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a device.

    Attributes:
        id: of the device.
        networks: how many it was measured with.
        reasons: why it does not ship; empty where it does.
        networks_out: how good it is on networks that were left out; None for a device of too few networks.
        families_out: the same with whole families left out.
    """

    id: str
    networks: int
    reasons: tuple[str, ...]
    networks_out: LeftOutScores | None = None
    families_out: LeftOutScores | None = None


def describe_devices(imported: Imported) -> list[PublicDevice]:
    """All devices of tables that were imported."""
    works = NetworkWorks()
    found = []
    for name, measurements in imported.measurements.items():
        fingerprint = imported.fingerprints[name]
        own = tuple(works.of(m.kernels) for m in measurements)
        found.append(
            PublicDevice(
                name, fingerprint, tuple(measurements), own, device_table(name, fingerprint, measurements, own)
            )
        )
    return found


def sums_of(devices: Sequence[PublicDevice]) -> dict[str, KernelSums]:
    """The kernels of the devices that may have trees over their rates (rule 5), by id; `leave_out` takes them."""
    return {device.id: describe_sums(device.measurements) for device in devices if device.networks >= LEAST_BOOSTED}


def make_packs(
    devices: Sequence[PublicDevice],
    population: Population,
    left_out: LeftOut,
    output: Path,
    tell: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Write the pack of every device that ships into a directory; what became of each (rules 1 to 4)."""
    say = tell or (lambda _: None)
    made = [_make_pack(device, population, left_out) for device in devices]
    leads = engine_leads([(device.table.engine, outcome) for device, (outcome, _) in zip(devices, made, strict=True)])
    found = []
    for device, (outcome, pack) in zip(devices, made, strict=True):
        lead = leads.get(device.table.engine, 0.0)
        if pack is not None and lead >= 1.0:
            reason = f"devices of its engine err {lead:.2f} times as much as the roofline in the median"
            outcome = replace(outcome, reasons=(*outcome.reasons, reason))
        if pack is not None and not outcome.reasons:
            save_pack(output / device.id, *pack)
        found.append(outcome)
        say(f"{outcome.id}: {'; '.join(outcome.reasons) or 'made'}")
    return found


def engine_leads(outcomes: Sequence[tuple[str, Outcome]]) -> dict[str, float]:
    """Error over that of the roofline, the median of the devices of each engine that has enough of them (rule 4)."""
    ratios: dict[str, list[float]] = {}
    for engine, outcome in outcomes:
        scores = outcome.networks_out
        roofline = scores.baselines.get("roofline") if scores else None
        if scores and roofline:
            ratios.setdefault(engine, []).append(scores.metrics.mape / max(roofline.mape, 1e-9))
    return {engine: float(np.median(own)) for engine, own in ratios.items() if len(own) >= LEAST_OF_ENGINE}


def _make_pack(
    device: PublicDevice, population: Population, left_out: LeftOut
) -> tuple[Outcome, tuple[Card, dict[str, Any], KernelPredictor, dict[str, Any]] | None]:
    """What a device's scorecard says of it, and its pack; none where that is not good enough (rules 1 and 3)."""
    if device.networks < LEAST_NETWORKS:
        reason = f"{device.networks} networks are fewer than {LEAST_NETWORKS}"
        return Outcome(device.id, device.networks, (reason,)), None
    table = device.table
    measured = np.log(table.latency_ms)
    errors = Errors(measured - left_out.by_network[device.id], measured - left_out.by_family[device.id])
    rates = population.devices[device.id]
    explained = explained_spreads(rates, device.works, kind_sigmas(rates, device.works))
    halves = _half_widths(errors, explained)
    baselines = left_out_baselines(device.works, table.latency_ms, left_out.parts(table))
    networks_out = _scores(errors.networks, table.latency_ms, halves, baselines)
    families_out = _scores(
        errors.families,
        table.latency_ms,
        halves,
        left_out_baselines(device.works, table.latency_ms, left_out.family_parts(table)),
    )
    outcome = Outcome(device.id, device.networks, tuple(_reasons(networks_out)), networks_out, families_out)
    if outcome.reasons:
        return outcome, None
    trees = fit_trees(left_out.sums[device.id], rates.theta) if device.id in left_out.sums else None
    kind = str(device.fingerprint.get("kind"))
    predictor = make_predictor(rates, device.works, table.latency_ms, errors, kind, trees)
    rows = _rows(device, left_out.by_network[device.id], halves, baselines)
    split = SPLIT.format(parts=left_out.folds)
    scorecard = score_models(device.id, split, "rules", CONFIDENCE, rows, notes=_notes(device)).to_dict()
    document = {**scorecard, "families_left_out": families_out.to_dict()}
    document["overall"] = {**scorecard["overall"], "within_20": round(networks_out.within_20, 4)}
    if len(rows) > _MOST_ROWS:
        document["models"] = []
    return outcome, (_card(device, predictor, trees is not None), _rules(device), predictor, document)


def _scores(errors: Matrix, latency_ms: Matrix, halves: Matrix, baselines: dict[str, Matrix]) -> LeftOutScores:
    """Scores of log errors, with half widths of log intervals."""
    predicted = latency_ms * np.exp(-errors)
    return LeftOutScores(
        compute_metrics(predicted.tolist(), latency_ms.tolist()),
        100.0 * float(np.mean(np.abs(predicted / latency_ms - 1.0) <= 0.2)),
        100.0 * float(np.mean(np.abs(errors) <= halves)),
        baseline_metrics(baselines, latency_ms),
    )


def _reasons(scores: LeftOutScores) -> list[str]:
    """Why a device does not ship (rule 3)."""
    overall, baselines, coverage = scores.metrics, scores.baselines, scores.coverage
    found = []
    for name, words in (("flops", "FLOPs alone"), ("roofline", "the roofline")):
        other = baselines.get(name)
        if other is None or other.models < overall.models:
            found.append(f"too few networks are left to compare all with {words}")
        elif overall.mape >= MARGIN * other.mape:
            found.append(
                f"mean error {overall.mape:.1f} % is not below {MARGIN} of that of {words}, {other.mape:.1f} %"
            )
    if coverage < LEAST_COVERAGE:
        found.append(f"intervals of 90 % hold {coverage:.0f} %")
    if overall.mape > MOST_MAPE:
        found.append(f"mean error {overall.mape:.1f} % of networks left out")
    return found


def _half_widths(errors: Errors, explained: Matrix) -> Matrix:
    """Half the log interval of each network, by the errors of all others; what a network's spread is, all decide."""
    base = fit_work_intervals(errors, explained).base
    spreads = np.hypot(explained, base)
    found = []
    for place in range(len(explained)):
        rest = np.arange(len(explained)) != place
        others = Errors(errors.networks[rest], errors.families[rest])
        found.append(conformal_multiplier(others, spreads[rest], CONFIDENCE) * float(spreads[place]))
    return np.array(found)


def _rows(device: PublicDevice, predicted: Matrix, halves: Matrix, baselines: dict[str, Matrix]) -> list[ScoredModel]:
    return [
        ScoredModel(
            m.network,
            m.family,
            m.latency_ms,
            None,
            float(np.exp(log_ms)),
            float(np.exp(log_ms - half)),
            float(np.exp(log_ms + half)),
            0.0,
            {name: float(ms[place]) for name, ms in baselines.items()},
        )
        for place, (m, log_ms, half) in enumerate(zip(device.measurements, predicted, halves, strict=True))
    ]


def _rules(device: PublicDevice) -> dict[str, Any]:
    """The reference to the device's rule set."""
    name = str(device.fingerprint["fusion_rules"])
    info = rule_sets()[name]
    own = {k: v for k, v in device.fingerprint["fusion_parameters"].items() if info.parameters.get(k) != v}
    return referenced_rules(name, own, info.hash_of(own))


def _card(device: PublicDevice, predictor: KernelPredictor, has_trees: bool) -> Card:
    fingerprint = device.fingerprint
    findings = {
        "networks": device.networks,
        "method": "rates by sorts of work, one model of all devices of published tables"
        + (", and trees over those of this device" if has_trees else ""),
        "batches": sorted({m.batch for m in device.measurements}),
    }
    card = make_card(device.measurements, fingerprint, findings, device.id, predictor.vocabulary)
    return replace(card, limits=(*_limits(fingerprint), *card.limits), noise_floor=noise_floor(device))


def _limits(fingerprint: dict[str, Any]) -> list[str]:
    found = []
    if fingerprint.get("quantity") == "fps-inverse":
        found.append("prices are 1000 x batch / throughput of a pipeline or of parallel inferences, not a latency")
    if fingerprint.get("quantity") == "e2e":
        found.append("prices are end to end, with pre- and postprocessing or copies")
    if fingerprint.get("kind") == "cpu" and not fingerprint.get("threads_stated", True):
        words = (fingerprint.get("table") or {}).get("threads")
        told = f"threads are given as '{words}'" if words else "the number of threads is not stated"
        found.append(f"{told} by who published the times")
    found += map(str, fingerprint.get("pitfalls") or ())
    fusion = fingerprint.get("fusion") or {}
    if not fusion.get("known", True):
        found.append(f"fusion rules are not known of this runtime. {fusion.get('reason', '')}".strip())
    return found


def noise_floor(device: PublicDevice) -> dict[str, Any]:
    """How far rows that repeat a network differ; nothing where none does.

    A network is repeated by the same kernels: rows of one name may be of several sizes, or padded in another way.
    """
    last: dict[NetworkWork, float] = {}
    pairs = []
    for m, work in zip(device.measurements, device.works, strict=True):
        if work in last:
            pairs.append((last[work], m.latency_ms))
        last[work] = m.latency_ms
    if not pairs:
        return {}
    metrics = compute_metrics([a for a, _ in pairs], [b for _, b in pairs]).to_dict()
    return {key: metrics[key] for key in ("models", "within_5", "within_10", "mape", "median_error")}


def _notes(device: PublicDevice) -> list[str]:
    return [f"{device.networks} networks of published tables; fewer networks make wider intervals"]
