"""The prediction of models: read, bind, detect, price, sum; of one or of many, on one device or several.

Rules:

1. Predictions come in the order of models, then of sizes (`nnmeter.prediction.sweep`), then of devices.
2. A model is read once, bound once for each combination of sizes, and its kernels are detected once for each set of
   fusion rules: devices share them.
3. A prediction calls a model by its path as it was given, or by the name that it has in memory.
4. On one device, a model of parts that were all seen before is put together from what they became
   (`nnmeter.prediction.parts`), which is the same prediction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.devices.refusals import refused_by
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.modules import places_of
from nnmeter.prediction.parameters import parameters_of
from nnmeter.prediction.parts import KnownParts, bytes_of
from nnmeter.prediction.prediction import Prediction
from nnmeter.prediction.pricing import DEFAULT_CONFIDENCE, price_kernels, sum_up
from nnmeter.prediction.session import session_notes, session_of, with_session
from nnmeter.prediction.sweep import bind_each, one_each
from nnmeter.predictor.trained_range import Gap

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.devices.pack import DevicePack
    from nnmeter.errors import ModelError
    from nnmeter.graph.ir import Graph
    from nnmeter.graph.notes import Note
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.predictor.price_columns import PriceColumns

Detect = Callable[["Graph"], list[Kernel]]


class LatencyPredictor:
    """Predicts models on the device of one pack; keeps what it has seen, so that many models cost little.

    Attributes:
        pack: the device pack.
        machine: what the device is to this machine; None where nobody asked.
        parts: what parts of models became.
        known_gaps: what is outside of the trained range of kernels that are.
    """

    def __init__(self, pack: DevicePack, machine: MachineMatch | None = None) -> None:
        """Predict with a pack.

        Args:
            pack: the device pack.
            machine: what it is to this machine, where that is to be said and counted in the interval.
        """
        self.pack = pack
        self.machine = machine
        self.known_gaps: dict[KernelSignature, tuple[Gap, ...]] = {}
        self.parts = KnownParts()

    @property
    def device(self) -> str:
        """Id of the device."""
        return self.pack.id

    @cached_property
    def rules_key(self) -> str:
        """What predictors have in common whose devices execute the same kernels for a model."""
        return self.pack.rules_key

    def predict(
        self,
        model: Any,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        detect: Detect | None = None,
        assume: Mapping[str, Sequence[int]] | None = None,
        values: Mapping[str, Any] | None = None,
        trips: Mapping[str, int] | None = None,
        *,
        sizes: InputSizes = AS_DECLARED,
        name: str | None = None,
    ) -> Prediction:
        """Predict one model.

        Args:
            model: path, bytes, binary file object, `onnx.ModelProto`, `UnboundModel` or `Graph`.
            dims: sizes of free dimensions, added to `sizes.dims`.
            shapes: whole shapes of inputs, added to `sizes.shapes`.
            strict: raise where a kernel is outside of the trained range, instead of guessing.
            confidence: of the interval: 0.5, 0.8, 0.9 or 0.95.
            detect: finds the kernels in place of the pack's fusion rules (for instance by asking the runtime).
            assume: shapes of inner tensors that depend on data, added to `sizes.assume`.
            values: values of inputs that shapes depend on, added to `sizes.values`.
            trips: trip counts of loops that the run decides, added to `sizes.trips`.
            sizes: what the model leaves open, in one object.
            name: what to call the model, in place of its path or of the name in its file.

        Raises:
            ModelError: the model cannot be read, or dimensions remain free.
            CoverageError: `strict`, and a kernel was priced by the fallback or is beyond the sampled sizes.
        """
        given = sizes.updated(dims, shapes, assume, values, trips)
        single = given.updated(dims=one_each(given.dims))
        detectors = None if detect is None else [detect]
        return next(predict_on([self], model, single, strict, confidence, detectors, name))

    def predict_each(
        self,
        model: Any,
        dims: Mapping[str, int | Sequence[int]] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        assume: Mapping[str, Sequence[int]] | None = None,
        values: Mapping[str, Any] | None = None,
        trips: Mapping[str, int] | None = None,
        *,
        sizes: InputSizes = AS_DECLARED,
        name: str | None = None,
    ) -> list[Prediction]:
        """Predict one model for several sizes of its free dimensions; it is read once.

        Args:
            model: as in `predict`.
            dims: a size, or several, by name of the dimension. Of several dimensions with several sizes all
                combinations are predicted, the last dimension changing fastest.
            shapes: as in `predict`, as are the other arguments.
            strict: as in `predict`.
            confidence: as in `predict`.
            assume: as in `predict`.
            values: as in `predict`.
            trips: as in `predict`.
            sizes: as in `predict`; its dimensions may have several sizes, too.
            name: as in `predict`.

        Raises:
            ModelError: as `predict`.
            CoverageError: as `predict`.
        """
        given = sizes.updated(dims, shapes, assume, values, trips)
        return list(predict_on([self], model, given, strict, confidence, name=name))

    def detect(self, graph: Graph) -> list[Kernel]:
        """The kernels that the device executes for a graph, by its fusion rules."""
        from nnmeter.fusion.detect import detect_kernels

        return detect_kernels(graph, self.pack.rules)

    def price(
        self,
        model: str,
        kernels: Sequence[Kernel],
        warnings: Sequence[Note] = (),
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        dims: Mapping[str, int] | None = None,
        path: str | None = None,
        places: Sequence[str] | None = None,
        parameters: Sequence[int] | None = None,
    ) -> Prediction:
        """The prediction for kernels that were detected already; see `predict` and `price_kernels`."""
        priced = price_kernels(self.pack, self.known_gaps, kernels, places, parameters)
        return self.sum_up(model, priced, warnings, strict, confidence, dims, path)

    def sum_up(
        self,
        model: str,
        kernels: tuple[PricedKernel, ...],
        warnings: Sequence[Note] = (),
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        dims: Mapping[str, int] | None = None,
        path: str | None = None,
        prices: PriceColumns | None = None,
        named: Callable[[], tuple[PricedKernel, ...]] | None = None,
    ) -> Prediction:
        """The prediction for kernels that have prices; see `pricing.sum_up`."""
        found = sum_up(self.pack, model, kernels, warnings, strict, confidence, dims, path, prices, named)
        if self.machine is None:
            return found
        from nnmeter.prediction.another_machine import for_machine

        return for_machine(found, self.machine)


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

    return predictor_of(load_pack(device))


def predictor_of(pack: DevicePack) -> LatencyPredictor:
    """The predictor of a pack that was chosen by name, which says what it is to this machine."""
    from nnmeter.devices.identity import match_this_machine

    return LatencyPredictor(pack, match_this_machine(pack.card, named=True))


def predictors_for(devices: Sequence[str | os.PathLike[str] | LatencyPredictor] | None) -> list[LatencyPredictor]:
    """The predictors of several devices: ids, which may be patterns, paths, or predictors; the nearest for None.

    Raises:
        DeviceError: a device is unknown, or its pack is damaged.
    """
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


def predict_on(
    predictors: Sequence[LatencyPredictor],
    model: Any,
    sizes: InputSizes = AS_DECLARED,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    detectors: Sequence[Detect] | None = None,
    name: str | None = None,
    failed: list[ModelError] | None = None,
) -> Iterator[Prediction]:
    """The predictions of one model, by the rules; `detectors` find the kernels of each in place of fusion rules.

    With a list `failed`, a combination of several sizes that the model cannot have is added to it and passed over.
    """
    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    of_parts = len(predictors) == 1 and detectors is None and sizes.says_nothing
    if of_parts:
        found = _put_together(predictors[0], model, path, name, strict, confidence)
        if found is not None:
            yield found
            return
    sizes = with_session(sizes, (predictor.pack.card.runtime for predictor in predictors))
    for unbound, graph, dims in _graphs(model, sizes, name, failed):
        called = name or str(graph.name if path is None else path)
        detected: dict[str, list[Kernel]] = {}
        for number, predictor in enumerate(predictors):
            with paused_collector():
                if detectors is not None:
                    kernels = detectors[number](graph)
                else:
                    key = predictor.rules_key if len(predictors) > 1 else ""
                    known = detected.get(key)
                    kernels = detected[key] = predictor.detect(graph) if known is None else known
                places = places_of(kernels, graph.nodes)
                parameters = parameters_of(kernels, graph)
            card = predictor.pack.card
            session = session_of(unbound, graph, card.runtime)
            notes = (*graph.warnings, *refused_by(card.runtime, card.kind, graph), *session_notes(session))
            priced = price_kernels(predictor.pack, predictor.known_gaps, kernels, places, parameters)
            if of_parts and not notes and session is None and predictor.parts.wants():
                data = bytes_of(model)
                if data is not None:
                    predictor.parts.learn(data, graph, predictor.pack.rules, priced)
            made = predictor.sum_up(called, priced, notes, strict, confidence, dims, path)
            yield made if session is None else replace(made, session=session)


def _put_together(
    predictor: LatencyPredictor, model: Any, path: str | None, name: str | None, strict: bool, confidence: float
) -> Prediction | None:
    """The prediction of a model that is made of known parts (rule 4)."""
    if not predictor.parts:
        return None
    with paused_collector():
        data = bytes_of(model)
        whole = None if data is None else predictor.parts.put_together(data, predictor.pack.rules)
        if whole is None:
            return None
        called = name or path or whole.name
        return predictor.sum_up(called, whole.kernels, (), strict, confidence, {}, path, whole.prices, whole.named)


def _graphs(
    model: Any, sizes: InputSizes, name: str | None, failed: list[ModelError] | None
) -> Iterator[tuple[UnboundModel | None, Graph, dict[str, int]]]:
    """The model, if there is one, with the graphs to predict, and the sizes of each."""
    from nnmeter.formats import read_model
    from nnmeter.graph.ir import Graph

    if isinstance(model, Graph):
        yield None, model, {}
        return
    with paused_collector():
        unbound = read_model(model, name)
    for graph, dims in bind_each(unbound, sizes, failed):
        yield unbound, graph, dims
