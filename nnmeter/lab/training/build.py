"""Making a device pack from measurements: what `nnmeter train` does.

1. All measurements are of one device: the same core (vendor, family, model, stepping, instructions, name), runtime,
   version, threads and precision. Times are real milliseconds of it; several sessions are brought to one state, and
   that to the one which the clock showed while networks ran (`nnmeter.lab.measuring.clock`).
2. The rules are those that the measurements' kernels were detected with, where their fingerprint names a rule set; else
   those of the runtime (`nnmeter/fusion/rulesets`). A file that a fingerprint names is not read: who has own rules
   gives them. They are set to the measured processor (`nnmeter/fusion/for_machine.py`).
3. The card says what the measurements say of themselves; nothing in it is typed by hand but the id. What it was trained
   on: how many measurements of which granularity, of which families, which operators with which element types, and the
   data set with its licence where the times were published. What it was not: what readers look for and its vocabulary
   lacks.
"""

from __future__ import annotations

import os
import re
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nnmeter.devices.card import Card, is_pack_id
from nnmeter.devices.pack import DevicePack, check_place, save_pack
from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.lab.measuring.clock import ClockState, state_of_clock
from nnmeter.predictor.element_types import precisions_of

if TYPE_CHECKING:
    from nnmeter.kernels.anchor import Kind
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.lab.training.regressors import Regressor
    from nnmeter.lab.training.report import TrainingReport
    from nnmeter.predictor import KernelPredictor

# nnmeter/lab/measuring/protocol.py has the rules.
_UNITS = "every run followed by a run of a reference product, times being ratios to it; medians over runs"
PROTOCOL = f"networks, each warmed up, profiled kernel by kernel, then timed whole; {_UNITS}"
PROTOCOL_OF_WHOLES = f"networks, each warmed up and timed whole; {_UNITS}"
PROTOCOL_OF_PUBLISHED = "times as published, no reference product beside them"
PROTOCOL_OF_PROFILES = "networks as a runtime's own tool timed them"
PROTOCOL_OF_REPORTED = "networks whose times the user took, no reference product beside them"

ENOUGH_OVER_PRIOR = 110  # networks: the fewest that intervals over a prior are checked with (`short_campaigns.py`)
_ANY_RUNTIME = "any"  # of rules that say nothing of a runtime
_MOST_FAMILIES = 60  # that a card lists; of more it gives the number
# What a reader looks for in a card -> operators, or kernel families, any of which is it.
_NOTABLE: dict[str, str] = {
    "products of matrices (MatMul)": "MatMul FusedMatMul",
    "Softmax": "Softmax BiasSoftmax QLinearSoftmax",
    "LayerNormalization": "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization RMSNormalization",
    "recurrent layers": "recurrent",
    "depthwise convolutions": "depthwise_convolution",
    "grouped convolutions": "grouped_convolution",
    "Resize": "resize",
}
_TRANSFORMER = frozenset({"Softmax", "LayerNormalization"})


