"""ExecuTorch's profile: the table of its Inspector (`save_data_to_tsv`, or `to_dataframe` as CSV), with the ONNX model.

Source: docs.pytorch.org/executorch, "Inspector APIs" and "ETDump"; columns `event_block_name`, `event_name`, `p50
(ms)`, `avg (ms)`, `op_types`, `is_delegated_op`.

Rules:

1. A row is a line. `Method::execute` is the whole: its mean, and with a column `raw` its single runs.
2. An event of an operator or of a delegate says which code ran (`native_call_convolution.out`, `Convolution (NHWC, F32)
   IGEMM`) and names no operator of a model, so that its time is no kernel's; it is refused, and is in the whole.
3. An ETDump itself is a flatbuffer that only the Inspector reads; it is not taken.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME = "executorch"
PROFILE, MODEL = "executorch-profile", "model"
MAINS = (PROFILE,)

_WHOLE = "Method::execute"
_UNITS_MS = {"ms": 1.0, "us": 1e-3, "ns": 1e-6, "s": 1e3, "": 1.0}
_COLUMN = re.compile(r"(avg|p50|raw|min|max|p10|p90)(?: \((\w+)\))?")

NO_OPERATOR = "says which code ran, and of no operator of the model"
LOADING = "loading, or a part of the whole that is none of its kernels"
MALFORMED = "malformed line"
NO_MODEL = "no ONNX model beside it; give one of the network that was run, named alike"


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    line = file.head.split(b"\n", 1)[0]
    return PROFILE if b"event_block_name" in line and b"event_name" in line else ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurement of the whole that a table and its model make (rules 1 and 2)."""
    from nnmeter.fusion.detect import detect_kernels

    setting.learn(RUNTIME)
    model = companions.find(main, MODEL)
    if model is None:
        raise MeasurementError(NO_MODEL)
    lines = main.text.lstrip("\ufeff").splitlines()
    separator = "\t" if "\t" in lines[0] else ","
    runs_ms: list[float] = []
    mean_only = True
    for row in csv.DictReader(lines, delimiter=separator):
        cells = {
            key.strip(): (value or "").strip()
            for key, value in row.items()
            if isinstance(key, str) and isinstance(value, str)
        }
        name = cells.get("event_name", "")
        if name != _WHOLE:
            inside = name.startswith(("Method::", "Program::", "OPERATOR_CALL", "DELEGATE_CALL"))
            account.refuse(LOADING if inside else NO_OPERATOR, name)
            continue
        raw, mean = _times_of(cells)
        if mean is None or runs_ms:
            account.refuse(MALFORMED if mean is None else "another whole of the same network", name)
            continue
        account.accept()
        runs_ms, mean_only = (raw, False) if len(raw) > 1 else ([mean], True)
    if not runs_ms:
        raise MeasurementError(f"has no line of {_WHOLE}")
    graph = setting.graph_of(model)
    kernels = [kernel.signature for kernel in detect_kernels(graph, setting.loaded_rules)]
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model))
    return [measured(network, kernels, runs_ms, mean_only=mean_only)]


def _times_of(cells: Mapping[str, str]) -> tuple[list[float], float | None]:
    """Milliseconds of single runs, where the table has them, and their mean."""
    raw: list[float] = []
    mean = None
    for column, text in cells.items():
        match = _COLUMN.fullmatch(column)
        if match is None or (match[2] or "") not in _UNITS_MS:
            continue
        values = [
            v * _UNITS_MS[match[2] or ""] for v in map(_number, re.findall(r"[0-9.eE+-]+", text)) if v is not None
        ]
        if match[1] == "raw":
            raw = values
        elif match[1] == "avg" and len(values) == 1:
            mean = values[0]
    return raw, mean


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 < value < 1e12 else None
