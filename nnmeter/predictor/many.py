"""Predictions of many: models, sizes of their free dimensions, and devices.

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
from itertools import product
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.errors import NnmeterError
from nnmeter.kernels.kernel import Kernel
from nnmeter.predictor.latency import DEFAULT_CONFIDENCE, LatencyPredictor
from nnmeter.predictor.prediction import Prediction

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph
    from nnmeter.graph.unbound import UnboundModel

Detect = Callable[["Graph"], list[Kernel]]


def predict_many(
    models: Sequence[Any],
    devices: Sequence[str | os.PathLike[str] | LatencyPredictor] | None = None,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    progress: Callable[[int, int], None] | None = None,
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
        found += predict_on(predictors, model, sizes, shapes, assume, strict, confidence)
    return found


def _predictors(devices: Sequence[str | os.PathLike[str] | LatencyPredictor] | None) -> list[LatencyPredictor]:
    from nnmeter.devices import find_devices, load_pack, nearest_device

    if devices is None:
        return [LatencyPredictor(load_pack(nearest_device()[0].path))]
    predictors: list[LatencyPredictor] = []
    for device in devices:
        if isinstance(device, LatencyPredictor):
            predictors.append(device)
        else:
            predictors += [LatencyPredictor(load_pack(info.path)) for info in find_devices([device])]
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
) -> Iterator[Prediction]:
    """The predictions of one model, by rules 1 to 3; `detectors` find the kernels of each in place of fusion rules."""
    from nnmeter.graph.ir import Graph

    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    for graph, sizes in [(model, {})] if isinstance(model, Graph) else _bound(model, dims, shapes, assume):
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
) -> Iterator[tuple[Graph, dict[str, int]]]:
    """The graph for each combination of sizes, and those that the model has."""
    from nnmeter.formats import read_model
    from nnmeter.graph.binding import bind_shapes

    with paused_collector():
        unbound = read_model(model)
    names = {name for free in unbound.free_dimensions.values() for name in free}
    for sizes in combinations(unbound, dims):
        with paused_collector():
            graph = bind_shapes(unbound, sizes, shapes or {}, assume)
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
