"""ncnn's profiles: the totals of `benchncnn`, and the lines of its layers from a library built with `NCNN_BENCHMARK`.

Sources: ncnn/benchmark/README.md and benchncnn.cpp (`squeezenet  min = 11.66  max = 11.80  avg = 11.74`);
ncnn/src/benchmark.cpp (type, name, milliseconds, `|`, shapes, kernel and stride).

Rules:

1. A row is a line of a network or of a layer; all others (settings, the log of the loader) are refused as neither.
2. A total belongs to the ONNX model of its name. Lines of layers belong to the total behind them, or to the only model
   there is; those of the runs before the last warm up or repeat it, and the last that is complete counts.
3. A layer is the operator of its name, or of the tensor that it writes (`onnx2ncnn` keeps names; `pnnx` makes its
   own, such as `conv_0`, and then only totals are imported).
4. `avg` is the time of the whole, `min` the least. ncnn does not print single runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles.aligned import measurements_of_groups
from nnmeter.lab.importing.profiles.alignment import TimedGroup
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.node_names import NodeNames
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME = "ncnn"
PROFILE, MODEL = "ncnn-profile", "model"
MAINS = (PROFILE,)

_LONGEST = 400  # characters of a line that says something
_NUMBER = r"(\d{1,12}(?:\.\d{1,6})?)"
_TOTAL = re.compile(rf"\s*(\S+)\s+min =\s*{_NUMBER}\s+max =\s*{_NUMBER}\s+avg =\s*{_NUMBER}\s*")
_LAYER = re.compile(rf"(\S+)\s+(\S+)\s+{_NUMBER}ms\s+\|.*")

NEITHER = "line of neither a network nor a layer"
NO_MODEL = "no ONNX model of this name was given"
EARLIER = "layer of a run before the last"
NO_LAYER = "layer that is no operator of the model (ncnn's own, or renamed by its converter)"


@dataclass
class _Section:
    """The lines up to a total: the layers of its runs."""

    layers: list[tuple[str, str, float]] = field(default_factory=list)
    name: str = ""
    times: tuple[float, float, float] = (0.0, 0.0, 0.0)


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    lines = file.data[: 1 << 18].decode("utf-8", "replace").splitlines()[:2000]
    return (
        PROFILE
        if any(_TOTAL.fullmatch(line) or _LAYER.fullmatch(line) for line in lines if len(line) <= _LONGEST)
        else ""
    )


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that totals and layers, with their models, make (rules 1 to 4)."""
    setting.learn(RUNTIME)
    sections = _sections(main, account)
    found: list[Measurement] = []
    for section in sections:
        model = _model_of(section, main, companions)
        if model is None:
            account.refuse(NO_MODEL, section.name, len(section.layers) + bool(section.name))
            continue
        found += _measurements(section, model, setting, account)
    if not found:
        raise MeasurementError("has no network whose ONNX model was given; name the model as ncnn names the network")
    return found


def _sections(main: GivenFile, account: FileAccount) -> list[_Section]:
    sections = [_Section()]
    for line in main.text.splitlines():
        if not line.strip():
            continue
        total, layer = (_TOTAL.fullmatch(line), _LAYER.fullmatch(line)) if len(line) <= _LONGEST else (None, None)
        if layer is not None:
            sections[-1].layers.append((layer[1], layer[2], float(layer[3])))
        elif total is not None:
            sections[-1].name = total[1]
            sections[-1].times = (float(total[2]), float(total[3]), float(total[4]))
            sections.append(_Section())
        else:
            account.refuse(NEITHER)
    return [section for section in sections if section.name or section.layers]


def _model_of(section: _Section, main: GivenFile, companions: Companions) -> GivenFile | None:
    """The model of a network (rule 2)."""
    if section.name:
        named = [file for file in companions.by_kind.get(MODEL, ()) if file.path.stem == section.name]
        if named:
            companions.used.add(id(named[0]))
            return named[0]
    models = companions.by_kind.get(MODEL, [])
    if not section.name and len(models) == 1:
        return companions.find(main, MODEL, lambda file: file is models[0])
    return None


def _measurements(section: _Section, model: GivenFile, setting: Setting, account: FileAccount) -> list[Measurement]:
    from nnmeter.fusion.detect import detect_kernels

    graph = setting.graph_of(model)
    network = setting.network(model.path.stem, graph, RUNTIME, family_in(model))
    least, _, mean = section.times
    whole = [mean] if mean > 0 else []
    if section.name and whole:
        account.accept()
    elif section.name:
        account.refuse("total of no time", section.name)
    names = NodeNames(graph)
    last = _last_run(section.layers)
    account.refuse(EARLIER, "", len(section.layers) - len(last))
    groups = []
    for _, name, ms in last:
        node = names.find(name)
        if node is None:
            account.refuse(NO_LAYER, name)
        else:
            groups.append(TimedGroup(name, frozenset({node}), ms))
    if groups:
        return measurements_of_groups(setting, graph, network, groups, account, whole, mean_only=True)
    if not whole:
        return []
    kernels = [kernel.signature for kernel in detect_kernels(graph, setting.loaded_rules)]
    row = measured(network, kernels, whole, mean_only=True)
    return [replace(row, min_ms=least) if least > 0 else row]


def _last_run(layers: Sequence[tuple[str, str, float]]) -> Sequence[tuple[str, str, float]]:
    """The lines of the last run that is complete: as many as there are layers of different names."""
    count = len({name for _, name, _ in layers})
    starts = [i for i, layer in enumerate(layers) if layer[1] == layers[0][1]]
    whole = [i for i in starts if i + count <= len(layers) and len({n for _, n, _ in layers[i : i + count]}) == count]
    return layers[whole[-1] : whole[-1] + count] if whole else ()