def build_pack(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    regressor: Regressor = "lightgbm",
    device_id: str | None = None,
    rules: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
    seed: int = 0,
    prior: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
) -> DevicePack:
    """Train a predictor on measurements and save it as a device pack.

    Args:
        sources: measurement files, and directories that `nnmeter profile` wrote; all of one device.
        output: directory of the pack.
        regressor: "lightgbm" or "random-forest".
        device_id: name of the device; made from processor, runtime and threads if not given.
        rules: fusion rules, a file or the name of a rule set; the runtime's own if not given.
        progress: told what is being done, a line at a time.
        seed: decides all that is random in training; the same seed and measurements make the same pack.
        prior: pack of another device to start from, by id or path; of several, the geometric mean of their prices.

    Raises:
        MeasurementError: measurements are missing, damaged, too few, or of several devices.
        DeviceError: the rules are faulty, or `output` is something else than a pack.
    """
    from nnmeter.devices.catalog import load_pack
    from nnmeter.lab.training.paths import with_sampled_paths
    from nnmeter.lab.training.priors import launch_of
    from nnmeter.lab.training.train import fit_predictor

    check_place(output)
    measurements, fingerprint = read_all(sources, progress)
    document = _rules_for(rules, fingerprint)
    named = () if prior is None else (prior,) if isinstance(prior, str | os.PathLike) else tuple(prior)
    start = [load_pack(one) for one in named]
    start_from = mix_packs(start) if start else None
    state = state_of_clock(measurements, by_length=start_from is None or _knows_coldness(start_from))
    measurements = measurements if state is None else state.bring(measurements)
    predictor, report = fit_predictor(
        measurements,
        regressor=regressor,
        seed=seed,
        progress=progress,
        prior=start_from,
        launch=launch_of(str(fingerprint.get("kind", "cpu"))),
    )
    predictor = with_sampled_paths(predictor, (kernel for row in measurements for kernel in row.kernels))
    card = make_card(measurements, fingerprint, report.to_dict(), device_id, predictor.vocabulary, state)
    if start:
        card = replace(card, trained_on={"prior": mixture_id(pack.id for pack in start), **card.trained_on})
        doubt = doubt_of_few(report)
        if doubt:
            card = replace(card, limits=(*card.limits, doubt))
            (progress or (lambda _: None))(f"warning: {doubt}")
    return save_pack(output, card, document, predictor)


def _knows_coldness(predictor: KernelPredictor) -> bool:
    return predictor.factors is not None and predictor.factors.coldness is not None


def doubt_of_few(report: TrainingReport) -> str:
    """What to think of a pack of so few networks over a prior, in a sentence; "" where they are enough."""
    if report.networks >= ENOUGH_OVER_PRIOR:
        return ""
    errors = report.totals
    off = (
        f"left out in turn they are off by {errors.mape:.1f} % in the mean, other networks by more, " if errors else ""
    )
    return (
        f"trained on {report.networks} networks, few even over a prior: {off}and intervals may not hold; profile "
        f"{ENOUGH_OVER_PRIOR} or more, better 500, or calibrate the prior"
    )


def mix_packs(packs: Sequence[DevicePack]) -> KernelPredictor:
    """The predictor that training over these packs starts from.

    Raises:
        DeviceError: one of several was calibrated, or rests on other packs itself.
    """
    from nnmeter.predictor.shares import mix_predictors

    try:
        return mix_predictors([pack.predictor for pack in packs]) if packs[1:] else packs[0].predictor
    except ValueError as fault:
        raise DeviceError(f"{mixture_id(pack.id for pack in packs)}: {fault}") from fault


def mixture_id(ids: Iterable[str]) -> str:
    """What a mixture of packs is called."""
    return " + ".join(ids)


def read_all(
    sources: Sequence[str | os.PathLike[str]], tell: Callable[[str], None] | None = None
) -> tuple[list[Measurement], dict[str, Any]]:
    """The measurements of several sources, in the first one's state of the machine, and their one fingerprint (rule 1).

    Rows with times that their kernels cannot have taken are left out; `tell` is told which.

    Raises:
        MeasurementError: they are of several devices.
    """
    from nnmeter.devices.identity import describe_setting
    from nnmeter.lab.measuring.fingerprint import identity
    from nnmeter.lab.measuring.store import read_measurements
    from nnmeter.lab.measuring.validation import split_outliers

    found: list[Measurement] = []
    fingerprint: dict[str, Any] = {}
    for source in sources:
        rows, own = read_measurements(source)
        if fingerprint and identity(own) != identity(fingerprint):
            named = [describe_setting(one, "an unknown machine") for one in (own, fingerprint)]
            raise MeasurementError(
                f"{source}: measured on another device ({named[0]}) than {sources[0]} ({named[1]}); "
                "take each on its own"
            )
        fingerprint = fingerprint or own
        nominal_ms = found[0].reference_ms if found else None
        found += rows if nominal_ms is None else [row.at_reference(nominal_ms) for row in rows]
    kept, left_out = split_outliers(found)
    if left_out and tell is not None:
        names = ", ".join(row.id for row in left_out[:5])
        tell(f"left out {len(left_out)} of {len(found)} rows, whose times are absurd for their kernels: {names}")
    return kept, fingerprint


