"""MNN's profile: what `timeProfile.out model.mnn` prints, with the ONNX model that was converted.

Source: MNN/tools/cpp/Profiler.cpp (`Sort by node name !`, a table with tabs; `total time : ... ms`).

Rules:

1. A row is a line of the table by names: `Node Name`, `Op Type`, `Avg(ms)`, `%`, `Flops Rate`. Lines of the table by
   types repeat them, and are refused as such.
2. MNN names an operator after the tensor that it writes in the ONNX model. What its converter fused goes by the last
   name. Operators that it made itself (`raster`, conversions of layout) are refused, and remain in the whole.
"""

from __future__ import annotations

import math
import re

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles.aligned import measurements_of_groups
from nnmeter.lab.importing.profiles.alignment import TimedGroup
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.node_names import NodeNames
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME = "mnn"
PROFILE, MODEL = "mnn-profile", "model"
MAINS = (PROFILE,)

_BY_NAME, _BY_TYPE = "Sort by node name !", "Sort by time cost !"
_TOTAL = re.compile(r"total time\s*:\s*([0-9.eE+-]+) ms")
_COLUMNS = ("Node Name", "Op Type", "Avg(ms)")

OF_TYPES = "line of the table by types, which repeats the others"
OWN_WORK = "operator that MNN made itself, or that the model does not have"
MALFORMED = "malformed line"
NO_MODEL = "no ONNX model beside it; give the one that was converted, named alike"


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    return PROFILE if _BY_NAME.encode() in file.data[: 1 << 20] and b"Avg(ms)" in file.data[: 1 << 20] else ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that a profile and its model make (rules 1 and 2)."""
    setting.learn(RUNTIME)
    model = companions.find(main, MODEL)
    if model is None:
        raise MeasurementError(NO_MODEL)
    graph = setting.graph_of(model)
    names = NodeNames(graph)
    groups: list[TimedGroup] = []
    table = ""
    for line in main.text.splitlines():
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if line.strip() in (_BY_NAME, _BY_TYPE):
            table = line.strip()
        elif not cells or tuple(cells[:3]) == _COLUMNS or cells[0] == "Node Type":
            continue
        elif len(cells) < 4:
            table = ""
        elif table == _BY_TYPE:
            account.refuse(OF_TYPES)
        elif table == _BY_NAME:
            ms = _milliseconds(cells[2])
            node = names.find(cells[0])
            if ms is None:
                account.refuse(MALFORMED, line[:60])
            elif node is None:
                account.refuse(OWN_WORK, cells[0])
            else:
                groups.append(TimedGroup(cells[0], frozenset({node}), ms))
    if not groups:
        raise MeasurementError("none of its operators is one of the model beside it")
    total = _TOTAL.search(main.text)
    whole = _milliseconds(total[1]) if total else None
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model))
    return measurements_of_groups(setting, graph, network, groups, account, [whole] if whole else [], mean_only=True)


def _milliseconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None
