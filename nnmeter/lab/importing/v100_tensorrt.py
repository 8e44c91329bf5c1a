"""Convolutions timed in TensorRT on a V100, from Alibaba's library for the search of light networks.

A directory of `conv_fp32.txt.gz`, `conv_fp16.txt.gz` and `conv_int8.txt.gz` (or `.txt`), or one of them; a line is
`{type,batch,cin,height,width,cout,kernel,stride,fused_add} milliseconds`, -1 where TensorRT failed.

Rules:

1. `Regular` is a convolution of all channels, `Depthwise` one of each channel alone. Padding is half the kernel, so
   that a stride of 1 keeps the size. A bias is there; `fused_add` is a sum with a tensor of the result's shape.
2. A line is a kernel as `tensorrt_cuda` would detect it; of activations, which TensorRT adds for nothing, nothing is
   told.
3. Lines of one input (batch, channels and size) are one family: neighbours, that only one side of a split may have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nnmeter.binding.assembly import same_pads
from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import kernel_signature
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.published import Imported, PublishedDevice, Source, published_measurement
from nnmeter.lab.importing.text_files import open_text

SOURCE = Source(
    name="v100-tensorrt",
    title="latency library of lightweight-neural-architecture-search",
    url="https://github.com/alibaba/lightweight-neural-architecture-search",
    license="Apache-2.0",
    year=2022,
)

_HARDWARE = "NVIDIA Tesla V100"
_PRECISIONS = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_FIELDS = 9
_LARGEST_SIZE = 1 << 20
_TYPES = frozenset({"Regular", "Depthwise"})

_DEVICES = tuple(
    [
        PublishedDevice(
            f"v100_tensorrt_{short}", _HARDWARE, "gpu", "tensorrt", "unknown", "tensorrt_cuda", precision=precision,
            parameters={} if precision == "float32" else {precision: True},
        )
        for short, precision in _PRECISIONS.items()
    ]
)  # fmt: skip

Progress = Callable[[str, int], None]


def devices(source: Path) -> Sequence[PublishedDevice]:
    """One device for each precision whose file is there."""
    found = set(_files(source))
    return [device for device in _DEVICES if device.name.rpartition("_")[2] in found]


def import_measurements(
    source: Path,
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Import the convolutions of a directory or file.

    Args:
        source: the directory or file.
        chosen: devices to import.
        detection: their fusion rules, whose parameters tell the precision.
        limit: most lines of a file.
        progress: told the file and how many of its lines are done.

    Raises:
        MeasurementError: there is nothing to read.
    """
    imported = Imported(SOURCE, fingerprints={d.name: d.fingerprint(SOURCE, *detection.fingerprint_fields(d.name))
                                              for d in chosen})  # fmt: skip
    files = _files(source)
    for device in chosen:
        path = files[device.name.rpartition("_")[2]]
        used: Counter[str] = Counter()
        for number, line in enumerate(_lines(path)):
            if number == limit:
                break
            _import_line(imported, device, detection, line, f"{path.name}:{number + 1}", used)
            if progress and number % 2000 == 0:
                progress(path.name, number)
    return imported


def convolution_signature(
    kind: str, sizes: Sequence[int], add: bool, dtype: str = "float32"
) -> tuple[KernelSignature, str]:
    """The kernel of a line and its family (rules 1 to 3).

    Args:
        kind: `Regular` or `Depthwise`.
        sizes: batch, input channels, height, width, output channels, kernel, stride.
        add: whether a sum is fused.
        dtype: element type of data and weights.

    Raises:
        ValueError: they make no convolution.
    """
    batch, channels, height, width, outputs, kernel, stride = sizes
    depthwise = kind == "Depthwise"
    if kind not in _TYPES or min(sizes) < 1 or max(sizes) > _LARGEST_SIZE or (depthwise and channels != outputs):
        raise ValueError(kind)
    result = TensorType(dtype, (batch, outputs, -(-height // stride), -(-width // stride)))
    inputs = [
        TensorType(dtype, (batch, channels, height, width)),
        TensorType(dtype, (outputs, 1 if depthwise else channels, kernel, kernel)),
        TensorType(dtype, (outputs,)),
        *([result] if add else []),
    ]
    signature = kernel_signature(
        "Conv",
        "",
        {
            "kernel_shape": (kernel, kernel),
            "strides": (stride, stride),
            "pads": same_pads((height, width), (kernel, kernel), (stride, stride)),
            "group": channels if depthwise else 1,
            **({"fused": "Add"} if add else {}),
        },
        inputs,
        [False, True, True, False][: len(inputs)],
        [result],
    )
    return signature, f"{kind}-{batch}x{channels}x{height}x{width}"


def _import_line(
    imported: Imported, device: PublishedDevice, detection: Detection, line: str, where: str, used: Counter[str]
) -> None:
    key, _, time = line.strip().removeprefix("{").partition("}")
    try:
        kind, *numbers = key.split(",")
        sizes, time_ms = [int(n) for n in numbers], float(time)
        if len(numbers) != _FIELDS - 1 or sizes[-1] not in (0, 1):
            raise ValueError(key)
        signature, family = convolution_signature(kind, sizes[:-1], bool(sizes[-1]), device.precision)
    except ValueError:
        return imported.refuse(device.name, "the line is no convolution with a time", where)
    if time_ms == -1:
        return imported.refuse(device.name, "TensorRT failed", where)
    if not math.isfinite(time_ms) or time_ms <= 0:
        return imported.refuse(device.name, "the time is no positive number", where)
    name = "-".join([kind, *numbers])
    used[name] += 1
    id = f"kernel:{name}" if used[name] == 1 else f"kernel:{name}@{used[name]}"
    return imported.accept(
        device.name,
        published_measurement(
            SOURCE, device, id, "kernel", name, family, [detection.intern(signature)], time_ms, batch=sizes[0]
        ),
    )


def _files(source: Path) -> dict[str, Path]:
    """Files by precision."""
    places = [source] if source.is_file() else sorted(source.glob("conv_*.txt*"))
    found = {short: path for path in places for short in _PRECISIONS if f"_{short}." in path.name}
    if not found:
        raise MeasurementError(
            f"{source}: holds no conv_fp32.txt.gz, conv_fp16.txt.gz or conv_int8.txt.gz; give their directory"
        )
    return found


def _lines(path: Path) -> Iterator[str]:
    with open_text(path, "a list of convolutions") as lines:
        yield from lines
