"""TFLite's (LiteRT's) `benchmark_model --enable_op_profiling=true`: its table as CSV, or its protobufs, with the model.

Sources: tensorflow/lite/tools/benchmark/README.md (`--op_profiling_output_mode=csv|proto`,
`--op_profiling_output_file`, `--model_runtime_info_output_file`); tensorflow/core/util/stats_calculator.cc (the
columns of the table; older files have `start` among them); tensorflow/lite/profiling/proto.

Rules:

1. A row is a line of a table of the CSV, or an operator's profile of the protobuf. Of several tables in run order the
   last counts, which is that of the regular runs; those before it are of the initialization, those behind it repeat
   it.
2. An operator goes by the tensor that it writes: `[conv/Relu]:3`. The model says what it is: the `.tflite` itself, or
   an ONNX model whose tensors have these names.
3. A delegate runs many operators as one node. `ModelRuntimeDetails` says which (`tflite_node_ids_replaced`), and then
   its time is that of these together. What it tells of its own insides (`Delegate/Convolution (NHWC, F32) IGEMM:0`)
   names no operator, and is refused.
4. The table has means of microseconds over all runs, and no single run. The whole is the sum of the nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.formats.wire import WireError
from nnmeter.lab.importing.profiles.aligned import measurements_of_groups
from nnmeter.lab.importing.profiles.alignment import TimedGroup
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.node_names import NodeNames
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.importing.profiles.tflite_messages import PROFILING_DATA, RUNTIME_DETAILS, decode
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME, RUNTIME_GPU = "tflite", "tflite-gpu"
CSV, PROFILE, DETAILS, TFLITE, MODEL = "tflite-csv", "tflite-profile", "tflite-details", "tflite-model", "model"
MAINS = (CSV, PROFILE)

_TITLE = re.compile(r"=+ (.+?) =+")
_LONGEST_TITLE, _LONGEST_NAME = 200, 4096
_RUN_ORDER = "Run Order"
_NAME = re.compile(r"\[?(.*?)\]?:(\d{1,9})")
_INSIDE = "Delegate/"

NOT_REGULAR = "line of another table (initialization, order by time, summary)"
INSIDE = "what a delegate did inside, which names no operator"
UNKNOWN_DELEGATE = "node of a delegate, and nothing says what it replaced (--model_runtime_info_output_file)"
NO_OPERATOR = "writes no tensor of the model"
MALFORMED = "malformed line"
NO_MODEL = "no model beside it; give the .tflite that was run, named alike"


@dataclass(frozen=True, slots=True)
class _Row:
    """A profiled node: its type, its name as the profile has it, and the mean of its milliseconds."""

    kind: str
    name: str
    ms: float


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    if file.data[4:8] == b"TFL3":
        return TFLITE
    if b"node type" in file.head and b"times called" in file.head and b"avg" in file.head:
        return CSV
    if file.head[:1] != b"\x0a" or len(file.data) > 16 << 20:
        return ""
    if (_message(file, RUNTIME_DETAILS) or {}).get("subgraphs", [{}])[0].get("nodes"):
        return DETAILS
    profile = _message(file, PROFILING_DATA) or {}
    return PROFILE if profile.get("runtime_profile", {}).get("subgraph_profiles") else ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that a profile and its model make (rules 1 to 4)."""
    rows = _rows_of_csv(main, account) if main.kind == CSV else _rows_of_message(main, account)
    setting.learn(RUNTIME_GPU if setting.device.kind == "gpu" else RUNTIME)
    model = companions.find(main, TFLITE) or companions.find(main, MODEL)
    details = companions.find(main, DETAILS)
    if model is None:
        raise MeasurementError(NO_MODEL)
    graph = setting.graph_of(model)
    names = NodeNames(graph)
    replaced = _replaced(details)
    groups: list[TimedGroup] = []
    for row in rows:
        match = _NAME.fullmatch(row.name[-_LONGEST_NAME:])
        number = int(match[2]) if match else -1
        if row.name.startswith(_INSIDE):
            account.refuse(INSIDE, row.name)
        elif number in replaced:
            groups.append(TimedGroup(row.name, names.all_of(replaced[number]), row.ms))
        else:
            written = (match[1] if match else row.name).split(";")
            nodes = names.all_of(written[:1]) or names.all_of(written)
            if nodes and "delegate" not in row.kind.lower():
                groups.append(TimedGroup(row.name, nodes, row.ms))
            else:
                delegated = "delegate" in row.kind.lower()
                account.refuse(UNKNOWN_DELEGATE if delegated else NO_OPERATOR, row.name)
    if not groups:
        raise MeasurementError("none of its nodes writes a tensor of the model beside it")
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model) if model.kind == MODEL else "")
    whole = sum(row.ms for row in rows if not row.name.startswith(_INSIDE))
    return measurements_of_groups(setting, graph, network, groups, account, [whole], mean_only=True)


