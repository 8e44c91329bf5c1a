"""Weights that all networks of a kit share, so that a kit of hundreds of networks is as small as a few of them.

Rules:

1. Random weights are as good as any, and those of all networks may be the same numbers. So large tensors refer to
   places in one file (`location`, `offset` and `length` of ONNX's external data), which overlap.
2. Floats are normal numbers of a spread that keeps results in range: the file has a region for each of `SPREADS`, and
   a tensor takes the one next to its own. Half precision has regions of its own; other types are whole numbers of any
   value.
3. Tensors of up to `EMBEDDED_BYTES` stay in the network: shapes, scales, offsets and the like have values that matter.
4. A tensor begins at a multiple of `ALIGNMENT` that follows from its name, so that two tensors of one network do not
   share all of their cache lines.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

FILE = "weights.bin"
EMBEDDED_BYTES = 4096
ALIGNMENT = 4096
SPREADS = (0.5, 0.2, 0.08, 0.03)
_SAMPLE = 4096  # elements that tell the spread of a tensor
_FLOATS = {"FLOAT": np.float32, "FLOAT16": np.float16}


class SharedWeights:
    """The regions of the file, as large as the largest tensor that refers to them."""

    def __init__(self, largest_bytes: int) -> None:
        """Take the size that a region may grow to, in bytes."""
        self.largest_bytes = largest_bytes
        self._sizes: dict[str, int] = {}
        self._pending: list[tuple[onnx.TensorProto, str, int]] = []

    def fits(self, model: onnx.ModelProto) -> bool:
        """Whether no tensor is larger than a region may be."""
        return all(len(tensor.raw_data) <= self.largest_bytes for tensor in model.graph.initializer)

    def take(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A copy of a model with references, to be placed by `place`, for its large weights, which the model loses.

        A copy, for protobuf keeps the memory of what is cleared until the whole message goes.
        """
        from onnx import ModelProto

        found: list[tuple[int, str, int]] = []
        for place, tensor in enumerate(model.graph.initializer):
            size = len(tensor.raw_data)
            region = _region_of(tensor)
            if size <= EMBEDDED_BYTES or region is None:
                continue
            self._sizes[region] = max(self._sizes.get(region, 0), size)
            found.append((place, region, size))
            tensor.ClearField("raw_data")
        copy = ModelProto()
        copy.CopyFrom(model)
        self._pending += [(copy.graph.initializer[place], region, size) for place, region, size in found]
        return copy

    def place(self) -> None:
        """Writes into every tensor that was taken where its bytes are (rules 1 and 4); models are kept until then."""
        from onnx import TensorProto

        starts = self._starts()
        for tensor, region, size in self._pending:
            room = self._room(region) - size
            step = zlib.crc32(tensor.name.encode()) % (room // ALIGNMENT + 1)
            del tensor.external_data[:]
            entries = (("location", FILE), ("offset", str(starts[region] + step * ALIGNMENT)), ("length", str(size)))
            for key, value in entries:
                tensor.external_data.add(key=key, value=value)
            tensor.data_location = TensorProto.EXTERNAL
        self._pending.clear()

    def chunks(self, seed: int) -> Iterator[bytes]:
        """The content of the file, a region at a time."""
        for region in sorted(self._sizes):
            yield _content(region, self._room(region), seed)

    def _room(self, region: str) -> int:
        """Bytes of a region: its largest tensor and a quarter, whole pages."""
        pages = -(-self._sizes[region] // ALIGNMENT)
        return (pages + pages // 4 + 1) * ALIGNMENT

    def _starts(self) -> dict[str, int]:
        starts, at = {}, 0
        for region in sorted(self._sizes):
            starts[region] = at
            at += self._room(region)
        return starts


def _region_of(tensor: onnx.TensorProto) -> str | None:
    """The region of rule 2 that a tensor's values are like; None for types that stay in the network."""
    from onnx import TensorProto

    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind in _FLOATS:
        width = np.dtype(_FLOATS[kind]).itemsize
        sample = np.frombuffer(tensor.raw_data[: _SAMPLE * width], _FLOATS[kind]).astype(np.float32)
        if sample.min() >= 0:
            return None  # variances and the like must not become negative
        spread = float(sample.std()) or SPREADS[-1]
        nearest = min(SPREADS, key=lambda one: abs(np.log(one / spread)))
        return f"{kind.lower()}-{nearest}"
    return "bytes" if kind in ("INT8", "UINT8", "INT4", "UINT4") else None


def _content(region: str, size: int, seed: int) -> bytes:
    generator = np.random.default_rng([seed, zlib.crc32(region.encode())])
    if region == "bytes":
        return generator.bytes(size)
    kind, _, spread = region.partition("-")
    dtype = _FLOATS[kind.upper()]
    values = generator.standard_normal(size // np.dtype(dtype).itemsize, dtype=np.float32) * np.float32(spread)
    return values.astype(dtype).tobytes()
