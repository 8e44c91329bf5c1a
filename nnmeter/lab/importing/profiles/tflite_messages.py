"""The two protobuf messages in which TFLite's `benchmark_model` writes profiles, read without generated code.

Sources: tensorflow/lite/profiling/proto/profiling_info.proto (`BenchmarkProfilingData`) and model_runtime_info.proto
(`ModelRuntimeDetails`). The schemas below have the fields that are used; all others are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.formats.wire import LENGTH, VARINT, WireError, fields, integers, signed, text

# Name of a field -> number, and what it holds: a word, or the schema of a message; a list where it is repeated.
Schema = Mapping[int, tuple[str, Any]]

_STAT: Schema = {1: ("first", "int"), 3: ("avg", "int"), 6: ("min", "int"), 8: ("sum", "int"), 9: ("count", "int")}
_OP: Schema = {
    1: ("node_type", "text"), 2: ("inference_microseconds", _STAT), 4: ("times_called", "int"), 5: ("name", "text"),
    6: ("run_order", "int"),
}  # fmt: skip
_SUBGRAPH_PROFILE: Schema = {1: ("subgraph_name", "text"), 2: ("subgraph_index", "int"), 3: ("per_op_profiles", [_OP])}
_DELEGATE_PROFILE: Schema = {1: ("delegate_name", "text"), 2: ("per_op_profiles", [_OP])}
_MODEL_PROFILE: Schema = {1: ("subgraph_profiles", [_SUBGRAPH_PROFILE]), 2: ("delegate_profiles", [_DELEGATE_PROFILE])}
PROFILING_DATA: Schema = {
    1: ("model_name", "text"), 2: ("init_profile", _MODEL_PROFILE), 3: ("runtime_profile", _MODEL_PROFILE),
}  # fmt: skip
_DELEGATE: Schema = {1: ("delegate_name", "text"), 2: ("tflite_node_ids_replaced", "ints")}
_NODE: Schema = {
    1: ("id", "int"), 2: ("name", "text"), 3: ("type", "text"), 5: ("outputs", "ints"),
    8: ("delegate_node_details", _DELEGATE), 9: ("delegated_to_node_id", "int"),
}  # fmt: skip
_EDGE: Schema = {1: ("id", "int"), 2: ("name", "text"), 4: ("shape", "ints")}
_SUBGRAPH: Schema = {
    1: ("subgraph_id", "int"), 2: ("edges", [_EDGE]), 3: ("nodes", [_NODE]), 4: ("execution_plan", "ints"),
    5: ("subgraph_type", "int"),
}  # fmt: skip
RUNTIME_DETAILS: Schema = {1: ("model_name", "text"), 2: ("subgraphs", [_SUBGRAPH])}

_MOST_MESSAGES = 200_000


def decode(data: bytes, schema: Schema) -> dict[str, Any]:
    """A message by its schema, as nested dicts; fields that it lacks are missing.

    Raises:
        WireError: the bytes are no such message.
    """
    budget = [_MOST_MESSAGES]
    try:
        return _decode(data, 0, len(data), schema, budget)
    except IndexError:
        raise WireError("a message ends early") from None


def _decode(data: bytes, at: int, end: int, schema: Schema, budget: list[int]) -> dict[str, Any]:
    budget[0] -= 1
    if budget[0] < 0:
        raise WireError(f"more than {_MOST_MESSAGES} messages")
    found: dict[str, Any] = {}
    for number, wire, start, stop in fields(data, at, end):
        if number not in schema:
            continue
        name, kind = schema[number]
        if kind == "int":
            if wire != VARINT:
                raise WireError(f"field '{name}' is no number")
            found[name] = signed(start)
        elif kind == "ints":
            found.setdefault(name, []).extend(integers(data, wire, start, stop))
        elif wire != LENGTH:
            raise WireError(f"field '{name}' is no message or text")
        elif kind == "text":
            found[name] = text(data, start, stop)
        elif isinstance(kind, list):
            found.setdefault(name, []).append(_decode(data, start, stop, kind[0], budget))
        else:
            found[name] = _decode(data, start, stop, kind, budget)
    return found
