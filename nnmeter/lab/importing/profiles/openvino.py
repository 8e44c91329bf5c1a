"""OpenVINO's `benchmark_app -report_type average_counters|detailed_counters -exec_graph_path graph.xml -m model.onnx`.

Sources: docs.openvino.ai, benchmark_app; openvino/tools/benchmark/utils/statistics_report.py (the CSV, separated by
semicolons); the XML is the runtime model that `compiled_model.get_runtime_model()` gives, serialized.

Rules:

1. A row is a line of a counters table: a layer of the executed graph, or its total. A file of detailed counters has a
   table for each inference. One of average counters with one request tells means over all inferences, cold ones too.
2. The execution graph and the ONNX model together say what the layers are (`nnmeter.lab.runtimes.openvino_kernels`).
   Where layers and nodes do not match, or the model is none of ONNX, nothing is imported.
3. A kernel of the graph that is told as not run took less than half a microsecond: the plugin rounds its mean to whole
   ones, and says of 0 that it did not run. Other layers that were not run, or took no time, are refused as such.
4. The whole time is the median latency of `benchmark_report.csv`, which the same call writes beside the counters.
   Without it the sum of the layers is taken.
5. The JSON variant of the report is not read: the tool writes each of its times as the text of a mean over nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.runtimes.openvino_execution import read_execution_graph
from nnmeter.lab.runtimes.openvino_kernels import kernels_of_runtime_nodes

RUNTIME = "openvino"
COUNTERS, GRAPH, REPORT, MODEL = "openvino-counters", "openvino-graph", "openvino-report", "model"
MAINS = (COUNTERS,)

_HEADER = ("layerName", "execStatus", "layerType", "execType", "realTime (ms)", "cpuTime (ms)")
_LATENCY_KEYS = ("latency (ms)", "Median latency (ms)", "AVG latency", "Average latency (ms)")

NO_WORK = "layer that was not run, or optimized out"
TOTAL = "total of the others"
MALFORMED = "malformed line"
NO_GRAPH = "no execution graph beside it; run benchmark_app with -exec_graph_path, and name the file alike"
NO_MODEL = "no ONNX model beside it; give the one that was run, named alike"


@dataclass(frozen=True, slots=True)
class Counter:
    """A line of a table: a layer and its milliseconds."""

    name: str
    status: str
    ms: float


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    start = file.head.lstrip(b"\xef\xbb\xbf \r\n")
    if start.startswith(";".join(_HEADER[:4]).encode()):
        return COUNTERS
    if start.startswith((b"<?xml", b"<net")) and b"<net" in file.head and b"execOrder" in file.data[: 1 << 22]:
        return GRAPH
    if (
        start.startswith((b"Command line parameters", b"Configuration setup", b"Execution results"))
        and b";" in file.head
    ):
        return REPORT
    return ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurement that a counters table, its execution graph and its model make (rules 1 to 4)."""
    tables = _tables(main, account)
    setting.learn(RUNTIME)
    xml, model = companions.find(main, GRAPH), companions.find(main, MODEL)
    report = companions.find(main, REPORT)
    if xml is None or model is None:
        raise MeasurementError(NO_GRAPH if xml is None else NO_MODEL)
    graph = setting.graph_of(model)
    nodes = read_execution_graph(xml.data, xml.path.name)
    kernels = kernels_of_runtime_nodes(nodes, graph)
    place = {name: number for number, (_, name) in enumerate(kernels)}
    if len(place) != len(kernels):
        raise MeasurementError("several layers of the execution graph have one name; give the model's nodes names")
    kernel_runs_ms = np.full((len(tables), len(kernels)), np.nan)
    for number, table in enumerate(tables):
        for counter in table:
            where = place.get(counter.name)
            if where is not None and (counter.status == "EXECUTED" or counter.ms == 0):
                kernel_runs_ms[number, where] = counter.ms
                account.accept()
            elif counter.status != "EXECUTED" or counter.ms == 0:
                account.refuse(NO_WORK, counter.name)
            else:
                raise MeasurementError(f"layer {counter.name!r:.80} took time and is no kernel of the execution graph")
    lacking = np.isnan(kernel_runs_ms).any(axis=0)
    if lacking.any():
        name = kernels[int(np.flatnonzero(lacking)[0])][1]
        raise MeasurementError(f"has no time of the layer {name!r:.80} of the execution graph; is it of another run?")
    told = whole_ms(report) if report is not None else []
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model))
    sums = kernel_runs_ms.sum(axis=1)
    detailed = len(tables) > 1 and not told
    times = list(sums) if detailed else told or [float(np.median(sums))]
    signatures = [kernel.signature for kernel, _ in kernels]
    return [measured(network, signatures, times, kernel_runs_ms, mean_only=not detailed)]


def _tables(main: GivenFile, account: FileAccount) -> list[list[Counter]]:
    """The tables of a counters file (rule 1)."""
    tables: list[list[Counter]] = []
    for line in main.text.lstrip("\ufeff").splitlines():
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(";")]
        if tuple(cells[:4]) == _HEADER[:4]:
            tables.append([])
            continue
        ms = _milliseconds(cells[4]) if len(cells) >= 5 else None
        if ms is None or not tables:
            account.refuse(MALFORMED, line[:60])
        elif cells[0] == "Total" and not cells[1]:
            account.refuse(TOTAL)
        else:
            tables[-1].append(Counter(cells[0], cells[1].rpartition(".")[2], ms))
    if not any(tables):
        raise MeasurementError("has no line of a layer")
    return [table for table in tables if table]


def _milliseconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None


def whole_ms(report: GivenFile) -> list[float]:
    """The median latency of a report, in milliseconds; nothing where it has none (rule 4)."""
    values = dict(line.split(";", 1) for line in report.text.splitlines() if ";" in line)
    found = [_milliseconds(values[key].strip().strip(";")) for key in _LATENCY_KEYS if key in values]
    return [value for value in found if value][:1]
