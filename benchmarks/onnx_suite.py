"""ONNX's own test models: how many are read, detected and priced, and whether our shapes are the runtime's.

    python benchmarks/onnx_suite.py [--device ID_OR_PATH] [--zoo FOLDER] [--only TEXT] [--compare/--no-compare]

Rules:
1. The suite is what the installed `onnx` carries: the node tests that it generates, and the simple, light, converted
   PyTorch and PyTorch operator models in its data folder. No network and no file outside of the package is used.
2. A model passes if it is read, bound, detected and priced with every kernel above zero. Free dimensions, sequences and
   optionals get the shapes of the test's own inputs. One whose shapes depend on the value of an input is given the
   values of its small inputs, as a user would be asked to; the report says how many need them.
3. A refusal is counted by its reason; anything but an `NnmeterError` is a traceback and fails the benchmark.
4. Shapes and element types are compared on every tensor that both sides know, small inputs given as values. The other
   side is ONNX Runtime without
   optimization, which runs the model with the test's inputs and returns every tensor of the main graph; where it cannot
   run the model, the test's expected outputs take its place.
5. A tensor whose size depends on data may be smaller there than here; it is counted as bounded, if a warning says so.
6. Networks of the zoo have no weights: they are drawn at random, and the types are those that ONNX Runtime infers when
   it is asked to return every tensor; those whose sizes it does not infer are passed over.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from onnx import numpy_helper

import nnmeter
from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.dtypes import DTYPE_OF_CODE
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph, TensorType

KINDS = ("node", "simple", "light", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True, slots=True)
class Case:
    """One model of the suite, with the values of its inputs and the outputs that the suite expects, if it has any."""

    kind: str
    name: str
    model: onnx.ModelProto
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()


@dataclass(slots=True)
class Tally:
    """What the run of a suite found; the first three count by kind of test."""

    models: Counter[str] = field(default_factory=Counter)
    priced: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    mismatches: list[str] = field(default_factory=list)
    bounded: list[str] = field(default_factory=list)
    by_expected: int = 0
    with_values: int = 0


def cases(kinds: Sequence[str] = KINDS) -> Iterator[Case]:
    """Every model of the suite (rule 1)."""
    from onnx.backend.test import loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in kinds:
            if kind == "light":
                for path in sorted(Path(loader.DATA_DIR, "light").glob("*.onnx")):
                    yield Case(kind, path.stem, onnx.load(path))
                continue
            for test in sorted(loader.load_model_tests(kind=kind), key=lambda t: t.name):
                if test.model is not None:
                    inputs, outputs = (test.data_sets or [((), ())])[0]
                    yield Case(kind, test.name, test.model, inputs, outputs)
                elif test.model_dir:
                    model = onnx.load(os.path.join(test.model_dir, "model.onnx"))
                    given = [d for d in model.graph.input if d.name not in {t.name for t in model.graph.initializer}]
                    folder = Path(test.model_dir, "test_data_set_0")
                    read = [
                        [
                            _stored(folder / f"{side}_{index}.pb", declared)
                            for index, declared in enumerate(declared_all)
                        ]
                        for side, declared_all in (("input", given), ("output", model.graph.output))
                    ]
                    yield Case(kind, test.name, model, *read)


def _stored(path: Path, declared: onnx.ValueInfoProto) -> Any:
    """A value that a test keeps in a file; None where there is no such file."""
    if not path.exists():
        return None
    content = path.read_bytes()
    kind = declared.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def given_inputs(case: Case) -> dict[str, Any]:
    """The test's values by the name of their input."""
    stored = {t.name for t in case.model.graph.initializer}
    names = [d.name for d in case.model.graph.input if d.name not in stored]
    given = {name: value for name, value in zip(names, case.inputs, strict=False) if value is not None}
    return {name: np.asarray(v) if isinstance(v, np.generic) else v for name, v in given.items()}


def shapes_for(case: Case) -> dict[str, Any]:
    """Shapes of the inputs that the model leaves open, as the test's values have them (rule 2)."""
    values = given_inputs(case)
    shapes = {}
    for declared in read_model(case.model).inputs:
        static = declared.static is not None and not declared.container
        if not static and declared.name in values:
            shapes[declared.name] = _shape_of(values[declared.name])
    return shapes


