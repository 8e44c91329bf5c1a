"""Asks runtimes what they do not run, operator by operator.

    python benchmarks/runtime_refusals.py > nnmeter/devices/refused/onnxruntime_cpu.json
    python benchmarks/runtime_refusals.py --runtime openvino > nnmeter/devices/refused/openvino_cpu.json

Of ONNX Runtime's CPU provider: which element types it has no kernel for.

For each operator of ai.onnx and each element type that the standard allows its first input, a model of one node is
made; a type is refused where a session says that it found no implementation. Models that fail otherwise say nothing.

Of OpenVINO: which operators it has no translator for. It is given the models of one node of ONNX's suite
(`onnx_suite.py`); an operator is refused where it converts none of them.
"""

from __future__ import annotations

import json
from typing import Any

import click
import onnx
import onnxruntime
from onnx import TensorProto, defs, helper

OPSET = 21
_TYPES: dict[str, int] = {
    "bfloat16": TensorProto.BFLOAT16, "float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16, "int32": TensorProto.INT32, "uint32": TensorProto.UINT32, "int64": TensorProto.INT64,
    "uint64": TensorProto.UINT64, "bool": TensorProto.BOOL,
}  # fmt: skip
_ONNX = {"double": "float64", "float": "float32"}
# Forms of operators that a session or its first run refused, tried one by one.
FORMS: list[dict[str, Any]] = [
    {"operators": ["LSTM", "GRU", "RNN"], "where": {"layout": 1}, "why": "layout 1 is not implemented"},
    {"operators": ["Resize"], "where": {"mode": "nearest", "antialias": 1}, "why": "antialias is of linear and cubic"},
    {"operators": ["Resize"], "where": {"mode": "cubic"}, "ranks": [1, 2, 3, 5, 6, 7, 8],
     "why": "cubic is of rank 4"},
    {"operators": ["Resize"], "where": {"mode": "linear"}, "ranks": [6, 7, 8], "why": "linear is of rank 5 at most"},
    {"operators": ["Resize"], "where": {"mode": "linear"}, "kept_axes": [[0, 1], [0, -1]], "from_rank": 4,
     "why": "linear scales spatial axes only"},
    {"operators": ["Resize"], "where": {"mode": "cubic"}, "kept_axes": [[0, 1], [0, -1]], "from_rank": 4,
     "why": "cubic scales spatial axes only"},
]  # fmt: skip
_EXAMPLES: dict[str, Any] = {"INTS": [1, 1], "STRING": "ij->ij", "FLOAT": 1.0}  # of attributes that must be there
_SKIPPED = frozenset({"If", "Loop", "Scan", "SequenceMap", "Constant"})


def refused(op_type: str) -> list[str]:
    """Element types of its first input that an operator has no kernel for."""
    schema = defs.get_schema(op_type, OPSET, "")
    if not schema.inputs or schema.deprecated:
        return []
    names = [item.type_str for item in schema.inputs[: max(schema.min_input, 1)]]
    allowed = {c.type_param_str: {t[7:-1] for t in c.allowed_type_strs} for c in schema.type_constraints}
    found = []
    for stored in sorted(allowed.get(names[0], ())):
        dtype = _ONNX.get(stored, stored)
        if dtype in _TYPES and _no_kernel(schema, names, allowed, dtype):
            found.append(dtype)
    known = [t for t in allowed.get(names[0], ()) if _ONNX.get(t, t) in _TYPES]
    return found if len(found) < len(known) else []  # where none is taken, it may be the model that is at fault


def _usual(dtype: str) -> tuple[int, str]:
    """Types that every operator takes for its other inputs come first."""
    return {"float32": 0, "int64": 1, "bool": 2}.get(dtype, 3), dtype


def _no_kernel(schema: defs.OpSchema, names: list[str], allowed: dict[str, set[str]], dtype: str) -> bool:
    kinds = []
    for name in names:
        own = {_ONNX.get(t, t) for t in allowed.get(name, {name[7:-1]})} & _TYPES.keys()
        kinds.append(_TYPES[dtype] if name == names[0] else _TYPES[min(own, key=_usual)] if own else TensorProto.FLOAT)
    attributes: dict[str, Any] = {}
    for name, attribute in schema.attributes.items():
        if attribute.required:
            attributes[name] = _EXAMPLES.get(str(attribute.type).rpartition(".")[2], 1)
    inputs = [f"x{i}" for i in range(len(kinds))]
    node = helper.make_node(schema.name, inputs, ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(inputs, kinds, strict=True)],
        [onnx.ValueInfoProto(name="y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as fault:  # the binding has no base class of its own
        return "Could not find an implementation" in str(fault)
    return False


_OPENVINO_FORMS: list[dict[str, Any]] = [
    {"operators": ["Dropout"], "where": {"training": 1}, "why": "training mode is not supported"},
    {"operators": ["Pad"], "where": {"mode": "wrap"}, "why": "the padding mode wrap is not supported"},
    {"operators": ["Resize"], "where": {"coordinate_transformation_mode": "half_pixel_symmetric"},
     "why": "coordinates of half_pixel_symmetric are not supported"},
]  # fmt: skip


def not_translated() -> list[str]:
    """Operators of ai.onnx of which OpenVINO converts no model of ONNX's suite."""
    import openvino
    from onnx_suite import cases

    core = openvino.Core()
    converted: dict[str, bool] = {}
    for case in cases(("node",)):
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type not in _SKIPPED:
            op_type = nodes[0].op_type
            if not converted.get(op_type):
                converted[op_type] = _reads(core, case.model)
    return sorted(op_type for op_type, read in converted.items() if not read)


def _reads(core: Any, model: onnx.ModelProto) -> bool:
    try:
        core.read_model(model.SerializeToString())
    except RuntimeError:
        return False
    return True


def _print_openvino() -> None:
    from importlib.metadata import version

    table = {
        "runtime": "openvino",
        "version": ".".join(version("openvino").split(".")[:2]),
        "source": "read_model on the models of ONNX's suite (benchmarks/runtime_refusals.py)",
        "element_types": {},
        "operators": dict.fromkeys(not_translated(), "OpenVINO has no translator for it"),
        "forms": _OPENVINO_FORMS,
    }
    click.echo(json.dumps(table, indent=1))


@click.command()
@click.option("--runtime", type=click.Choice(["onnxruntime", "openvino"]), default="onnxruntime", show_default=True)
def main(runtime: str) -> None:
    """Print the table."""
    if runtime == "openvino":
        _print_openvino()
        return
    onnxruntime.set_default_logger_severity(4)
    latest = {s.name for s in defs.get_all_schemas() if s.domain == ""}
    table = {op: types for op in sorted(latest - _SKIPPED) if (types := _safely(op))}
    version = ".".join(onnxruntime.__version__.split(".")[:2])
    forms = ",\n".join(f"  {json.dumps(form)}" for form in FORMS)
    body = ",\n".join(f'  "{op}": {json.dumps(types)}' for op, types in table.items())
    head = f'{{\n "runtime": "onnxruntime",\n "version": "{version}",\n'
    click.echo(f'{head} "element_types": {{\n{body}\n }},\n "forms": [\n{forms}\n ]\n}}')


def _safely(op_type: str) -> list[str]:
    try:
        return refused(op_type)
    except defs.SchemaError:
        return []


if __name__ == "__main__":
    main()
