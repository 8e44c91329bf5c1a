"""The calls that a Python user makes first: predict a model, or take one step of a prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Graph

if TYPE_CHECKING:
    from nnmeter.advice.advice import Advised
    from nnmeter.advice.sweep import Sweep
    from nnmeter.advice.what_if import WhatIf
    from nnmeter.comparison.comparison import Comparison
    from nnmeter.devices import DevicePack
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.kernels.kernel import Kernel
    from nnmeter.memory.memory import MemoryPrediction
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.sparsity.sparsity import SparsityPrediction
    from nnmeter.transforms import Transform


def predict(
    model: Any,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    strict: bool = False,
    confidence: float = 0.9,
    name: str | None = None,
    example_inputs: Any = None,
    example_kwargs: Mapping[str, Any] | None = None,
) -> Prediction:
    """Predict how long a model takes on a device.

    It reads the device's pack each time; for many models take `load_predictor` once, or `predict_many`.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, `UnboundModel` or `Graph`; or, of torch, a module, a
            `torch.export.ExportedProgram`, a `torch.onnx.ONNXProgram` or an `onnx_ir.Model`.
        device: id or path of a device pack, the pack, or a predictor; the pack nearest to this machine if not given.
        dims: sizes of the dimensions that the model leaves free, by name.
        shapes: whole shapes of inputs, by input name.
        assume: shapes of inner tensors that depend on data, by name, in place of the bounds that rules give.
        values: values of inputs that shapes depend on, by input name: numbers, lists of them, or arrays.
        trips: how often a Loop repeats whose trip count the run decides, by the name of its node.
        sizes: all of these in one object; what is given beside it comes first.
        strict: raise where a kernel is outside of the trained range, instead of guessing.
        confidence: of the interval: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path or of the name in its file.
        example_inputs: what the model is called with: a tensor, a tuple of the positional arguments, or a mapping of
            the keyword arguments. A module of torch needs them; of any other model they bind the free dimensions.
        example_kwargs: keyword arguments beside them.

    Returns:
        The prediction: time and interval in milliseconds, and every kernel with its price.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
        CoverageError: `strict`, and a kernel is outside of the trained range.
    """
    predictor = _predictor(device)
    model, bound = _called_with(model, example_inputs, example_kwargs, name)
    given = sizes.updated({**bound, **(dims or {})}, shapes, assume, values, trips)
    return predictor.predict(model, strict=strict, confidence=confidence, sizes=given, name=name)


def _called_with(
    model: Any, example_inputs: Any, example_kwargs: Mapping[str, Any] | None, name: str | None
) -> tuple[Any, Mapping[str, int]]:
    """The model, read where examples say something of it, and the sizes of free dimensions that they bind."""
    from nnmeter.formats import read_model
    from nnmeter.formats.examples import bind_examples, examples_of
    from nnmeter.formats.torch_models import kind_of, own_examples

    kind = kind_of(model)
    examples = examples_of(example_inputs, example_kwargs) or own_examples(model, kind)
    if examples is None and kind is None:
        return model, {}
    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    unbound = read_model(model, name or path, examples)
    return unbound, bind_examples(unbound, examples) if examples is not None and unbound.free_dimensions else {}


def compare(
    before: Any,
    after: Any,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
) -> Comparison:
    """Compare two models: which is faster, by how much, how sure that is, and which kernels make the difference.

    Errors are shared by what both have, so that the difference is known far better than either time. Predictions
    compare one model on two devices, or at two sizes: `compare(predict(m, "a"), predict(m, "b"))`.

    Args:
        before: what `predict` takes, a `Prediction`, or the path of one that was saved as JSON.
        after: the same.
        device: as in `predict`; where it is not given, that of the prediction, if one of the two is one.
        sizes: what the models leave open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.

    Raises:
        ModelError: a model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
        NnmeterError: intervals of this confidence are not calibrated.
    """
    from nnmeter.comparison.comparison import compare_predictions
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.saved import is_saved_prediction, read_prediction

    def known(subject: Any) -> Any:
        saved = isinstance(subject, str | os.PathLike) and is_saved_prediction(subject)
        return read_prediction(subject) if saved else subject

    first, second = known(before), known(after)
    predicted = [subject for subject in (first, second) if isinstance(subject, Prediction)]
    if len(predicted) < 2:
        predictor = _predictor(predicted[0].device if device is None and predicted else device)
        first, second = (
            s if isinstance(s, Prediction) else predictor.predict(s, sizes=sizes, confidence=confidence)
            for s in (first, second)
        )
    return compare_predictions(first, second, confidence)


def what_if(
    model: Any,
    transforms: Sequence[Transform],
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
) -> WhatIf:
    """What a model would take if it were changed: the prediction before, and after each transform.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`; weights are not needed.
        transforms: what is to be done, in order: `nnmeter.transforms` has them.
        device: as in `predict`.
        sizes: what the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path or of the name in its file.

    Raises:
        TransformError: a transform cannot be done; the message says why.
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.advice import what_if as module

    return module.what_if(model, transforms, [_predictor(device)], sizes, confidence, name)[0]


def sweep(
    model: Any,
    axes: Mapping[str, Sequence[int]],
    devices: Sequence[str | os.PathLike[str] | DevicePack | LatencyPredictor] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
) -> Sweep:
    """Predict a model over a range of sizes, on one device or several, with the throughput beside each latency.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        axes: the sizes of `batch`, `resolution`, `sequence`, which a file may fix, or of free dimensions, by name; all
            combinations are predicted.
        devices: each as in `predict`; the pack nearest to this machine if not given.
        sizes: what else the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path or of the name in its file.

    Raises:
        NnmeterError: an axis has no sizes, or there are too many combinations.
        ModelError: the model cannot be read, or it takes none of the sizes.
        DeviceError: a device is unknown, or its pack is damaged.
    """
    from nnmeter.advice import sweep as module

    predictors = [_predictor(device) for device in devices] if devices else [_predictor(None)]
    return module.sweep(model, axes, predictors, sizes, confidence, name)


def advise(
    model: Any,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
) -> Advised:
    """Try changes of a model and give those that make it faster on a device, with the gain of the whole model.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`; weights are not needed.
        device: as in `predict`.
        sizes: what the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path or of the name in its file.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.advice import advice as module

    return module.advise(model, _predictor(device), sizes, confidence, name)


