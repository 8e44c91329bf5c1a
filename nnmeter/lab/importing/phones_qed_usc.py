"""Latencies of pytorchcv's networks on six phones: "A Benchmark for ML Inference Latency on Mobile Devices" (2024).

A directory with `tflite_cnn_e2e.csv.gz` (whole networks; a column a phone, its cores and the precision) and
`tflite_cnn_ops_gpu.csv.gz` (their operations on the phones' GPUs, with the kernel that ran), times in microseconds.

Rules:

1. A device is a phone with some of its cores, or its GPU, and a precision: `pixel4-1large-tflite`,
   `pixel4-1large-tflite-int8`, `pixel4-gpu-tflite`. A row is a line of a table for one device.
2. A whole network is named; `network_catalog` tells its operators. An operation is a kernel (`phone_operations`).
3. Where a depthwise convolution and the 1x1 convolution behind it ran as one kernel, both lines repeat its time: they
   are one measurement of two kernels. What joined a kernel whose name does not tell (Winograd's convolutions) is told
   by the line's other devices: the graph is the same.
4. Tables of PyTorch Mobile (`torch_*`) are passed over: there are no fusion rules of it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.files import whole_number
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.network_catalog import read_network
from nnmeter.lab.importing.phone_operations import (
    OperationFault,
    is_pair,
    joined_operators,
    operation_signature,
    parse_operation,
)
from nnmeter.lab.importing.published import Imported, PublishedDevice, Source, published_measurement
from nnmeter.lab.importing.text_files import open_text

SOURCE = Source(
    name="phones-qed-usc",
    title="A Benchmark for ML Inference Latency on Mobile Devices (Li et al., EdgeSys 2024)",
    url="https://github.com/qed-usc/mobile-ml-benchmark",
    license="MIT",
    year=2024,
)

_WHOLES, _OPERATIONS = "tflite_cnn_e2e.csv", "tflite_cnn_ops_gpu.csv"
_PASSED_OVER = ("torch_cnn_e2e.csv", "torch_cnn_ops_gpu.csv")
_PHONES: dict[str, tuple[str, str]] = {  # phone -> its processor, its GPU
    "pixel4": ("Snapdragon 855 (Google Pixel 4)", "Adreno 640"),
    "s10": ("Exynos 9820 (Samsung Galaxy S10)", "Mali-G76"),
    "mi8se": ("Snapdragon 710 (Xiaomi Mi 8 SE)", "Adreno 616"),
    "a03s": ("Helio P35 (Samsung Galaxy A03s)", "PowerVR GE8320"),
    "iphone7": ("A10 Fusion (Apple iPhone 7)", "the GPU"),
    "iphonexs": ("A12 Bionic (Apple iPhone XS)", "the GPU"),
}
# Architecture families, those first whose names begin with the name of another.
_FAMILIES = (
    "bagnet bninception condensenet darknet densenet diracnet dla efficientnet_edge efficientnet fbnet fdmobilenet "
    "ghostnet hardnet hrnet mnasnet mobilenetv3 mobilenetv2 mobilenet preresnet proxylessnas regnetx regnety resnext "
    "resnet sepreresnet seresnext seresnet senet shufflenetv2 shufflenet spnasnet squeezenet squeezeresnet vovnet"
).split()
_INPUT_SIZE = 224
_WHITE = ("", "nan", "None")

Progress = Callable[[str, int], None]


def devices(source: Path) -> Sequence[PublishedDevice]:
    """The devices that the columns of the tables name (rule 1)."""
    found: dict[str, PublishedDevice] = {}
    for table, last in ((_WHOLES, "mean"), (_OPERATIONS, "float")):
        path = _table(source, table)
        for column in _read(path)[0] if path else ():
            phone, _, rest = column.partition("|")
            parts = rest.split("|")
            if parts[-1] == last and len(parts) > 1:
                device = _device(phone, parts[0], parts[1])
                found.setdefault(device.name, device)
    if not found:
        raise MeasurementError(f"{source}: holds neither {_WHOLES}.gz nor {_OPERATIONS}.gz; give their directory")
    return list(found.values())


def _device(phone: str, cores: str, precision: str) -> PublishedDevice:
    processor, gpu = _PHONES.get(phone, (phone, "the GPU"))
    integer = precision == "quant"
    name = f"{phone}-{cores}-tflite{'-int8' if integer else ''}"
    if cores == "gpu":
        return PublishedDevice(name, f"{gpu} of a {processor}", "gpu", "tflite-gpu", "unknown", "tflite_gpu")
    count = sum(whole_number(c) or 0 for c in cores)
    return PublishedDevice(
        name, f"{processor}, cores: {cores}", "cpu", "tflite", "unknown", "tflite21_cpu", threads=count,
        precision="int8" if integer else "float32", parameters={"int8": True} if integer else {},
    )  # fmt: skip


def import_measurements(
    source: Path,
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Import the tables of a directory, or one table.

    Args:
        source: the directory or file.
        chosen: devices to import.
        detection: their fusion rules.
        limit: most lines of a table.
        progress: told the table and how many of its lines are done.

    Raises:
        MeasurementError: there is nothing to read.
    """
    imported = Imported(SOURCE, fingerprints={d.name: d.fingerprint(SOURCE, *detection.fingerprint_fields(d.name))
                                              for d in chosen})  # fmt: skip
    for name in _PASSED_OVER:
        path = _table(source, name)
        if path:
            count = len(_read(path)[1])
            imported.passed_over[name] = f"{count} lines of PyTorch Mobile, of which there are no fusion rules"
    for name, read in ((_WHOLES, _import_whole), (_OPERATIONS, None)):
        path = _table(source, name)
        if not path:
            continue
        header, lines = _read(path)
        lines = lines[:limit]
        if read is None:
            _import_operations(imported, chosen, header, lines, detection)
            continue
        for number, line in enumerate(lines):
            _import_whole(imported, chosen, header, line, detection)
            if progress:
                progress(path.name, number)
    return imported


