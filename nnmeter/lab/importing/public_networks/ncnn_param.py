"""Networks of ncnn's benchmark: a `.param` file as a description.

Rules:

1. Tensors of ncnn have no batch; here it is their first dimension. Weights are told by their size.
2. A fused activation is an operator of its own behind its convolution or product, as in other descriptions.
3. `Split` is nothing; `Flatten` and `Reshape` are Reshape; `MultiHeadAttention` does not occur in the networks that
   the tables name by ncnn.
4. Prior boxes are constants. The decoding and selection of boxes at the end (`DetectionOutput` and its kin) is left
   out: how long it takes depends on the data, and ncnn's benchmark feeds none.
5. Where a layer states the shape of what it writes, that is checked.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, prod
from pathlib import Path
from typing import Any, NamedTuple

from nnmeter.binding.assembly import same_pads
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.lab.importing.public_networks.writing import Nodes, Place

ARCHIVE = "ncnn-param.tar.gz"
_MAGIC = "7767517"
_ARRAYS = -23300  # keys of arrays count down from here
_HINTS = 30  # of the shapes that a layer writes: rank, width, height, channels of each
_SAME_UPPER, _SAME_LOWER, _REST = -233, -234, -233

Parameters = Mapping[int, Any]


class Blob(NamedTuple):
    """A tensor: where it is written, and its shape without the batch; `place` is None for a constant."""

    place: Place | None
    shape: tuple[int, ...]


def read_param(name: str, tables: Path, file: str, size: Sequence[int]) -> dict[str, Any]:
    """The description of one network of the archive.

    Args:
        name: what the description is called.
        tables: directory of the archive.
        file: name in it.
        size: channels, height and width that the network must have.

    Raises:
        MeasurementError: the archive does not have it.
        ModelError: it is damaged, or of another size.
    """
    with tarfile.open(tables / ARCHIVE) as archive:
        try:
            member = archive.extractfile(file)
        except KeyError:
            raise MeasurementError(f"{tables / ARCHIVE}: has no {file}; get the whole archive") from None
        if member is None:
            raise MeasurementError(f"{tables / ARCHIVE}: {file} is no file; get the archive anew")
        text = member.read().decode()
    return describe_param(name, text, size)


def describe_param(name: str, text: str, size: Sequence[int]) -> dict[str, Any]:
    """The description of the network in the text of a `.param` file.

    Raises:
        ModelError: it is damaged, or of another size.
    """
    lines = text.split("\n")
    if lines[0].strip() != _MAGIC:
        raise ModelError(f"{name}: is no .param file of ncnn; its first line is not {_MAGIC}")
    nodes, results = Nodes(), []
    blobs: dict[str, Blob] = {}
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        try:
            kind, _, inputs, outputs, *rest = line.split()
            count = int(inputs) + int(outputs)
            names, parameters = rest[:count], _parameters(rest[count:])
            read = [blobs[n] for n in names[: int(inputs)]]
            if kind == "Input":
                shape = tuple([parameters[key] for key in (2, 1, 0)]) if 2 in parameters else tuple(size)
                if shape != tuple(size):
                    raise ModelError(f"{name}: is of size {shape}, not {tuple(size)}; ask for that size")
                blobs[names[0]] = Blob(nodes.add_input(f"f:1bx{_text(shape)}"), shape)
            elif kind in _ENDS:
                results += [blob.place for blob in read if blob.place is not None]
            else:
                written = _LAYERS[kind](nodes, parameters, read, int(outputs))
                _check_shapes(parameters.get(_HINTS, ()), written)
                blobs.update(zip(names[int(inputs) :], written, strict=True))
        except (KeyError, ValueError, IndexError, ZeroDivisionError) as fault:
            if isinstance(fault, ModelError):
                raise
            raise ModelError(f"{name}: line {number} of the .param file cannot be read ({fault!r})") from fault
    read_places = {r for row in nodes.rows if row for r in map(_hashable, row[1])}
    loose = [b.place for b in blobs.values() if b.place is not None and _hashable(b.place) not in read_places]
    return nodes.line(name, [*results, *(place for place in loose if place not in results)])


def _check_shapes(hints: Sequence[int], written: Sequence[Blob]) -> None:
    for position, blob in enumerate(written if hints else ()):
        rank, *stated = hints[4 * position : 4 * position + 4]
        if blob.shape != tuple(stated[:rank][::-1]):
            raise ValueError(f"shape {blob.shape}, where {tuple(stated[:rank][::-1])} is stated")


def _hashable(reference: Any) -> Any:
    return tuple(reference) if isinstance(reference, list) else reference


def _parameters(items: Sequence[str]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for item in items:
        key, _, value = item.partition("=")
        if int(key) <= _ARRAYS:
            found[_ARRAYS - int(key)] = [_value(v) for v in value.split(",")[1:]]
        else:
            found[int(key)] = _value(value)
    return found


def _value(text: str) -> int | float:
    return float(text) if "." in text or "e" in text else int(text)


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _pads(p: Parameters, blob: Blob, kernel: Sequence[int], strides: Sequence[int], keys: Sequence[int]) -> list[int]:
    """Padding of rows and columns before and behind; `keys` are those of left, right, top, bottom."""
    left, right, top, bottom = keys
    first = p.get(left, 0)
    if first in (_SAME_UPPER, _SAME_LOWER):
        behind = list(same_pads(blob.shape[1:], kernel, strides))
        return behind if first == _SAME_UPPER else behind[2:] + behind[:2]
    above = p.get(top, first)
    return [above, first, p.get(bottom, above), p.get(right, first)]


def _activated(nodes: Nodes, p: Parameters, place: Place) -> Place:
    """The activation that a layer has fused (rule 2)."""
    kind, values = p.get(9, 0), p.get(10, [])
    if kind == 1:
        return nodes.add("Relu", [place])
    if kind == 2:
        return nodes.add("LeakyRelu", [place], alpha=values[0])
    if kind == 3:
        return nodes.add("Clip", [place, *[f"s:{float(v):g}" for v in values]])
    if kind == 4:
        return nodes.add("Sigmoid", [place])
    if kind == 5:
        return nodes.add("Mish", [place])
    if kind == 6:
        return nodes.add("HardSwish", [place])
    if kind:
        raise ValueError(f"activation {kind}")
    return place


def _convolution(transposed: bool) -> Callable[..., list[Blob]]:
    def rule(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
        x = _widened(nodes, read[0], 3)
        outputs, group = p[0], p.get(7, 1)
        kernel = (p.get(11, p[1]), p[1])
        strides = [p.get(13, p.get(3, 1)), p.get(3, 1)]
        dilations = [p.get(12, p.get(2, 1)), p.get(2, 1)]
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = _pads(p, x, extents, strides, (4, 15, 14, 16))
        inside = p[6] // (outputs * prod(kernel))
        weight = (x.shape[0], outputs // group, *kernel) if transposed else (outputs, inside, *kernel)
        if prod(weight) != p[6] or (not transposed and inside * group != x.shape[0]):
            raise ValueError(f"weights of {p[6]} elements for {x.shape[0]} channels")
        place = nodes.add(
            "ConvTranspose" if transposed else "Conv",
            [x.place, f"w:{_text(weight)}", *([f"w:{outputs}"] if p.get(5) else [])],
            group=group if group != 1 else None, strides=strides if strides != [1, 1] else None,
            pads=pads if any(pads) else None, dilations=dilations if dilations != [1, 1] else None,
        )  # fmt: skip
        sizes = []
        for n, s, e, a, b in zip(x.shape[1:], strides, extents, pads[:2], pads[2:], strict=True):
            sizes.append((n - 1) * s + e - a - b if transposed else (n + a + b - e) // s + 1)
        return [Blob(_activated(nodes, p, place), (outputs, *sizes))]

    return rule


def _pooling(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    averages = bool(p.get(0))
    if p.get(4):
        place = nodes.add("GlobalAveragePool" if averages else "GlobalMaxPool", [x.place])
        return [Blob(nodes.add("Reshape", [place, f"i:1bx{x.shape[0]}"]), x.shape[:1])]
    if p.get(7):
        raise ValueError("an adaptive pool")
    kernel, strides = [p.get(11, p[1]), p[1]], [p.get(12, p.get(2, 1)), p.get(2, 1)]
    mode = p.get(5, 0)
    pads = _pads(p, x, kernel, strides, (3, 14, 13, 15))
    if mode in (2, 3):
        pads = list(same_pads(x.shape[1:], kernel, strides))
        pads = pads if mode == 2 else pads[2:] + pads[:2]
    rounded = ceil if mode == 0 else floor
    sizes = [rounded((n + a + b - k) / s) + 1
             for n, a, b, k, s in zip(x.shape[1:], pads[:2], pads[2:], kernel, strides, strict=True)]  # fmt: skip
    place = nodes.add(
        "AveragePool" if averages else "MaxPool", [x.place], kernel_shape=kernel,
        strides=strides if strides != [1, 1] else None, pads=pads if any(pads) else None,
        ceil_mode=1 if mode == 0 else None, count_include_pad=1 if averages and p.get(6) else None,
    )  # fmt: skip
    return [Blob(place, (x.shape[0], *sizes))]


def _product(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    outputs, inside = p[0], p[2] // p[0]
    flat = x.place if len(x.shape) == 1 else nodes.add("Reshape", [x.place, f"i:1bx{prod(x.shape)}"])
    place = nodes.add("Gemm", [flat, f"w:{outputs}x{inside}", *([f"w:{outputs}"] if p.get(1) else [])], transB=1)
    return [Blob(_activated(nodes, p, place), (outputs,))]


def _plain(operator: str, **attributes: Any) -> Callable[..., list[Blob]]:
    def rule(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
        return [Blob(nodes.add(operator, [read[0].place], **attributes), read[0].shape)]

    return rule


def _relu(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    slope = p.get(0, 0)
    place = nodes.add("LeakyRelu" if slope else "Relu", [read[0].place], alpha=slope or None)
    return [Blob(place, read[0].shape)]


def _swish(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    place = read[0].place
    return [Blob(nodes.add("Mul", [place, nodes.add("Sigmoid", [place])]), read[0].shape)]


def _batch_norm(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    return [Blob(nodes.add("BatchNormalization", [read[0].place] + [f"w:{p[0]}"] * 4), read[0].shape)]


def _lrn(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    return [Blob(nodes.add("LRN", [read[0].place], size=p.get(1, 5)), read[0].shape)]


def _pairwise(names: Sequence[str]) -> Callable[..., list[Blob]]:
    def rule(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
        operator = names[p.get(0, 0)]
        if p.get(1) and len(read) == 1:
            place = nodes.add(operator, [read[0].place, f"s:{float(p.get(2, 0)):g}"])
            return [Blob(place, read[0].shape)]
        first, *others = (_widened(nodes, blob, max(len(b.shape) for b in read)) for blob in read)
        place, shape = first.place, first.shape
        for other in others:
            place = nodes.add(operator, [place, other.place])
            shape = tuple(map(max, shape, other.shape))
        return [Blob(place, shape)]

    return rule


def _widened(nodes: Nodes, blob: Blob, rank: int) -> Blob:
    """A tensor of fewer dimensions is of channels, here."""
    if len(blob.shape) == rank:
        return blob
    shape = (*blob.shape, *[1] * (rank - len(blob.shape)))
    if blob.place is None:
        raise ValueError("a constant of fewer dimensions")
    return Blob(nodes.add("Reshape", [blob.place, f"i:1bx{_text(shape)}"]), shape)


def _copies(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    return [read[0]] * count


def _concat(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    axis = p.get(0, 0) % len(read[0].shape)
    shape = list(read[0].shape)
    shape[axis] = sum(blob.shape[axis] for blob in read)
    if all(blob.place is None for blob in read):
        return [Blob(None, tuple(shape))]
    return [Blob(nodes.add("Concat", [blob.place for blob in read], axis=axis + 1), tuple(shape))]


def _slices(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    axis = p.get(1, 0) % len(x.shape)
    sizes = list(p[0])
    for position, size in enumerate(sizes):
        if size == _REST:
            sizes[position] = (x.shape[axis] - sum(sizes[:position])) // (len(sizes) - position)
    place = nodes.add("Split", [x.place, f"i:{_text(sizes)}"], count, axis=axis + 1)
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    return [Blob([place, number], shape) for number, shape in enumerate(shapes)]


def _crop(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    shape = list(x.shape)
    if 9 in p:
        starts, ends, axes = p[9], p[10], p.get(11, list(range(len(p[9]))))
        bounds = {axis: (start, min(end, shape[axis])) for start, end, axis in zip(starts, ends, axes, strict=True)}
    else:
        offsets, sizes = (p.get(2, 0), p.get(1, 0), p.get(0, 0)), (p.get(5), p.get(4), p.get(3))
        bounds = {axis: (start, start + size) for axis, (start, size) in enumerate(zip(offsets, sizes, strict=True))
                  if size}  # fmt: skip
    place = x.place
    for axis, (start, end) in bounds.items():
        if end - start != shape[axis]:
            place = nodes.add("Slice", [place, f"i:{start}", f"i:{end}", f"i:{axis + 1}"])
            shape[axis] = end - start
    return [Blob(place, tuple(shape))]


def _interp(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    channels, height, width = x.shape
    shape = (channels, p.get(3) or int(height * p.get(1, 1)), p.get(4) or int(width * p.get(2, 1)))
    mode = (None, None, "linear", "cubic")[p[0]]
    return [Blob(nodes.add("Resize", [x.place, "", "", f"i:1bx{_text(shape)}"], mode=mode), shape)]


_ORDERS = {2: ((0, 1), (1, 0)), 3: ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))}


def _permute(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    order = _ORDERS[len(x.shape)][p.get(0, 0)]
    place = nodes.add("Transpose", [x.place], perm=[0, *(axis + 1 for axis in order)])
    return [Blob(place, tuple([x.shape[axis] for axis in order]))]


def _flatten(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    return _reshaped(nodes, read[0], (prod(read[0].shape),))


def _reshape(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    shape = [p[key] for key in (2, 1, 0) if key in p]
    known = prod(n for n in shape if n > 0)
    return _reshaped(nodes, read[0], [n if n > 0 else prod(read[0].shape) // known for n in shape])


def _reshaped(nodes: Nodes, x: Blob, shape: Sequence[int]) -> list[Blob]:
    if tuple(shape) == x.shape:
        return [x]
    place = None if x.place is None else nodes.add("Reshape", [x.place, f"i:1bx{_text(shape)}"])
    return [Blob(place, tuple(shape))]


def _softmax(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    return [Blob(nodes.add("Softmax", [read[0].place], axis=p.get(0, 0) + 1), read[0].shape)]


def _reduction(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    if p.get(0) != 3 or p.get(1, 1) or sorted(p[3]) != [1, 2] or not p.get(4):
        raise ValueError("a reduction that is no mean over the map")
    return [Blob(nodes.add("GlobalAveragePool", [x.place]), (x.shape[0], 1, 1))]


def _padding(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    before, after = [p.get(7, 0), p.get(0, 0), p.get(2, 0)], [p.get(8, 0), p.get(1, 0), p.get(3, 0)]
    if not any(before + after):
        return [x]
    place = nodes.add("Pad", [x.place, f"i:{_text([0, *before, 0, *after])}"])
    return [Blob(place, tuple([n + a + b for n, a, b in zip(x.shape, before, after, strict=True)]))]


def _shuffle(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    (x,) = read
    channels, height, width = x.shape
    groups = channels // p[0] if p.get(1) else p[0]
    apart = nodes.add("Reshape", [x.place, f"i:1bx{groups}x{channels // groups}x{height}x{width}"])
    turned = nodes.add("Transpose", [apart], perm=[0, 2, 1, 3, 4])
    return [Blob(nodes.add("Reshape", [turned, f"i:1bx{_text(x.shape)}"]), x.shape)]


def _prior_boxes(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    smallest, largest, ratios = p.get(0, []), p.get(1, []), p.get(2, [])
    each = len(smallest) * (1 + len(ratios) * (2 if p.get(7, 1) else 1)) + len(largest)
    return [Blob(None, (2, 4 * each * prod(read[0].shape[1:])))]


def _constant(nodes: Nodes, p: Parameters, read: Sequence[Blob], count: int) -> list[Blob]:
    shape = tuple([p[key] for key in (2, 1, 0) if p.get(key)])
    return [Blob(f"w:1x{_text(shape)}", shape)]


_ENDS = frozenset({"DetectionOutput", "YoloDetectionOutput", "Yolov3DetectionOutput", "Noop"})  # rule 4
_LAYERS: dict[str, Callable[..., list[Blob]]] = {
    "Convolution": _convolution(transposed=False),
    "ConvolutionDepthWise": _convolution(transposed=False),
    "DeconvolutionDepthWise": _convolution(transposed=True),
    "Pooling": _pooling,
    "InnerProduct": _product,
    "BatchNorm": _batch_norm,
    "LRN": _lrn,
    "ReLU": _relu,
    "Sigmoid": _plain("Sigmoid"),
    "HardSwish": _plain("HardSwish"),
    "HardSigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "Swish": _swish,
    "BinaryOp": _pairwise(("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow")),
    "Eltwise": _pairwise(("Mul", "Add", "Max")),
    "Split": _copies,
    "Dropout": _copies,
    "Concat": _concat,
    "Slice": _slices,
    "Crop": _crop,
    "Interp": _interp,
    "Permute": _permute,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Reduction": _reduction,
    "Padding": _padding,
    "ShuffleChannel": _shuffle,
    "PriorBox": _prior_boxes,
    "MemoryData": _constant,
}
