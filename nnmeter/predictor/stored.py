"""How a predictor is stored: predictor.json and trees.npz of a device pack.

Rules:

1. Reading runs no code, and checks every value once, as it is read (`nnmeter.predictor.checks`).
2. A document of an older schema is brought to this one first (`nnmeter.predictor.older_schemas`).
3. Code paths that were sampled are optional: packs made before do not tell.
4. What was sampled, and the operators of a correction, are stored by anchor and, below it, by family.
5. The predictors of other machines that one rests on are documents within its own; their trees lie behind its own, in
   the order of the shares. Those of `deviations` lie behind the ensembles of the same document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.files import parse_json, read_limited
from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import COMMON_NAMES, FEATURE_NAMES
from nnmeter.limits import MAX_JSON_BYTES, MAX_TREES_BYTES
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.checks import RESTORE, count, damaged, mapping, member, number, numbers, sequence, text
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.kernel_predictor import FALLBACK, LEAST_LAUNCH, KernelPredictor, Share
from nnmeter.predictor.network_factors import NetworkFactors
from nnmeter.predictor.older_schemas import upgraded
from nnmeter.predictor.price_correction import LARGEST_COEFFICIENT, Correction, OperatorCorrection
from nnmeter.predictor.roofline import EVEN, Rates, Roofline
from nnmeter.predictor.shares import MOST_SHARES
from nnmeter.predictor.tree_arrays import read_arrays
from nnmeter.predictor.trees import TreeEnsemble, concatenate_ensembles, split_ensembles
from nnmeter.predictor.vocabulary import LARGEST_LOG_SIZE, RANGE_FEATURES, Sampled
from nnmeter.predictor.work import stored_work

# Since 4 intervals may have a shift, since 5 a predictor may have rates by sorts of work, since 6 learned deviations,
# since 7 factors by network, since 8 those by others of a kernel's kind, since 9 what kernels take in cold caches.
SCHEMA_VERSION = 9
# What a number of a pack can be. Sizes in powers of two are below 64, errors in log space are a few tenths, times are
# milliseconds: far within these, so that no price of a damaged pack is infinite or no number.
_LARGEST_SIGMA, _LARGEST_MS, _MOST_CORRECTIONS = 100.0, 1e9, 16
_LARGEST_RATE = 1e9  # how much cheaper or dearer an operator is than the device's even rates
_LARGEST_CODE = 1e6
_LARGEST_BIAS = 1e3  # of the logarithm of a ratio
_TREES = ("ensembles", "deviations")  # what of a document has trees, in the order in which they lie

T = TypeVar("T")


def write_predictor(predictor: KernelPredictor, directory: Path) -> None:
    """Write predictor.json and trees.npz into an existing directory."""
    parts = [predictor, *(share.predictor for share in predictor.shares)]
    arrays, sizes = concatenate_ensembles(
        {
            f"{number}:{place}:{name}": ensemble
            for number, part in enumerate(parts)
            for place in _TREES
            for name, ensemble in getattr(part, place).items()
        }
    )
    document, *others = (
        _document(
            part,
            {place: {name: sizes[f"{number}:{place}:{name}"] for name in getattr(part, place)} for place in _TREES},
        )
        for number, part in enumerate(parts)
    )
    if others:
        document["shares"] = [
            {"weight": share.weight, "predictor": other} for share, other in zip(predictor.shares, others, strict=True)
        ]
    text_ = json.dumps(document, indent=1, allow_nan=False)
    (directory / "predictor.json").write_text(f"{text_}\n")
    # Before 2.0, NumPy takes every keyword for the name of an array, `allow_pickle` too; its stubs know only later ones
    np.savez_compressed(directory / "trees.npz", **arrays)  # type: ignore[arg-type]


def read_predictor_of(directory: Path) -> KernelPredictor:
    """The predictor that `write_predictor` wrote to a directory; see `read_predictor`."""
    try:
        document = read_limited(directory / "predictor.json", MAX_JSON_BYTES)
        trees = read_limited(directory / "trees.npz", MAX_TREES_BYTES)
    except OSError as error:
        raise DeviceError(f"{directory}: the predictor cannot be read ({error}); {RESTORE}") from error
    return read_predictor(document, trees, str(directory))


def read_predictor(document: bytes, trees: bytes, where: str) -> KernelPredictor:
    """The predictor in the contents of predictor.json and trees.npz; runs no code from them.

    Args:
        document: of predictor.json.
        trees: of trees.npz.
        where: what errors call the pack.

    Raises:
        DeviceError: they are damaged, or of another schema.
    """
    try:
        return _predictor(_content(document), read_arrays(trees))
    except DeviceError as error:
        raise DeviceError(f"{where}: {error}") from None


def _content(document: bytes) -> Mapping[str, Any]:
    """The checked and upgraded document (rule 2)."""
    try:
        parsed = parse_json(document)
    except ValueError as error:
        raise damaged(f"predictor.json is no JSON: {error}") from error
    return _checked(mapping(parsed, "predictor.json"))


def _checked(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document, brought to this schema, if it is of one that is known and of the same features."""
    version = member(content, "schema_version")
    if isinstance(version, bool) or version not in range(1, SCHEMA_VERSION + 1):
        raise DeviceError(
            f"the predictor has schema {version!r:.40}, this nnmeter reads up to {SCHEMA_VERSION}; "
            + ("upgrade nnmeter" if isinstance(version, int) and version > SCHEMA_VERSION else "train the pack anew")
        )
    stored = mapping(member(content, "features"), "features")
    changed = sorted(f for f, names in stored.items() if not _are_known(f, names))
    if changed or member(content, "common_features") != list(COMMON_NAMES):
        raise DeviceError(
            f"the predictor was trained on other features ({', '.join(changed)[:200] or 'common'}); train it anew"
        )
    return upgraded(content, int(version))