def _rows_of_csv(main: GivenFile, account: FileAccount) -> list[_Row]:
    """The nodes of the last table in run order (rule 1)."""
    tables: list[list[_Row]] = []
    title = ""
    columns: list[str] = []
    for line in main.text.splitlines():
        heading = _TITLE.fullmatch(line.strip()) if len(line) <= _LONGEST_TITLE else None
        if heading is not None:
            title, columns = heading[1], []
        elif line.startswith("node type"):
            columns = [column.strip() for column in line.split(",")]
            if title == _RUN_ORDER or not title:
                tables.append([])
        elif "," not in line:
            columns = []  # text between tables, or an empty line at the end of one
        elif not columns:
            continue
        elif title not in (_RUN_ORDER, "") or "name" not in columns:
            account.refuse(NOT_REGULAR)
        else:
            row = _row_of_line(line, columns)
            if row is None:
                account.refuse(MALFORMED, line[:60])
            else:
                tables[-1].append(row)
    whole = [table for table in tables if table]
    account.refuse(NOT_REGULAR, "", sum(map(len, whole[:-1])))
    if not whole:
        raise MeasurementError("has no table of its nodes in run order")
    return whole[-1]


def _row_of_line(line: str, columns: Sequence[str]) -> _Row | None:
    cells = [cell.strip() for cell in line.split(",", len(columns) - 1)]
    if len(cells) != len(columns):
        return None
    named = dict(zip(columns, cells, strict=True))
    ms = _number(named.get("avg_ms", named.get("avg ms", "")))
    return None if ms is None else _Row(named["node type"], named["name"], ms)


def _rows_of_message(main: GivenFile, account: FileAccount) -> list[_Row]:
    """The nodes of the regular runs, by the protobuf."""
    content = _message(main, PROFILING_DATA) or {}
    rows: list[_Row] = []
    profile = content.get("runtime_profile", {})
    for subgraph in profile.get("subgraph_profiles", ()):
        for one in subgraph.get("per_op_profiles", ()):
            mean_us = one.get("inference_microseconds", {}).get("avg")
            if mean_us is None or not 0 <= mean_us < 10**12:
                account.refuse(MALFORMED, one.get("name", ""))
            elif subgraph.get("subgraph_index", 0):
                account.refuse("node of a nested graph, whose time its parent has", one.get("name", ""))
            else:
                rows.append(_Row(one.get("node_type", ""), one.get("name", ""), mean_us / 1e3))
    for delegate in profile.get("delegate_profiles", ()):
        account.refuse(INSIDE, "", len(delegate.get("per_op_profiles", ())))
    first = content.get("init_profile", {}).get("subgraph_profiles", ())
    account.refuse(NOT_REGULAR, "", sum(len(subgraph.get("per_op_profiles", ())) for subgraph in first))
    return rows


def _replaced(details: GivenFile | None) -> dict[int, list[str]]:
    """For each node of a delegate the tensors that the nodes write that it replaced (rule 3)."""
    if details is None:
        return {}
    found: dict[int, list[str]] = {}
    for subgraph in (_message(details, RUNTIME_DETAILS) or {}).get("subgraphs", ())[:1]:
        edges = {edge.get("id", 0): edge.get("name", "") for edge in subgraph.get("edges", ())}
        nodes = subgraph.get("nodes", ())
        written = {node.get("id", 0): [edges.get(i, "") for i in node.get("outputs", ())] for node in nodes}
        for node in nodes:
            own: Mapping[str, Any] = node.get("delegate_node_details", {})
            if own:
                inside = own.get("tflite_node_ids_replaced", ())
                found[node.get("id", 0)] = [name for i in inside for name in written.get(i, ()) if name]
    return found


def _message(file: GivenFile, schema: Any) -> dict[str, Any] | None:
    try:
        return decode(file.data, schema)
    except WireError:
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None
