"""Models that are broken in one place: what ONNX's checker, ONNX Runtime and nnmeter say of each.

    python benchmarks/broken_models.py [--mutations 4] [--seed 1] [--only TEXT] [--list FILE]

1. Every model of ONNX's own suite (`onnx_suite.py`) is changed in one field, as often as `--mutations` says, by the
   changes that the fuzz targets make (`fuzz/fuzz_mutations.py`).
2. A changed model is *broken* where ONNX's checker with full inference refuses it and ONNX Runtime refuses it too, when
   it is loaded or when it is run. ONNX Runtime is asked in a process of its own, since some changes crash it.
3. nnmeter refuses it, prices it with a warning that says so (`_SAYING`), or prices it in silence.
4. As a check that nothing sound is refused, it counts changed models that the checker accepts and ONNX Runtime runs.

Prints the counts, and the silent ones by operator and by what the checker says.
"""

from __future__ import annotations

import random
import runpy
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from onnx_suite import KINDS, Case, cases, given_inputs, shapes_for, values_for

import nnmeter
from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes

# The fuzz targets are scripts beside one another and no package.
change_once = runpy.run_path(str(Path(__file__).parent / "fuzz" / "fuzz_mutations.py"))["change_once"]

_PATIENCE_S = 20.0
_SAYING = frozenset({"runtime", "unknown", "declared"})  # codes of notes that say that it may not run
_PLAIN = frozenset("float16 float32 float64 bool object int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())
_SMALL = 1 << 20  # elements of an input that is made up


class _Appended:
    """A file of lines, each written at once: a run may be stopped before its end."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8")

    def write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Judge:
    """ONNX Runtime in a process of its own, which is started again where a model ends it."""

    def __init__(self) -> None:
        self._context = get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_judge, args=(other,), daemon=True)
        self._process.start()

    def refuses(self, model: bytes, inputs: dict[str, Any]) -> str | None:
        """What ONNX Runtime says against a model, None where it runs."""
        self._pipe.send((model, inputs))
        try:
            if self._pipe.poll(_PATIENCE_S):
                return self._pipe.recv()
        except EOFError:
            pass
        self._process.kill()
        self._process.join()
        self._start()
        return "it crashed or did not end"


def _judge(pipe: Connection) -> None:
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    while True:
        try:
            model, inputs = pipe.recv()
        except EOFError:  # whoever asked is gone
            return
        try:
            session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
            feeds = {i.name: inputs[i.name] if i.name in inputs else _made_up(i) for i in session.get_inputs()}
            session.run(None, feeds)
        except Exception as fault:  # the binding has no base class of its own
            made_up = isinstance(fault, _NotMade)
            pipe.send(None if made_up else " ".join(str(fault).split())[:300])
        else:
            pipe.send(None)


def _made_up(declared: Any) -> Any:
    name = declared.type.removeprefix("tensor(").removesuffix(")")
    shape = [size if isinstance(size, int) else 2 for size in declared.shape]
    kind = {"float": "float32", "double": "float64", "string": "object"}.get(name, name)
    if np.prod(shape, dtype=float) > _SMALL or kind not in _PLAIN:
        raise _NotMade(f"an input of {declared.type}")
    return np.ones(shape, np.dtype(kind))


class _NotMade(Exception):
    """An input that cannot be made up: the model is not judged."""


def checker_refuses(model: onnx.ModelProto) -> str | None:
    """What ONNX's checker says against a model."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as fault:  # several kinds, some from C++
        return " ".join(str(fault).split())[:300]
    return None


def ours(case: Case, predictor: nnmeter.LatencyPredictor) -> tuple[str, str]:
    """What nnmeter does of a model: `refused`, `warned`, `silent` or `traceback`, and what it says."""
    try:
        read = read_model(case.model)
        known = {d.name for d in read.inputs}
        given = {name: shape for name, shape in shapes_for(case).items() if name in known}
        values = {name: value for name, value in values_for(case).items() if name in known}
        try:
            graph = bind_shapes(read, InputSizes(shapes=given))
        except nnmeter.ModelError as fault:
            if "cannot be determined" not in str(fault):
                raise
            graph = bind_shapes(read, InputSizes(shapes=given, values=values))
        prediction = predictor.predict(graph)
    except nnmeter.NnmeterError as fault:
        return "refused", str(fault)
    except Exception as fault:  # to be counted is what it is caught for
        return "traceback", f"{type(fault).__name__}: {fault}"
    said = [note for note in prediction.warnings if note.code in _SAYING]
    return ("warned", said[0]) if said else ("silent", "")


def mutated(case: Case, seed: int) -> Case | None:
    """A case with one field changed; None where that cannot be written."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    change_once(model, random.Random(seed))
    try:
        if model.SerializeToString() == case.model.SerializeToString():
            return None
    except ValueError:
        return None
    return Case(case.kind, case.name, model, case.inputs, case.outputs)


def difference(before: onnx.ModelProto, after: onnx.ModelProto) -> str:
    """The lines that a change took away and added."""
    old, new = (str(m) for m in (before, after))
    gone, come = Counter(old.splitlines()), Counter(new.splitlines())
    lines = [f"-{line.strip()}" for line in (gone - come)] + [f"+{line.strip()}" for line in (come - gone)]
    return " ".join(lines)[:160]


@click.command()
@click.option("--device", default="epyc-genoa-onnxruntime1.32-1t", help="Device pack, by id or directory.")
@click.option("--mutations", default=4, help="Changes of each model.")
@click.option("--seed", default=1, help="Of the changes.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Kinds of the suite. Default: all.")
@click.option("--only", default="", help="Only models whose name contains this text.")
@click.option("--part", default="0/1", help="Only one part of the models, as 2/8.")
@click.option("--list", "listed", type=click.Path(dir_okay=False, path_type=Path), help="Write each finding here.")
def main(
    device: str, mutations: int, seed: int, kinds: Sequence[str], only: str, part: str, listed: Path | None
) -> None:
    """Break the models of ONNX's suite, one field at a time."""
    predictor = nnmeter.load_predictor(device)
    judge = Judge()
    number, parts = map(int, part.split("/"))
    counts: Counter[str] = Counter()
    show = click.echo if listed is None else _Appended(listed).write
    for position, case in enumerate(cases(tuple(kinds) or KINDS)):
        if only not in case.name or position % parts != number:
            continue
        for step in range(mutations):
            other = mutated(case, seed * 1_000_003 + position * 101 + step)
            if other is None:
                continue
            counts["changed"] += 1
            verdict, said = ours(other, predictor)
            counts[verdict] += 1
            checked = checker_refuses(other.model)
            told = f"{case.name} [{difference(case.model, other.model)}]"
            if verdict == "traceback":
                show(f"TRACEBACK {told} {said}")
            if checked is None and verdict != "refused":
                continue
            run = judge.refuses(other.model.SerializeToString(), _feeds(other))
            if checked is not None and run is not None:
                counts["broken"] += 1
                counts[f"broken, {verdict}"] += 1
                if verdict == "silent":
                    show(f"SILENT {told} | {checked[:160]} | {run[:200]}")
            elif checked is None and run is None:
                counts["sound, refused"] += 1
                show(f"WRONGLY REFUSED {told} {said[:200]}")
            elif checked is not None and verdict == "silent":
                counts["checker only, silent"] += 1
                show(f"CHECKER ONLY {told} | {checked[:160]}")
            elif checked is not None and verdict == "refused":
                counts["checker only, refused"] += 1
                show(f"RUNS BUT REFUSED {told} | {checked[:100]} | {said[:200]}")
    for what, count in sorted(counts.items()):
        click.echo(f"{what:24} {count:6}")


def _feeds(case: Case) -> dict[str, Any]:
    feeds = given_inputs(case)
    return {n: v for n, v in feeds.items() if isinstance(v, np.ndarray | list | dict)}


if __name__ == "__main__":
    main()
