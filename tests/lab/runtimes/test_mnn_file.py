"""MNN's model file, written here by the flatbuffers package and read without MNN."""

from __future__ import annotations

import random

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.runtimes.mnn_file import read_mnn_file

flatbuffers = pytest.importorskip("flatbuffers")


def ints(builder, values):
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return builder.EndVector()


def table(builder, *fields):
    """A table of (place, kind, value, default)."""
    builder.StartObject(1 + max(place for place, *_ in fields))
    for place, kind, value, default in fields:
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(place, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(place, value, default)
    return builder.EndObject()


def operator(builder, name, code, inputs, outputs, parameters=None):
    text, read, written = builder.CreateString(name), ints(builder, inputs), ints(builder, outputs)
    fields = [(0, "offset", read, 0), (3, "offset", text, 0), (4, "offset", written, 0), (5, "Int32", code, 0)]
    if parameters is not None:
        fields += [(1, "Uint8", 1, 0), (2, "offset", parameters, 0)]
    return table(builder, *fields)


def vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def example() -> bytes:
    builder = flatbuffers.Builder(0)
    common = table(builder, (2, "Int32", 3, 1), (12, "Bool", True, False))
    convolution = table(builder, (0, "offset", common, 0))
    conversion = table(builder, (0, "Int8", 0, 1), (1, "Int8", 2, 0))
    operators = vector(
        builder,
        [
            operator(builder, "x", 34, [], [0]),
            operator(builder, "x4", 129, [0], [1], conversion),
            operator(builder, "y", 12, [1], [2], convolution),
        ],
    )
    names = vector(builder, [builder.CreateString(name) for name in ("x", "x4", "y")])
    builder.Finish(table(builder, (3, "offset", operators, 0), (7, "offset", names, 0)))
    return bytes(builder.Output())


def test_operators_have_their_tensors_by_name() -> None:
    given, conversion, convolution = read_mnn_file(example(), "model")
    assert (given.name, given.inputs, given.outputs) == ("x", (), ("x",))
    assert (conversion.inputs, conversion.outputs, conversion.packs) == (("x",), ("x4",), True)
    assert (convolution.inputs, convolution.outputs, convolution.activation) == (("x4",), ("y",), "Relu")


def test_a_damaged_file_is_refused_or_read_and_nothing_else() -> None:
    whole, numbers = example(), random.Random(0)
    refused = set()
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(numbers.randint(1, 4)):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
        try:
            read_mnn_file(bytes(data[: numbers.randint(4, len(data))]), "model")
        except MeasurementError as fault:
            refused.add(str(fault).partition(" (")[0])
    assert refused == {"model: MNN's converter wrote a file that cannot be read"}