def predict_memory(
    model: Any,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    name: str | None = None,
) -> MemoryPrediction:
    """Predict how much memory a model takes on a device while it runs, and what holds it at the peak.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, `UnboundModel` or `Graph`.
        device: id or path of a device pack, the pack, or a predictor; the pack nearest to this machine if not given.
        sizes: what the model leaves open.
        name: what to call the model, in place of its path or of the name in its file.

    Returns:
        Sizes in bytes: the peak and its parts, what is live while each kernel runs, and the tensors held at the peak.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.memory.memory import predict_memory_on

    return next(predict_memory_on(_predictor(device).pack, model, sizes, name))


def predict_sparsity(
    model: Any,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    read_weights: bool = False,
    zeros: Mapping[str, str] | None = None,
    sizes: InputSizes = AS_DECLARED,
    name: str | None = None,
    sparse_kernels: str | os.PathLike[str] | None = None,
) -> SparsityPrediction:
    """What the zeros of a model's weights bring on a device: what can be removed, and what is executed all the same.

    Args:
        model: path, bytes or `onnx.ModelProto`; what `predict` takes where weights are not read.
        device: as in `predict`.
        read_weights: read the weights, and count their zeros.
        zeros: zeros to assume, by name of the layer (`*` for several): `0.8`, `2:4`, `4x4:0.8`, `channels:0.5`.
        sizes: what the model leaves open, one size for each dimension.
        name: what to call the model, in place of its path or of the name in its file.
        sparse_kernels: folder of a pack of sparse kernels, to hold the products of the model against.

    Returns:
        The prediction before and after, the kernels with their zeros, and the layers that lose channels.

    Raises:
        ModelError: the model or its weights cannot be read, or dimensions remain free.
        NnmeterError: nothing says which weights are zero, or what says it is wrong.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.sparsity.measured import read_sparse_kernels
    from nnmeter.sparsity.sparsity import predict_sparsity_on

    sparse = None if sparse_kernels is None else read_sparse_kernels(sparse_kernels)
    return predict_sparsity_on([_predictor(device)], model, read_weights, zeros, sizes, name, sparse)[0]


def _predictor(device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None) -> LatencyPredictor:
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor, load_predictor, predictor_of

    if isinstance(device, LatencyPredictor):
        return device
    return predictor_of(device) if isinstance(device, DevicePack) else load_predictor(device)


def load_model(
    source: Any,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    name: str | None = None,
) -> Graph:
    """Read a model and determine the shape of every tensor; weights are not read.

    Args:
        source: path, bytes, binary file object, `onnx.ModelProto`, or what `read_model` returned.
        dims: sizes of the dimensions that the model leaves free, by name.
        shapes: whole shapes of inputs, by input name.
        assume: shapes of inner tensors that depend on data, by name, in place of the bounds that rules give.
        values: values of inputs that shapes depend on, by input name: numbers, lists of them, or arrays.
        trips: how often a Loop repeats whose trip count the run decides, by the name of its node.
        sizes: all of these in one object; what is given beside it comes first.
        name: what to call the model, in place of the stem of its path or of the name in its file.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
    """
    from nnmeter.binding.bind import bind_shapes

    return bind_shapes(read_model(source, name), sizes.updated(dims, shapes, assume, values, trips))


def read_model(
    source: Any,
    name: str | None = None,
    *,
    example_inputs: Any = None,
    example_kwargs: Mapping[str, Any] | None = None,
) -> UnboundModel:
    """Read a model as its file states it, its dimensions possibly free; `load_model` and `predict` take the result.

    Args:
        source: path, bytes, binary file object or `onnx.ModelProto`; or what else `predict` takes.
        name: what to call the model, in place of the stem of its path or of the name in its file.
        example_inputs: what a module of torch is called with, as in `predict`.
        example_kwargs: keyword arguments beside them.

    Raises:
        ModelError: it cannot be read as a model.
    """
    from nnmeter import formats
    from nnmeter.formats.examples import examples_of

    return formats.read_model(source, name, examples_of(example_inputs, example_kwargs))


def detect_kernels(
    model: Any, device: str | os.PathLike[str] | DevicePack, sizes: InputSizes = AS_DECLARED
) -> list[Kernel]:
    """The kernels that a device's runtime executes for a model, by the fusion rules of its pack.

    Args:
        model: a graph of `load_model`, or what `load_model` reads.
        device: id or path of a device pack, or the pack.
        sizes: what the model leaves open; nothing for a graph.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.devices import DevicePack, load_pack
    from nnmeter.fusion import detect

    pack = device if isinstance(device, DevicePack) else load_pack(device)
    graph = model if isinstance(model, Graph) else load_model(model, sizes=sizes)
    return detect.detect_kernels(graph, pack.rules)