def make_card(
    measurements: Sequence[Measurement],
    fingerprint: Mapping[str, Any],
    findings: Mapping[str, Any],
    device_id: str | None = None,
    kinds: Collection[Kind] = (),
    state: ClockState | None = None,
) -> Card:
    """The card of a pack that was trained on `measurements` (rule 3).

    Args:
        measurements: all of one device.
        fingerprint: of the device.
        findings: of the training or calibration, as the card keeps them.
        device_id: name of the device; made from the fingerprint if not given.
        kinds: of kernels that the predictor's vocabulary has.
        state: that the measurements were brought to; one time of the reference for all if not given.
    """
    batches = sorted({m.batch for m in measurements})
    threads = int(fingerprint.get("threads", 1))
    precision = str(fingerprint.get("precision", "float32"))
    published = fingerprint.get("published")
    no_reference = bool(published or fingerprint.get("reported"))
    stated = fingerprint.get("kind", "cpu") == "cpu" and fingerprint.get("threads_stated", True)
    together = f", {threads} thread{'s' if threads > 1 else ''}" if stated else ""
    limits = [
        f"one model at a time{together}; models that run together slow each other",
        limit_of_types(kinds, precision),
        f"measured with batches of {batches[0]} to {batches[-1]}" if len(batches) > 1 else f"batch {batches[0]} only",
        *_missing(kinds),
    ]
    if published:
        protocol = f"{PROTOCOL_OF_PUBLISHED}: {published.get('title')}, {published.get('url')}"
    elif fingerprint.get("profiles"):
        beside = fingerprint.get("reference") or "no reference product beside them"
        protocol = f"{PROTOCOL_OF_PROFILES} ({', '.join(map(str, fingerprint['profiles'].get('tools', ())))}); {beside}"
    elif fingerprint.get("reported"):
        protocol = PROTOCOL_OF_REPORTED
    else:
        protocol = PROTOCOL if any(m.kernel_ms for m in measurements) else PROTOCOL_OF_WHOLES
    return Card(
        id=device_id or default_id(fingerprint),
        hardware=_hardware(fingerprint),
        runtime=str(fingerprint.get("runtime", "onnxruntime")),
        version=str(fingerprint.get("runtime_version", "unknown")),
        threads=threads,
        precision=precision,
        date=str(fingerprint.get("date", "unknown")),
        protocol=protocol,
        noise_floor=_noise_floor(measurements),
        reference_ms=None if no_reference else round(statistics.median(m.reference_ms for m in measurements), 6),
        reference_by_length={} if no_reference or state is None else state.to_dict(),
        fingerprint=fingerprint,
        trained_on={**_trained_on(measurements, fingerprint, kinds), **findings},
        limits=tuple(limits),
    )


def _trained_on(
    measurements: Sequence[Measurement], fingerprint: Mapping[str, Any], kinds: Collection[Kind]
) -> dict[str, Any]:
    """What the predictor was trained on (rule 3)."""
    families = Counter(m.family for m in measurements if m.family)
    found: dict[str, Any] = {}
    if fingerprint.get("published"):
        found["data_set"] = dict(fingerprint["published"])
    found["granularity"] = dict(Counter(m.granularity for m in measurements).most_common())
    found["families"] = dict(families.most_common()) if len(families) <= _MOST_FAMILIES else len(families)
    operators: dict[str, list[str]] = {}
    for kind in sorted(kinds, key=str):
        operators.setdefault(kind.family, []).append(str(kind.anchor))
    if operators:
        found["operators"] = operators
    return found


def limit_of_types(kinds: Collection[Kind], precision: str) -> str:
    """Which element types the vocabulary has, in a sentence (rule 3)."""
    trained = precisions_of(kind.anchor for kind in kinds) or (precision,)
    return f"trained on kernels in {', '.join(trained)}; kernels of other types are priced by the fallback"


