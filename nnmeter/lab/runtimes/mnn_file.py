"""MNN's own model file, as far as it says what is executed: its operators, what they read and write, and their names.

Source: `schema/default/MNN.fbs`, `CaffeOp.fbs` and `TensorflowOp.fbs` of MNN. Weights are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from nnmeter.errors import MeasurementError
from nnmeter.formats.flatbuffers import Table, root
from nnmeter.formats.wire import Buffer, WireError

MOST_OPERATORS = 250_000
_MOST_TENSORS = 500_000
_LONGEST_NAME = 4096

# Places of fields in their tables.
_NET_OPERATORS, _NET_TENSORS = 3, 7
_OP_INPUTS, _OP_PARAMETERS, _OP_NAME, _OP_OUTPUTS, _OP_TYPE = 0, 2, 3, 4, 5
_COMMON = 0
_ACTIVATIONS = {False: (12, 13), True: (7, 8)}  # relu and relu6, by whether the convolution is one of three dimensions
_CONVERSION_GOAL = 1

CONSTANT, INPUT, CONVERT = 11, 34, 129
CONVOLUTION_3D = 113
CONVOLUTIONS = frozenset({12, 13, 17, 18, CONVOLUTION_3D})
JOINS = frozenset({10, 44})  # operators all of whose inputs are data: Concat, Pack
UNARY = frozenset({9, 23, 69, 70, 78, 81, 95, 101})  # Cast, ELU, ReLU, ReLU6, Selu, Sigmoid, TanH, UnaryOp
_PACKED = 2  # MNN_DATA_FORMAT_NC4HW4


@dataclass(frozen=True, slots=True)
class MnnOperator:
    """One operator of a converted model.

    Attributes:
        name: what the profiler calls it.
        code: its type, a number of the schema's `OpType`.
        inputs: names of the tensors that it reads.
        outputs: names of those that it writes.
        activation: what a convolution applies to its result: "", "Relu" or "Clip".
        packs: whether it brings a tensor into blocks of channels.
    """

    name: str
    code: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    activation: str
    packs: bool


def read_mnn_file(data: Buffer, name: str) -> list[MnnOperator]:
    """The operators of a converted model, in the order of its file.

    Args:
        data: the file.
        name: of the model, for messages.

    Raises:
        MeasurementError: it cannot be read.
    """
    try:
        net = root(data)
        tensors = _texts(net, _NET_TENSORS)
        return [_operator(table, tensors) for table in net.tables(_NET_OPERATORS, MOST_OPERATORS)]
    except (WireError, IndexError) as fault:
        raise MeasurementError(f"{name}: MNN's converter wrote a file that cannot be read ({fault})") from fault


def _operator(table: Table, tensors: list[str]) -> MnnOperator:
    code = table.number(_OP_TYPE, "i")
    parameters = table.table(_OP_PARAMETERS)
    activation, packs = "", False
    if parameters is not None and code in CONVOLUTIONS:
        common = parameters.table(_COMMON)
        if common is not None:
            relu, relu6 = _ACTIVATIONS[code == CONVOLUTION_3D]
            activation = "Relu" if common.number(relu, "B") else "Clip" if common.number(relu6, "B") else ""
    elif parameters is not None and code == CONVERT:
        packs = parameters.number(_CONVERSION_GOAL, "b") == _PACKED
    return MnnOperator(
        table.text(_OP_NAME, _LONGEST_NAME),
        code,
        tuple(tensors[i] for i in table.numbers(_OP_INPUTS, "i", _MOST_TENSORS) if i >= 0),
        tuple(tensors[i] for i in table.numbers(_OP_OUTPUTS, "i", _MOST_TENSORS) if i >= 0),
        activation,
        packs,
    )


def _texts(table: Table, field: int) -> list[str]:
    return table.texts(field, _MOST_TENSORS, _LONGEST_NAME)