def values_for(case: Case) -> dict[str, Any]:
    """The values of inputs that are small numbers, which shapes may depend on (rules 2 and 4)."""
    found = {}
    for name, value in given_inputs(case).items():
        if isinstance(value, np.ndarray) and value.size <= 64:
            array = value.astype(np.float32) if value.dtype.name == "bfloat16" else value
            if array.dtype.kind in "biuf":
                found[name] = array
    return found


def _shape_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_shape_of(element) for element in value] or (0,)
    if isinstance(value, dict):
        return (len(value),)
    if isinstance(value, onnx.TensorProto):
        return tuple(value.dims)
    return tuple(np.shape(value))


def check_case(case: Case, predictor: nnmeter.LatencyPredictor, values: Mapping[str, Any] | None = None) -> Graph:
    """Read, bind, detect and price one model.

    Raises:
        NnmeterError: it is refused, or a kernel is priced at zero.
    """
    graph = bind_shapes(read_model(case.model), InputSizes(shapes=shapes_for(case), values=values or {}))
    prediction = predictor.predict(graph)
    free = [kernel.name for kernel in prediction.kernels if not kernel.latency_ms > 0]
    if free:
        raise nnmeter.ModelError(f"{case.name}: kernel '{free[0]}' is priced at zero")
    return graph


def runtime_values(case: Case) -> dict[str, Any] | None:
    """Every tensor of the main graph as ONNX Runtime computes it; None where it cannot run the model (rule 4)."""
    import onnxruntime as ort

    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    known = {d.name for d in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name and name not in known]
    feeds = given_inputs(case)
    if any(isinstance(value, onnx.TensorProto) for value in feeds.values()):
        return None
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for extra in (inner, []):
        del model.graph.output[len(known) :]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra)
        try:
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            names = [output.name for output in session.get_outputs()]
            missing = [i for i in session.get_inputs() if i.name not in feeds]
            values = session.run(names, {**feeds, **{i.name: _zeros(i) for i in missing}})
        except Exception:  # what ONNX Runtime refuses has another oracle
            continue
        return dict(zip(names, values, strict=True))
    return None


def _zeros(declared: Any) -> np.ndarray[Any, Any]:
    dtype = {"tensor(float)": np.float32, "tensor(int64)": np.int64}[declared.type]
    return np.zeros(declared.shape, dtype)


def runtime_types(path: Path) -> dict[str, TensorType]:
    """The types that ONNX Runtime infers for the tensors of a model without weights (rule 6)."""
    import onnxruntime as ort

    from nnmeter.lab.runtimes.preparation import prepare_model, serialize

    prepared = prepare_model(path).proto
    known = {d.name for d in prepared.graph.output}
    del prepared.graph.value_info[:]  # what the exporter says is not what the runtime infers
    inner = [name for node in prepared.graph.node for name in node.output if name and name not in known]
    prepared.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        session = ort.InferenceSession(serialize(prepared, Path(folder)), options, ["CPUExecutionProvider"])
    types = {}
    for output in session.get_outputs():
        dtype = _RUNTIME_TYPES.get(output.type)
        if dtype is not None and all(isinstance(size, int) for size in output.shape):
            types[output.name] = TensorType(dtype, tuple(output.shape))
    return types


_RUNTIME_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{
        f"tensor({name})": name for name in ("float16", "bfloat16", "bool", "string", "int8", "int16", "int32", "int64")
    },
    **{f"tensor({name})": name for name in ("uint8", "uint16", "uint32", "uint64", "int4", "uint4")},
}


def type_of(value: Any) -> TensorType | None:
    """The type of a computed value as nnmeter writes it: a sequence is one flat tensor; None where it has none."""
    if isinstance(value, onnx.TensorProto):
        return TensorType(DTYPE_OF_CODE[value.data_type], tuple(value.dims))
    if isinstance(value, list):
        parts = [type_of(element) for element in value]
        if not all(parts):
            return None
        kinds = [part for part in parts if part is not None]
        return TensorType(kinds[0].dtype, (sum(k.elements for k in kinds),)) if kinds else None
    if not isinstance(value, np.ndarray | np.generic):
        return None
    name = value.dtype.name
    if name == "object" or name.startswith("str"):
        name = "string"
    return TensorType(_NAMES.get(name, name), tuple(value.shape))


_NAMES = {
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
    "float4_e2m1fn": "float4e2m1",
}