def _are_known(family: str, names: Any) -> bool:
    """Whether a family has these features or began with them: those that it gained since, a pack's trees do not see."""
    known = list(FEATURE_NAMES.get(family, ()))
    return isinstance(names, list) and len(names) >= len(COMMON_NAMES) and known[: len(names)] == names


def _document(predictor: KernelPredictor, sizes: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    stored = {
        place: {name: {"sizes": own[name], "bias": getattr(predictor, place)[name].bias} for name in own}
        for place, own in sizes.items()
    }
    document = {
        "schema_version": SCHEMA_VERSION,
        "features": {family: list(FEATURE_NAMES[family]) for family in predictor.ensembles if family != FALLBACK},
        "common_features": list(COMMON_NAMES),
        "roofline": predictor.roofline.to_dict(),
        "anchors": _by_anchor(predictor.vocabulary, _sampled_values),
        "ensembles": stored["ensembles"],
        "fallback_sigma": predictor.fallback_sigma,
        "scale": predictor.scale,
        "per_kernel_ms": predictor.per_kernel_ms,
        "overhead_ms": predictor.overhead_ms,
        "intervals": predictor.intervals.to_dict(),
        "baselines": predictor.baselines.to_dict(),
    }
    if stored["deviations"]:
        document["deviations"] = stored["deviations"]
    if predictor.work is not None:
        document["work"] = predictor.work.to_dict()
    if predictor.factors is not None:
        document["network_factors"] = predictor.factors.to_dict()
    paths = {kind: sampled for kind, sampled in predictor.vocabulary.items() if sampled.paths is not None}
    if paths:
        document["paths"] = _by_anchor(paths, lambda sampled: sorted(sampled.paths or ()))
    if predictor.corrections:
        document["corrections"] = [
            {**correction.to_dict(), "operators": _by_anchor(correction.operators, _operator_values)}
            for correction in predictor.corrections
        ]
    return document


def _predictor(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> KernelPredictor:
    """The predictor of a checked document, and those that it rests on (rule 5)."""
    entries = [mapping(entry, "a share") for entry in sequence(document.get("shares", []), "shares")]
    if len(entries) > MOST_SHARES:
        raise damaged(f"it rests on more than {MOST_SHARES} other predictors")
    others = [_content_of_share(member(entry, "predictor")) for entry in entries]
    ensembles = _ensembles([document, *others], arrays)
    weights = [number(member(entry, "weight"), "weight of a share", 0.0, 1.0) for entry in entries]
    if sum(weights) > 1.0 + 1e-9:
        raise damaged("its shares of other predictors are more than all")
    shares = [
        Share(_with_ensembles(other, *own), weight)
        for other, own, weight in zip(others, ensembles[1:], weights, strict=True)
    ]
    return replace(_with_ensembles(document, *ensembles[0]), shares=tuple(shares))


def _content_of_share(document: Any) -> Mapping[str, Any]:
    """The checked document of a share, which rests on no other and was not calibrated."""
    content = _checked(mapping(document, "the predictor of a share"))
    if content.get("shares") or content.get("corrections"):
        raise damaged("a share rests on further predictors, or was calibrated")
    return content


def _with_ensembles(
    document: Mapping[str, Any], ensembles: dict[str, TreeEnsemble], deviations: dict[str, TreeEnsemble]
) -> KernelPredictor:
    vocabulary = _by_kind(member(document, "anchors"), "anchors", _sampled)
    paths = _by_kind(document.get("paths", {}), "paths", _paths)
    vocabulary = {
        kind: replace(sampled, paths=paths[kind]) if kind in paths else sampled for kind, sampled in vocabulary.items()
    }
    if FALLBACK not in ensembles or any(kind.family not in ensembles for kind in vocabulary):
        raise damaged("an ensemble is missing")
    corrections = sequence(document.get("corrections", []), "corrections")
    if len(corrections) > _MOST_CORRECTIONS:
        raise damaged(f"it was calibrated more than {_MOST_CORRECTIONS} times")
    roofline = Roofline.from_dict(mapping(member(document, "roofline"), "roofline"))
    scale = number(member(document, "scale"), "scale", 0.0, 1e6)
    per_kernel_ms = number(member(document, "per_kernel_ms"), "per_kernel_ms", -_LARGEST_MS, _LARGEST_MS)
    factors = _network_factors(document.get("network_factors"))
    return KernelPredictor(
        roofline,
        vocabulary,
        ensembles,
        number(member(document, "fallback_sigma"), "fallback_sigma", 0.0, _LARGEST_SIGMA),
        IntervalModel.from_dict(mapping(member(document, "intervals"), "intervals")),
        Baselines.from_dict(mapping(member(document, "baselines"), "baselines")),
        scale,
        per_kernel_ms,
        number(member(document, "overhead_ms"), "overhead_ms", 0.0, _LARGEST_MS),
        tuple(map(_correction, corrections)),
        work=stored_work(document.get("work")),
        deviations=deviations,
        factors=factors and factors.unobserved(scale, per_kernel_ms, LEAST_LAUNCH * roofline.launch_ms),
    )


def _network_factors(stored: Any) -> NetworkFactors | None:
    return None if stored is None else NetworkFactors.from_dict(mapping(stored, "network_factors"))


def _ensembles(
    documents: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
) -> list[tuple[dict[str, TreeEnsemble], dict[str, TreeEnsemble]]]:
    """The ensembles of each document and those of its deviations, whose trees lie one after the other (rule 5)."""
    sizes: dict[str, tuple[int, int]] = {}
    biases: dict[str, float] = {}
    places: dict[str, tuple[int, int, str]] = {}
    for number_, document in enumerate(documents):
        entries = [
            mapping(member(document, "ensembles"), "ensembles"),
            mapping(document.get("deviations", {}), "deviations"),
        ]
        for kind, stored in enumerate(entries):
            for name, entry in stored.items():
                if (name != FALLBACK or kind) and name not in FEATURE_NAMES:
                    raise damaged(f"there is no kernel family '{name}'")
                trees, nodes = sequence(member(mapping(entry, name), "sizes"), f"sizes of '{name}'", 2)
                key = f"{number_}:{kind}:{name}"
                places[key] = number_, kind, name
                sizes[key] = count(trees, f"sizes of '{name}'"), count(nodes, f"sizes of '{name}'")
                biases[key] = number(member(entry, "bias"), f"bias of '{name}'", -_LARGEST_BIAS, _LARGEST_BIAS)
    found: list[tuple[dict[str, TreeEnsemble], dict[str, TreeEnsemble]]] = [({}, {}) for _ in documents]
    for key, ensemble in split_ensembles(arrays, sizes, biases).items():
        place, kind, name = places[key]
        ensemble.validate(len(COMMON_NAMES if name == FALLBACK else FEATURE_NAMES[name]))
        found[place][kind][name] = ensemble
    return found


def _by_anchor(entries: Mapping[Kind, T], values: Callable[[T], list[Any]]) -> dict[str, dict[str, list[Any]]]:
    """Entries as they are stored (rule 3)."""
    found: dict[str, dict[str, list[Any]]] = {}
    for kind in sorted(entries, key=lambda kind: (kind.anchor, kind.family)):
        found.setdefault(str(kind.anchor), {})[kind.family] = values(entries[kind])
    return found


def _by_kind(stored: Any, place: str, read: Callable[[Any, str], T]) -> dict[Kind, T]:
    """What `_by_anchor` wrote."""
    found: dict[Kind, T] = {}
    for name, families in mapping(stored, place).items():
        anchor = _anchor(name, place)
        for family, values in mapping(families, name).items():
            if family not in FEATURE_NAMES:
                raise damaged(f"there is no kernel family '{family}'")
            found[Kind(family, anchor)] = read(values, f"{name} in '{place}'")
    return found


def _anchor(name: str, place: str) -> Anchor:
    try:
        return Anchor.parse(name)
    except ValueError as fault:
        raise damaged(f"{place}: {fault}") from None


def _sampled_values(sampled: Sampled) -> list[Any]:
    ranges = [[limit if isfinite(limit) else None for limit in limits] for limits in (sampled.low, sampled.high)]
    rates = [] if sampled.rates == EVEN else [list(sampled.rates)]
    return [sampled.code, sampled.count, sampled.sigma, *ranges, *rates]


def _sampled(values: Any, place: str) -> Sampled:
    code, kernels, sigma, low, high, *rates = sequence(values, place, 5, 6)
    return Sampled(
        number(code, place, -_LARGEST_CODE, _LARGEST_CODE),
        count(kernels, place),
        number(sigma, place, 0.0, _LARGEST_SIGMA),
        _limits(low, place, -inf),
        _limits(high, place, inf),
        _rates(rates[0]) if rates else EVEN,
    )


def _paths(values: Any, place: str) -> frozenset[str]:
    return frozenset(text(path, place) for path in sequence(values, place))


def _limits(values: Any, place: str, unknown: float) -> tuple[float, ...]:
    """One end of a sampled range; null where it is not known."""
    return tuple(
        unknown if value is None else number(value, place, -LARGEST_LOG_SIZE, LARGEST_LOG_SIZE)
        for value in sequence(values, f"the sampled range of {place}", len(RANGE_FEATURES))
    )


def _rates(values: Any) -> Rates:
    flops, moved, launch = numbers(values, "the rates of an operator", 3, 0.0, _LARGEST_RATE)
    return flops, moved, launch


def _correction(stored: Any) -> Correction:
    data = mapping(stored, "a correction")
    return Correction.from_dict(data, _by_kind(member(data, "operators"), "corrections", _operator))


def _operator_values(operator: OperatorCorrection) -> list[Any]:
    return [
        operator.offset,
        operator.sigma,
        int(operator.learned),
        "" if operator.alias is None else str(operator.alias),
    ]


def _operator(values: Any, place: str) -> OperatorCorrection:
    offset, sigma, learned, alias = sequence(values, place, 4)
    return OperatorCorrection(
        number(offset, place, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT),
        number(sigma, place, 0.0, LARGEST_COEFFICIENT),
        bool(number(learned, place, 0, 1)),
        _anchor(alias, place) if text(alias, place) else None,
    )
