"""Temporary: static shapes for every tensor."""

from __future__ import annotations

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.graph.stopgap.base import NodeView
from nnmeter.graph.stopgap.common import LIMIT, RULES, VALUES
from nnmeter.graph.stopgap.spatial import RULES as SPATIAL

_ALL = {**RULES, **SPATIAL}


def bind_shapes(model, dims=None, shapes=None):
    dims, shapes = dims or {}, shapes or {}
    types = dict(model.constants)
    values = dict(model.values)
    for item in model.inputs:
        name, dtype, declared = item.name, item.dtype, item.dims
        if name in shapes:
            types[name] = TensorType(dtype, tuple(shapes[name]))
            continue
        sizes = [d if isinstance(d, int) else dims.get(d) for d in declared]
        if None in sizes:
            raise ModelError(f"{model.source}: input '{name}' has free dimensions")
        types[name] = TensorType(dtype, tuple(sizes))
    for node in model.nodes:
        ts = [types[i] if i else None for i in node.inputs]
        vs = [values.get(i) if i else None for i in node.inputs]
        opset = model.opsets.get(node.domain, 1)
        view = NodeView(node, ts, vs, opset, [])
        rule = _ALL.get(node.op_type)
        if rule is None:
            raise ModelError(f"{model.source}: no shape rule for {node.op_type}")
        try:
            outs = rule(view)
        except (TypeError, KeyError, IndexError, ValueError) as e:
            raise ModelError(f"{model.source}: {node.name} {node.op_type}: {e!r}") from e
        for name, t in zip(node.outputs, outs):
            if name:
                types[name] = t
        if node.op_type == "Shape":
            x = ts[0].shape
            values[node.outputs[0]] = np.array(x[node.attributes.get("start", 0) : node.attributes.get("end", len(x))], np.int64)
        elif node.op_type == "Size":
            values[node.outputs[0]] = np.array(ts[0].elements, np.int64)
        elif node.op_type in VALUES and outs[0].elements <= LIMIT and all(v is not None for v, t in zip(vs, ts) if t is not None):
            got = VALUES[node.op_type](view, [v for v in vs if v is not None], outs[0])
            if got is not None:
                values[node.outputs[0]] = np.asarray(got)
    return Graph(model.name, model.nodes, [d.name for d in model.inputs], [d.name for d in model.outputs], types, set(model.constants), values, model.opsets)
