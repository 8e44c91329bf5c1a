"""Reads a TensorFlow Lite file in place: no byte of a weight is read.

`nnmeter.formats.tflite_file` has what is read of the file, `tflite_model` what becomes of its tensors, and
`tflite_operators` what becomes of its operators.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from nnmeter.errors import ModelError, brief
from nnmeter.files import open_regular
from nnmeter.formats.tflite_file import TfliteFile, scan_tflite
from nnmeter.formats.tflite_model import TfliteModel
from nnmeter.formats.tflite_operators import DOMAIN, NEWEST_OPSET, convert
from nnmeter.formats.wire import Buffer, LimitError, WireError
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import DeclaredType, UnboundModel
from nnmeter.operators.shape_rules.common import ShapeError

_REMEDY = "give a complete .tflite file, or convert the model again"


def read_tflite_file(path: str | os.PathLike[str]) -> UnboundModel:
    """Read a model from a file.

    Raises:
        ModelError: it is no sound file of TensorFlow Lite.
    """
    source = os.fspath(path)
    with open_regular(source) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return _read(mapped, source, Path(source).stem)


def read_tflite(data: bytes, source: str) -> UnboundModel:
    """Read a model from the bytes of a file; errors call it `source`."""
    return _read(data, source, source)


def _read(buffer: Buffer, source: str, name: str) -> UnboundModel:
    try:
        return _model(scan_tflite(buffer), source, name)
    except LimitError as fault:
        remedy = "it is larger than what is read of a stranger's file; raise the limit in nnmeter.limits for your own"
        raise ModelError(f"{source}: {brief(fault)}; {remedy}") from fault
    except (WireError, ShapeError) as fault:
        raise ModelError(f"{source}: {brief(fault)}; {_REMEDY}") from fault


def _model(file: TfliteFile, source: str, name: str) -> UnboundModel:
    model = TfliteModel(file, source, name)
    for place in file.inputs:
        if place >= 0 and not model.is_constant(place):
            model.add_input(place)
    for operator in file.operators:
        written = next((place for place in operator.outputs if place >= 0), -1)
        model.assembly.stem = _stem(file.tensors[written].name if written >= 0 else "", operator.code)
        try:
            convert(model, operator)
        except (IndexError, KeyError, ValueError, ZeroDivisionError) as fault:
            if isinstance(fault, ModelError):
                raise
            raise model.fault("not the tensors that its kind has") from fault
    model.assembly.stem = "result"
    outputs = [model.result(place) for place in file.outputs if place >= 0]
    made = model.assembly.finish(outputs)
    kinds = {declared.name: declared for declared in made.outputs}
    declared = tuple(
        replace(kinds[name], dtype=file.tensors[place].type.dtype)
        for name, place in zip(outputs, (place for place in file.outputs if place >= 0), strict=True)
    )
    return replace(
        made,
        outputs=declared,
        opsets={"": NEWEST_OPSET, DOMAIN: 1},
        value_info=partial(_declared, dict(model.declared)),
        notes=tuple(_notes(file)),
    )


def _declared(kinds: Mapping[str, DeclaredType]) -> dict[str, DeclaredType]:
    return dict(kinds)


def _stem(name: str, code: int) -> str:
    """What an operator is called: the path of the tensor that it writes, without those that were fused into it."""
    return name.split(";")[0] or f"operator_{code}"


def _notes(file: TfliteFile) -> list[Note]:
    notes = []
    if file.subgraphs > 1:
        notes.append(Note(f"the file has {file.subgraphs} graphs; the first is the model", "estimated"))
    sparse = [tensor.name for tensor in file.tensors if tensor.sparse]
    if sparse:
        said = f"{len(sparse)} tensors are stored without their zeros; kernels are priced as if they were whole"
        notes.append(Note(said, "estimated", sparse[0]))
    hybrid = {
        file.tensors[operator.inputs[1]].name
        for operator in file.operators
        if operator.code in (3, 4, 9) and len(operator.inputs) > 1 and min(operator.inputs[:2]) >= 0
        and file.tensors[operator.inputs[1]].quantized and not file.tensors[operator.inputs[0]].quantized
    }  # fmt: skip
    if hybrid:
        said = f"{len(hybrid)} operators have weights in 8 bits beside data in float32; they are priced in float32"
        notes.append(Note(said, "precision", sorted(hybrid)[0]))
    return notes
