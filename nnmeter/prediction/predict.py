"""The prediction of models: read, bind, detect, price, sum; of one or of many, on one device or several.

Rules:

1. Predictions come in the order of models, then of sizes, then of devices.
2. Of several dimensions with several sizes all combinations are predicted, the last dimension changing fastest. A size
   of a dimension that a model does not have makes no difference to it, so that only the first of several is used.
3. A model is read once, bound once for each combination of sizes, and its kernels are detected once for each set of
   fusion rules: devices share them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.errors import CoverageError, NnmeterError
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.prediction import Prediction, PricedKernel
from nnmeter.predictor.trained_range import Gap, find_gaps

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.devices.pack import DevicePack
    from nnmeter.graph.ir import Graph
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.predictor.price import KernelPrice

__all__ = [
    "DEFAULT_CONFIDENCE",
    "LatencyPredictor",
    "Prediction",
    "PricedKernel",
    "load_predictor",
    "predict_many",
    "predict_on",
    "several_sizes",
]

DEFAULT_CONFIDENCE = 0.9

Detect = Callable[["Graph"], list[Kernel]]


class LatencyPredictor:
    """Predicts models on the device of one pack; keeps prices of kernels it has seen, so many models cost little."""

    def __init__(self, pack: DevicePack, machine: MachineMatch | None = None) -> None:
        """Predict with a pack.

        Args:
            pack: the device pack.
            machine: what it is to this machine, where that is to be said and counted in the interval.
        """
        self.pack = pack
        self.machine = machine
        self._gaps: dict[KernelSignature, tuple[Gap, ...]] = {}

    @property
    def device(self) -> str:
        """Id of the device."""
        return self.pack.id

    @cached_property
    def rules_key(self) -> str:
        """What predictors have in common whose devices execute the same kernels for a model."""
        from nnmeter.files import sha256_of

        return sha256_of((self.pack.path / "rules.json").read_bytes())

    def predict(
        self,
        model: Any,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        detect: Callable[[Graph], list[Kernel]] | None = None,
        assume: Mapping[str, Sequence[int]] | None = None,
        values: Mapping[str, Any] | None = None,
        trips: Mapping[str, int] | None = None,
    ) -> Prediction:
        """Predict one model.

        Args:
            model: path, bytes, `onnx.ModelProto`, or a `Graph` that was loaded before.
            dims: values of the dimensions that the model leaves free, by name.
            shapes: whole shapes of inputs, by input name.
            strict: raise where a kernel is outside of the trained range, instead of guessing.
            confidence: of the interval: 0.5, 0.8, 0.9 or 0.95.
            detect: finds the kernels in place of the pack's fusion rules (for instance by asking the runtime).
            assume: shapes of inner tensors that depend on data, by name, in place of the bounds that rules give.
            values: values of inputs that shapes depend on, by input name: numbers, lists of them, or arrays.
            trips: how often a Loop repeats whose trip count the run decides, by the name of its node.

        Raises:
            ModelError: the model cannot be read, or dimensions remain free.
            CoverageError: `strict`, and a kernel was priced by the fallback or is beyond the sampled sizes.
        """
        one = {name: (size,) for name, size in (dims or {}).items()}
        detectors = None if detect is None else [detect]
        found = predict_on([self], model, one, shapes, assume, strict, confidence, detectors, values, trips)
        return next(found)

    def predict_each(
        self,
        model: Any,
        dims: Mapping[str, int | Sequence[int]],
        shapes: Mapping[str, Sequence[int]] | None = None,
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        assume: Mapping[str, Sequence[int]] | None = None,
    ) -> list[Prediction]:
        """Predict one model for several sizes of its free dimensions; it is read once.

        Args:
            model: as in `predict`.
            dims: a size, or several, by name of the dimension. Of several dimensions with several sizes all
                combinations are predicted, the last dimension changing fastest.
            shapes: as in `predict`.
            strict: as in `predict`.
            confidence: as in `predict`.
            assume: as in `predict`.

        Raises:
            ModelError: as `predict`.
            CoverageError: as `predict`.
        """
        return list(predict_on([self], model, several_sizes(dims), shapes, assume, strict, confidence))

    def detect(self, graph: Graph) -> list[Kernel]:
        """The kernels that the device executes for a graph, by its fusion rules."""
        from nnmeter.fusion.detect import detect_kernels

        return detect_kernels(graph, self.pack.rules)

    def price(
        self,
        model: str,
        kernels: Sequence[Kernel],
        warnings: Sequence[str] = (),
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        dims: Mapping[str, int] | None = None,
        from_file: bool = False,
    ) -> Prediction:
        """The prediction for kernels that were detected already; see `predict`.

        `dims` and `from_file` are what the advice needs: the sizes that were given, and whether `model` is a file.
        """
        predictor = self.pack.predictor
        if confidence not in predictor.intervals.multipliers:
            known = ", ".join(str(c) for c in predictor.intervals.multipliers)
            raise NnmeterError(f"confidence {confidence} is not calibrated on '{self.device}'; choose one of {known}")
        with paused_collector():
            prices = [
                price if kernel.count == 1 else price.times(kernel.count)
                for kernel, price in zip(kernels, predictor.price([k.signature for k in kernels]), strict=True)
            ]
            priced = tuple(
                [
                    PricedKernel(
                        k.name, k.type, p.latency_ms, p.source, k.nodes, p.flops, p.bytes, p.distance,
                        self._gaps_of(k.signature, p) if p.distance or p.source != "trained" else (),
                    )
                    for k, p in zip(kernels, prices, strict=True)
                ]
            )  # fmt: skip
        kernel_ms = sum(k.latency_ms for k in priced)
        fallback_ms = sum(k.latency_ms for k in priced if k.source == "fallback")
        fallback = fallback_ms / kernel_ms if kernel_ms else 0.0
        total = kernel_ms + predictor.overhead_ms
        outside = any(k.gaps for k in priced)
        advice: tuple[str, ...] = ()
        if outside:
            from nnmeter.devices.advice import how_to_train

            advice = how_to_train(self.pack, model if from_file else None, dims or {})
        if strict and outside:
            names = sorted({_why(k) for k in priced if k.gaps})
            raise CoverageError(
                f"{model}: outside the trained range on '{self.device}': {', '.join(names)}; predict without --strict "
                f"(--explain says what is missing), or train it: {'; '.join(advice)}"
            )
        prediction = Prediction(
            model,
            self.device,
            total,
            predictor.intervals.interval_ms(total, prices, confidence),
            confidence,
            {"trained": 1.0 - fallback, "fallback": fallback},
            priced,
            predictor.overhead_ms,
            (*warnings, *_coverage_warnings(priced)),
            dict(dims or {}),
            advice,
        )
        if self.machine is None:
            return prediction
        from nnmeter.prediction.another_machine import for_machine

        return for_machine(prediction, self.machine)

    def _gaps_of(self, signature: KernelSignature, price: KernelPrice) -> tuple[Gap, ...]:
        gaps = self._gaps.get(signature)
        if gaps is None:
            gaps = self._gaps[signature] = find_gaps(self.pack.predictor, signature, price)
        return gaps


def _why(kernel: PricedKernel) -> str:
    """A kernel's type and in a word why it is outside."""
    words = {"operator": "no such operator", "element_type": f"not in {kernel.gaps[0].element_type}"}
    return f"{kernel.type} ({words.get(kernel.gaps[0].what, 'size' if kernel.source == 'trained' else 'not measured')})"