def family_of(network: str) -> str:
    """The architecture family of one of pytorchcv's networks."""
    return next((family for family in _FAMILIES if network.startswith(family)), network)


def _import_whole(
    imported: Imported,
    chosen: Sequence[PublishedDevice],
    header: Sequence[str],
    line: Mapping[str, str],
    detection: Detection,
) -> None:
    name = line["model"] or ""
    mine = [device for device in chosen if _column(device, "mean") in header]
    try:
        kernels = detection.kernels(bind_shapes(read_network(name)))
    except ModelError as fault:
        for device in mine:
            imported.refuse(device.name, f"the network cannot be rebuilt: {str(fault).removeprefix(name + ': ')}", name)
        return
    for device in mine:
        time_ms = _milliseconds(line[_column(device, "mean")])
        if time_ms is None:
            imported.refuse(device.name, "no time in the table", name)
            continue
        imported.accept(
            device.name,
            published_measurement(
                SOURCE, device, f"model:{name}", "model", name, family_of(name), kernels[device.name], time_ms
            ),
        )


def _import_operations(
    imported: Imported,
    chosen: Sequence[PublishedDevice],
    header: Sequence[str],
    lines: Sequence[Mapping[str, str]],
    detection: Detection,
) -> None:
    mine = [device for device in chosen if {_column(device), _column(device, "kernel")}.issubset(header)]
    kernel_columns = [column for column in header if column.endswith("|kernel")]
    waiting: dict[str, KernelSignature] = {}  # depthwise halves of pairs, by device
    network, number, sizes = "", 0, {_INPUT_SIZE}
    concats: dict[tuple[int, ...], tuple[int, ...]] = {}
    for line in lines:
        if line["model"] != network:
            network, number, sizes = line["model"], 0, {_INPUT_SIZE}
            concats = _concats(network) if mine else {}
        number += 1
        row = f"{network}:{number}"
        try:
            operation = parse_operation(line["operation"], line["feature"])
            known = (joined_operators(line[column]) for column in kernel_columns if line[column] not in _WHITE)
            joined = next((found for found in known if found is not None), ())
            signature = detection.intern(operation_signature(operation, joined, sizes, concats))
        except OperationFault as fault:
            for device in mine:
                imported.refuse(device.name, str(fault), row)
            continue
        sizes.add(operation.out_size)
        for device in mine:
            time_ms = _milliseconds(line[_column(device)])
            kernels: tuple[KernelSignature, ...] = (signature,)
            pair = is_pair(line[_column(device, "kernel")])
            first = waiting.pop(device.name, None)
            if first is not None and not pair:
                imported.refuse(device.name, "one half of two convolutions in one kernel", row)
                first = None
            if time_ms is None:
                imported.refuse(device.name, "no time in the table", row)
            elif pair and first is None:
                waiting[device.name] = signature
            else:
                kernels = (signature,) if first is None else (first, signature)
                imported.accept(
                    device.name,
                    published_measurement(
                        SOURCE, device, f"kernel:{row}", "block" if pair else "kernel", network, family_of(network),
                        kernels, time_ms,
                    ),
                    rows=len(kernels),
                )  # fmt: skip
    for name in waiting:
        imported.refuse(name, "one half of two convolutions in one kernel", f"{network}:{number}")


def _concats(network: str) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Channels of the inputs of a network's concatenations, by size, number of inputs, first input and result."""
    try:
        graph = bind_shapes(read_network(network))
    except ModelError:
        return {}
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for node in graph.nodes:
        shape = graph.types[node.outputs[0]].shape
        if node.op_type == "Concat" and len(shape) == 4:
            channels = tuple([graph.types[name].shape[1] for name in node.inputs])
            found[shape[2], len(channels), channels[0], shape[1]] = channels
    return found


def _column(device: PublishedDevice, last: str = "") -> str:
    phone, cores, *_ = device.name.split("-")
    precision = "quant" if device.precision == "int8" else "float"
    if last == "kernel":
        return f"{phone}|{cores}|kernel"
    return "|".join([phone, cores, precision, *([last] if last else [])])


def _milliseconds(text: str | None) -> float | None:
    try:
        value = float(text or "nan") / 1e3
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _table(source: Path, name: str) -> Path | None:
    places = [source] if source.is_file() else [source / name, source / f"{name}.gz"]
    return next((p for p in places if p.is_file() and p.name.removesuffix(".gz") == name), None)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with open_text(path, "a table") as text:
        reader = csv.DictReader(text, restval="")
        lines = list(reader)
        header = list(reader.fieldnames or ())
    needed = ["model", "operation", "feature"] if path.name.startswith(_OPERATIONS) else ["model"]
    if header[:1] != ["model"] or not set(needed).issubset(header):
        raise MeasurementError(
            f"{path}: is no table of the phones' data set: its columns are not {', '.join(needed)} and times"
        )
    return header, lines
