"""The steps of a prediction as single calls, for those who want one of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.graph.ir import Graph

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.kernels.kernel import Kernel


def load_model(
    source: Any,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
) -> Graph:
    """Read a model and determine the shape of every tensor; weights are not read.

    Args:
        source: path, bytes or `onnx.ModelProto`.
        dims: values of the dimensions that the model leaves free, by name.
        shapes: whole shapes of inputs, by input name.
        assume: shapes of inner tensors that depend on data, by name, in place of the bounds that rules give.
        values: values of inputs that shapes depend on, by input name: numbers, lists of them, or arrays.
        trips: how often a Loop repeats whose trip count the run decides, by the name of its node.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
    """
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model

    return bind_shapes(read_model(source), dims or {}, shapes or {}, assume, values, trips)


def detect_kernels(model: Any, device: str | os.PathLike[str] | DevicePack) -> list[Kernel]:
    """The kernels that a device's runtime executes for a model, by the fusion rules of its pack.

    Args:
        model: a graph of `load_model`, or what `load_model` reads when no dimension is free.
        device: id or path of a device pack, or the pack.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.devices import DevicePack, load_pack
    from nnmeter.fusion import detect

    pack = device if isinstance(device, DevicePack) else load_pack(device)
    graph = model if isinstance(model, Graph) else load_model(model)
    return detect.detect_kernels(graph, pack.rules)