def _coverage_warnings(kernels: Sequence[PricedKernel]) -> list[str]:
    warnings = []
    untrained = sorted({k.type for k in kernels if k.source == "fallback"})
    if untrained:
        warnings.append(f"priced by the fallback, no such kernel was measured on this device: {', '.join(untrained)}")
    outside = sorted({k.type for k in kernels if k.source == "trained" and k.gaps})
    if outside:
        warnings.append(f"larger or smaller than what was measured on this device: {', '.join(outside)}")
    return warnings


def load_predictor(device: str | os.PathLike[str] | None = None) -> LatencyPredictor:
    """The predictor of a device pack, by id or path; of the pack nearest to this machine if none is named.

    If the nearest pack is of another machine, its predictions say so (`Prediction.machine`) and their intervals are as
    wide as machines differ.

    Raises:
        DeviceError: the device is unknown, or its pack is damaged.
    """
    return _nearest_predictor() if device is None else _named_predictor(device)


def _nearest_predictor() -> LatencyPredictor:
    from nnmeter.devices import load_pack, nearest_device

    device, match = nearest_device()
    return LatencyPredictor(load_pack(device.path), match)


def _named_predictor(device: str | os.PathLike[str]) -> LatencyPredictor:
    from nnmeter.devices import load_pack
    from nnmeter.devices.identity import match_this_machine

    pack = load_pack(device)
    return LatencyPredictor(pack, match_this_machine(pack.card, named=True))


