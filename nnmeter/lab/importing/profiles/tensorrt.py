"""TensorRT's `trtexec --exportProfile=... --exportLayerInfo=... --profilingVerbosity=detailed --exportTimes=...`.

Sources: docs.nvidia.com/deeplearning/tensorrt, "trtexec" and "Per-layer profiling"; TensorRT/samples/common
(`exportJSONProfile`, `exportJSONTrace`); `IEngineInspector`.

Rules:

1. A row is an entry of the profile: a layer of the engine with its mean (and median) time. The first entry counts runs.
2. The metadata of a layer name the ONNX layers that it was fused of: `[ONNX Layer: conv1]`, one behind the other with a
   control character between. Without layer information, or where it was not detailed, the name of the layer does
   (`conv1 + relu1`).
3. Layers of no operator (`Reformatting CopyNode`, moves of memory) are the runtime's own work. They are refused, and
   remain in the time of the whole.
4. Whole runs are the compute times of `--exportTimes`, without the transfers to and from the device. Without that
   file the sum of the layers is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.files import is_number
from nnmeter.lab.importing.profiles.aligned import measurements_of_groups
from nnmeter.lab.importing.profiles.alignment import TimedGroup
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.node_names import NodeNames
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME = "tensorrt"
PROFILE, LAYERS, TIMES, MODEL = "tensorrt-profile", "tensorrt-layers", "tensorrt-times", "model"
MAINS = (PROFILE,)

_ONNX_LAYER = "[ONNX Layer: "
_MOST_MS = 1e9

COUNT = "number of runs, no layer"
MALFORMED = "malformed entry"
OWN_WORK = "the runtime's own work (reformatting, moves of memory)"
NO_MODEL = "no ONNX model beside it; give the one that the engine was built from, named alike"


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    if file.looks_like_json(b"{") and b'"Layers"' in file.head:
        return LAYERS
    if not file.looks_like_json(b"["):
        return ""
    if b'"averageMs"' in file.head and b'"percentage"' in file.head:
        return PROFILE
    if b'"computeMs"' in file.head and b'"latencyMs"' in file.head:
        return TIMES
    return ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that a profile, its layers, its times and its model make (rules 1 to 4)."""
    setting.learn(RUNTIME, kind="gpu")
    model = companions.find(main, MODEL)
    if model is None:
        raise MeasurementError(NO_MODEL)
    if not isinstance(main.json, list):
        raise MeasurementError("is no list of layers, or cut off; export it again")
    layers = _layers(companions.find(main, LAYERS))
    times = companions.find(main, TIMES)
    graph = setting.graph_of(model)
    names = NodeNames(graph)
    groups = []
    for entry in main.json:
        if isinstance(entry, Mapping) and "count" in entry and "name" not in entry:
            account.refuse(COUNT)
            continue
        ms = _time_of(entry)
        if ms is None:
            account.refuse(MALFORMED, str(entry)[:60])
            continue
        name = entry["name"]
        nodes = names.all_of(_onnx_layers(name, layers.get(name)))
        if not nodes:
            account.refuse(OWN_WORK, name)
        else:
            groups.append(TimedGroup(name, nodes, ms))
    if not groups:
        raise MeasurementError("none of its layers names an operator of the model beside it")
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model))
    return measurements_of_groups(setting, graph, network, groups, account, whole_ms(times) if times else [])


def _layers(file: GivenFile | None) -> dict[str, str]:
    """Metadata of each layer by its name; empty where the file is missing or not detailed."""
    if file is None:
        return {}
    layers = file.json.get("Layers") if isinstance(file.json, Mapping) else None
    if not isinstance(layers, list):
        raise MeasurementError(f"{file.path.name}: is no list of layers, or cut off; export it again")
    return {
        layer["Name"]: layer["Metadata"]
        for layer in layers
        if isinstance(layer, Mapping) and isinstance(layer.get("Name"), str) and isinstance(layer.get("Metadata"), str)
    }


def _onnx_layers(name: str, metadata: str | None) -> list[str]:
    """Names of the ONNX layers that a layer was fused of (rule 2)."""
    if metadata:
        return [part.rpartition("]")[0] for part in metadata.split(_ONNX_LAYER)[1:]]
    return [part.strip() for part in re.split(r" \+ |, ", name.removeprefix("PWN(").removesuffix(")"))]


def _time_of(entry: Any) -> float | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        return None
    value = entry.get("averageMs")
    return value if is_number(value) and 0 <= value < _MOST_MS else None


def whole_ms(times: GivenFile) -> list[float]:
    """Compute time of each run in milliseconds (rule 4)."""
    entries = times.json if isinstance(times.json, list) else ()
    values = [entry.get("computeMs") for entry in entries if isinstance(entry, Mapping)]
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < _MOST_MS]