def _missing(kinds: Collection[Kind]) -> list[str]:
    """What the vocabulary lacks, in a sentence (rule 3)."""
    if not kinds:
        return []
    known = {kind.family for kind in kinds}
    known |= {kind.anchor.operator.rpartition(".")[2] for kind in kinds}
    missing = [words for words, any_of in _NOTABLE.items() if known.isdisjoint(any_of.split())]
    if not missing:
        return []
    text = f"not in the data: {', '.join(missing)}; such kernels are priced by the fallback and widen the interval"
    return [f"{text}, so that of a transformer is wide" if _TRANSFORMER.issubset(missing) else text]


def default_id(fingerprint: Mapping[str, Any]) -> str:
    """`xeon-8380-onnxruntime1.32-1t` from a fingerprint; the device's own name where it has one.

    A name that names no model, as clouds show it, is told apart by the core's numbers: `epyc-f25m1-...`.
    """
    if is_pack_id(fingerprint.get("device")):
        return str(fingerprint["device"])
    words = re.sub(r"\((r|tm)\)|\b(cpu|processor|intel|amd|core)\b|@", " ", str(fingerprint.get("cpu", "")).lower())
    cpu = re.sub(r"[^a-z0-9.]+", "-", words).strip("-.") or str(fingerprint.get("architecture") or "cpu")
    family, model = fingerprint.get("cpu_family"), fingerprint.get("cpu_model")
    if not re.search(r"\d{3}", cpu) and family and model:
        cpu = f"{cpu}-f{family}m{model}"
    version = ".".join(str(fingerprint.get("runtime_version", "")).split(".")[:2])
    return f"{cpu}-{fingerprint.get('runtime', 'onnxruntime')}{version}-{fingerprint.get('threads', 1)}t"


def _rules_for(rules: str | os.PathLike[str] | None, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The rules of the pack (rule 2)."""
    from nnmeter.fusion.for_machine import rules_for_machine
    from nnmeter.fusion.loading import load_rules, rules_to_dict, with_parameters
    from nnmeter.fusion.ruleset_index import rule_set_named, rule_set_of

    detected = fingerprint.get("fusion_rules") if rules is None else None
    if detected and rule_set_named(detected) is None:
        raise DeviceError(f"kernels were detected with the rules {detected!r:.200}, which do not ship; give --rules")
    named = rules or detected or rule_set_of(str(fingerprint.get("runtime", "onnxruntime"))).id
    loaded = load_rules(named)
    if detected:
        loaded = with_parameters(loaded, **dict(fingerprint.get("fusion_parameters") or {}))
    loaded = rules_for_machine(loaded, str(fingerprint.get("isa", "")))
    if loaded.runtime not in (_ANY_RUNTIME, fingerprint.get("runtime", loaded.runtime)):
        raise DeviceError(f"{named}: rules of {loaded.runtime}, measured was {fingerprint['runtime']}; give its rules")
    return rules_to_dict(loaded)


def _hardware(fingerprint: Mapping[str, Any]) -> str:
    parts = [str(fingerprint.get("cpu") or "unknown CPU")]
    if fingerprint.get("isa"):
        parts.append(str(fingerprint["isa"]))
    if fingerprint.get("cores"):
        parts.append(f"{fingerprint['cores']} logical cores")
    if fingerprint.get("hypervisor"):
        parts.append("virtual machine")
    return ", ".join(parts)


def _noise_floor(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """How far the two interleaved halves of each network's runs differ."""
    from nnmeter.lab.evaluation.metrics import compute_metrics

    whole = [m for m in measurements if m.granularity != "kernel" and min(m.half_ms) > 0]
    if not whole:
        return {}
    metrics = compute_metrics([m.half_ms[0] for m in whole], [m.half_ms[1] for m in whole]).to_dict()
    return {key: metrics[key] for key in ("models", "within_5", "within_10", "mape", "median_error")}