def compare(graph: Graph, theirs: Mapping[str, TensorType | None], name: str, tally: Tally, kind: str) -> None:
    """Compare the types of all tensors that both know (rules 4 and 5)."""
    bounded = any(warning.code in ("bounded", "estimated") for warning in graph.warnings)
    for tensor, other in theirs.items():
        own = graph.types.get(tensor)
        if own is None or other is None:
            continue
        tally.compared[kind] += 1
        if own == other:
            continue
        line = f"{name}: '{tensor}' is {own} here, {other} there"
        smaller = len(own.shape) == len(other.shape) and all(
            a >= b for a, b in zip(own.shape, other.shape, strict=True)
        )
        if bounded and smaller and own.dtype == other.dtype:
            tally.bounded.append(line)
        else:
            tally.mismatches.append(line)


def run_case(case: Case, predictor: nnmeter.LatencyPredictor, tally: Tally, with_shapes: bool) -> None:
    """Price one model of the suite, and compare its shapes."""
    tally.models[case.kind] += 1
    name = f"{case.kind}/{case.name}"
    try:
        values = values_for(case)
        try:
            check_case(case, predictor)
        except nnmeter.ModelError as error:
            if not values or "cannot be determined" not in str(error):
                raise
            tally.with_values += 1
        graph = check_case(case, predictor, values)
    except nnmeter.NnmeterError as error:
        tally.refusals[name] = str(error)
        return
    except Exception as error:  # to be counted and shown is what it is caught for
        tally.tracebacks[name] = f"{type(error).__name__}: {error}"
        return
    tally.priced[case.kind] += 1
    if not with_shapes:
        return
    computed = runtime_values(case)
    if computed is None:
        computed = dict(zip([d.name for d in case.model.graph.output], case.outputs, strict=False))
        tally.by_expected += 1
    compare(graph, {tensor: type_of(value) for tensor, value in computed.items()}, name, tally, case.kind)


def run_zoo(folder: Path, tally: Tally) -> None:
    """Compare the types of the zoo's networks (rule 6)."""
    for path in sorted(folder.glob("*.onnx")):
        tally.models["zoo"] += 1
        try:
            graph = nnmeter.load_model(path)
            theirs = runtime_types(path)
        except nnmeter.NnmeterError as error:
            tally.refusals[f"zoo/{path.stem}"] = str(error)
            continue
        tally.priced["zoo"] += 1
        compare(graph, theirs, f"zoo/{path.stem}", tally, "zoo")


def report(tally: Tally) -> None:
    """Print what was found."""
    for title, lines in (
        ("TRACEBACK", [f"{n}: {reason}" for n, reason in tally.tracebacks.items()]),
        ("REFUSED", [f"{n}: {reason}" for n, reason in tally.refusals.items()]),
        ("MISMATCH", tally.mismatches),
        ("BOUNDED", tally.bounded),
    ):
        for line in lines:
            click.echo(f"{title} {line}")
    for kind, count in tally.models.items():
        click.echo(f"{kind:18} {tally.priced[kind]:5} of {count:5} models, {tally.compared[kind]:6} tensors compared")
    suite = sum(count for kind, count in tally.models.items() if kind != "zoo")
    priced = sum(count for kind, count in tally.priced.items() if kind != "zoo")
    click.echo(
        f"suite: {priced} of {suite} models priced ({100 * priced / max(suite, 1):.2f} %), "
        f"{tally.with_values} of them given the value of an input; {len(tally.refusals)} refused, "
        f"{len(tally.tracebacks)} tracebacks"
    )
    click.echo(
        f"types: {sum(tally.compared.values())} tensors compared ({tally.by_expected} models with the outputs that the "
        f"suite expects), {len(tally.mismatches)} differ, {len(tally.bounded)} are bounds"
    )


@click.command()
@click.option("--device", help="Device pack, by id or directory. Default: the one nearest to this machine.")
@click.option("--zoo", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Also compare the shapes of the networks in this folder.")  # fmt: skip
@click.option("--only", default="", help="Only models whose kind and name contain this text.")
@click.option("--compare/--no-compare", "with_shapes", default=True, help="Compare shapes with ONNX Runtime's.")
def main(device: str | None, zoo: Path | None, only: str, with_shapes: bool) -> None:
    """Price every model of ONNX's own test suite."""
    predictor = nnmeter.load_predictor(device)
    tally = Tally()
    for case in cases():
        if only in f"{case.kind}/{case.name}":
            run_case(case, predictor, tally, with_shapes)
    if zoo is not None:
        run_zoo(zoo, tally)
    report(tally)
    if tally.tracebacks or tally.mismatches:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