def predict_many(
    models: Sequence[Any],
    devices: Sequence[str | os.PathLike[str] | LatencyPredictor] | None = None,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    progress: Callable[[int, int], None] | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
) -> list[Prediction]:
    """Predict several models on several devices, in the order of rule 1.

    Args:
        models: what `LatencyPredictor.predict` takes.
        devices: ids (`adreno*` for several, `all` for all that can be found), paths of packs, or predictors; the pack
            nearest to this machine if not given.
        dims: a size, or several, by name of the dimension (rule 2).
        shapes: whole shapes of inputs, by input name.
        assume: shapes of inner tensors that depend on data, by name.
        strict: raise where a kernel is outside of the trained range.
        confidence: of the intervals.
        progress: told how many models are done, and how many there are.
        values: values of inputs that shapes depend on, by input name.
        trips: trip counts of loops that the run decides, by the name of the node.

    Raises:
        ModelError: a model cannot be read, or dimensions remain free.
        DeviceError: a device is unknown, or its pack is damaged.
        CoverageError: `strict`, and a kernel is outside of the trained range.
    """
    predictors = _predictors(devices)
    sizes = several_sizes(dims or {})
    found: list[Prediction] = []
    for done, model in enumerate(models):
        if progress is not None:
            progress(done, len(models))
        found += predict_on(predictors, model, sizes, shapes, assume, strict, confidence, values=values, trips=trips)
    return found


def _predictors(devices: Sequence[str | os.PathLike[str] | LatencyPredictor] | None) -> list[LatencyPredictor]:
    from nnmeter.devices import find_devices

    if devices is None:
        return [_nearest_predictor()]
    predictors: list[LatencyPredictor] = []
    for device in devices:
        if isinstance(device, LatencyPredictor):
            predictors.append(device)
        else:
            predictors += [_named_predictor(info.path) for info in find_devices([device])]
    return predictors


def several_sizes(dims: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The sizes of each dimension as a tuple; what is neither a number nor a list of some is left to binding."""
    return {name: (tuple(sizes) if isinstance(sizes, Sequence) else (sizes,)) for name, sizes in dims.items()}


def predict_on(
    predictors: Sequence[LatencyPredictor],
    model: Any,
    dims: Mapping[str, Sequence[int]],
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    detectors: Sequence[Detect] | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
) -> Iterator[Prediction]:
    """The predictions of one model, by rules 1 to 3; `detectors` find the kernels of each in place of fusion rules."""
    from nnmeter.graph.ir import Graph

    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    bound = [(model, {})] if isinstance(model, Graph) else _bound(model, dims, shapes, assume, values, trips)
    for graph, sizes in bound:
        name = str(graph.name if path is None else path)
        detected: dict[str, list[Kernel]] = {}
        for number, predictor in enumerate(predictors):
            with paused_collector():
                if detectors is not None:
                    kernels = detectors[number](graph)
                else:
                    key = predictor.rules_key if len(predictors) > 1 else ""
                    known = detected.get(key)
                    kernels = detected[key] = predictor.detect(graph) if known is None else known
            yield predictor.price(name, kernels, graph.warnings, strict, confidence, sizes, path is not None)


def _bound(
    model: Any,
    dims: Mapping[str, Sequence[int]],
    shapes: Mapping[str, Sequence[int]] | None,
    assume: Mapping[str, Sequence[int]] | None,
    values: Mapping[str, Any] | None,
    trips: Mapping[str, int] | None,
) -> Iterator[tuple[Graph, dict[str, int]]]:
    """The graph for each combination of sizes, and those that the model has."""
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model

    with paused_collector():
        unbound = read_model(model)
    names = {name for free in unbound.free_dimensions.values() for name in free}
    for sizes in combinations(unbound, dims):
        with paused_collector():
            graph = bind_shapes(unbound, sizes, shapes or {}, assume, values, trips)
        yield graph, {name: size for name, size in sizes.items() if name in names}


def combinations(model: UnboundModel, dims: Mapping[str, Sequence[int]]) -> Iterator[dict[str, int]]:
    """The sizes to bind a model with, one after another (rule 2)."""
    names = {name for free in model.free_dimensions.values() for name in free}
    empty = next((name for name, sizes in dims.items() if not len(sizes)), None)
    if empty is not None:
        raise NnmeterError(f"{model.source}: dimension '{empty}' is given no size; give one or more")
    choices = [tuple(dict.fromkeys(sizes)) if name in names else tuple(sizes)[:1] for name, sizes in dims.items()]
    for chosen in product(*choices):
        yield dict(zip(dims, chosen, strict=True))
