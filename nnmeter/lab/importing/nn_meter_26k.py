"""The benchmark of generated networks that nn-Meter published: 26,000 networks on four devices.

A directory of `<family>.jsonl.gz` (or `.jsonl`) files, or one of them; a line is a network: `{"id", "family",
"input_nhwc", "latency_ms": {device: ms}, "repeat_measurements_ms": {device: [ms]}, "nodes"}`. `node_list` reads
`nodes`; where there are none, `params` of NAS-Bench-201 (`arch_str`, `C`, `N`, `num_classes`) tell the network. A row
is one network on one device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.graph.ir import Graph
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.nasbench201 import nasbench201_nodes
from nnmeter.lab.importing.node_list import graph_of_node_list
from nnmeter.lab.importing.published import Imported, PublishedDevice, Source, published_measurement
from nnmeter.lab.importing.text_files import open_text

SOURCE = Source(
    name="nn-meter-26k",
    title="nn-Meter bench dataset (Zhang et al., MobiSys 2021)",
    url="https://github.com/microsoft/nn-Meter",
    license="MIT",
    year=2021,
)

_DEVICES = (
    PublishedDevice("cortexA76cpu_tflite21", "Cortex-A76, one large core of a Snapdragon 855 (Google Pixel 4)", "cpu",
                    "tflite", "2.1", "tflite21_cpu"),
    PublishedDevice("adreno640gpu_tflite21", "Adreno 640 of a Snapdragon 855 (Xiaomi Mi 9)", "gpu",
                    "tflite-gpu", "2.1", "tflite21_gpu"),
    PublishedDevice("adreno630gpu_tflite21", "Adreno 630 of a Snapdragon 845 (Google Pixel 3 XL)", "gpu",
                    "tflite-gpu", "2.1", "tflite21_gpu"),
    PublishedDevice("myriadvpu_openvino2019r2", "Myriad X VPU (Intel Neural Compute Stick 2)", "vpu",
                    "openvino-myriad", "2019R2", "openvino2019r2_myriad"),
)  # fmt: skip

_LONGEST_MS = 1e9

Progress = Callable[[str, int], None]


def devices(source: Path) -> Sequence[PublishedDevice]:
    """The devices that the data set has times of."""
    return _DEVICES


def import_measurements(
    source: Path,
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Import the networks of a directory or file.

    Args:
        source: the directory or file.
        chosen: devices to import.
        detection: their fusion rules.
        limit: most networks of a file.
        progress: told the file and how many of its networks are done.

    Raises:
        MeasurementError: there is nothing to read.
    """
    imported = Imported(SOURCE, fingerprints={d.name: d.fingerprint(SOURCE, *detection.fingerprint_fields(d.name))
                                              for d in chosen})  # fmt: skip
    seen: set[str] = set()
    for path in _files(source):
        for number, line in enumerate(_lines(path)):
            if number == limit:
                break
            _import_network(imported, chosen, detection, line, f"{path.name}:{number + 1}", seen)
            if progress and number % 50 == 0:
                progress(path.name, number)
    return imported


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(p for p in source.glob("*.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz")))
    if not found:
        raise MeasurementError(f"{source}: holds no .jsonl.gz files of nn-Meter's data set; give their directory")
    return found


def _lines(path: Path) -> Iterator[str]:
    with open_text(path, "a list of networks") as lines:
        yield from lines


def _import_network(
    imported: Imported,
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    line: str,
    where: str,
    seen: set[str],
) -> None:
    def refuse_all(reason: str, row: str) -> None:
        for device in chosen:
            imported.refuse(device.name, reason, row)

    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    latency = entry.get("latency_ms") if isinstance(entry, dict) else None
    if not isinstance(latency, dict) or not {"id", "family"} <= entry.keys():
        return refuse_all("the line is no network with id, family and latency_ms", where)
    name, family = (str(entry[key])[:200] for key in ("id", "family"))
    if name in seen:
        return refuse_all("a network of that id came before", name)
    seen.add(name)
    timed = [device for device in chosen if device.name in latency]
    for device in chosen:
        if device not in timed:
            imported.refuse(device.name, "not measured on this device", name)
    if not timed:
        return None
    try:
        kernels = detection.kernels(_graph(name, entry))
    except ModelError as fault:
        reason = "the network cannot be rebuilt: " + str(fault).removeprefix(f"{name}: ")
        for device in timed:
            imported.refuse(device.name, reason, name)
        return None
    repeats = entry.get("repeat_measurements_ms")
    for device in timed:
        time_ms = latency[device.name]
        if not _is_time(time_ms):
            imported.refuse(device.name, "the latency is no positive number", name)
            continue
        times = repeats.get(device.name) if isinstance(repeats, dict) else None
        again = [float(t) for t in times if _is_time(t)] if isinstance(times, list) else []
        imported.accept(
            device.name,
            published_measurement(
                SOURCE, device, f"model:{name}", "model", name, family, kernels[device.name], float(time_ms), again
            ),
        )
    return None


def _is_time(value: Any) -> bool:
    """Whether a value of the file is a time in milliseconds; a whole number may be too large for a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LONGEST_MS


def _graph(name: str, entry: Mapping[str, Any]) -> Graph:
    if "nodes" in entry:
        return graph_of_node_list(name, entry["nodes"])
    try:
        params = entry["params"]
        nodes = nasbench201_nodes(
            str(params["arch_str"]), int(params["C"]), int(params["N"]), int(params["num_classes"]),
            int(entry["input_nhwc"][1]),
        )  # fmt: skip
    except ModelError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as fault:
        raise ModelError(f"{name}: has neither nodes nor the parameters of a NAS-Bench-201 network") from fault
    return graph_of_node_list(name, nodes)
