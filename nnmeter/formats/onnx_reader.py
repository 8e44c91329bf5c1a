"""Reads an ONNX file in place, its weights left where they are.

Rules:
1. The file is mapped, not loaded, if it is not a small one: only the pages that hold operators and the headers of
   tensors are touched, so a model costs what its graph costs, whatever its weights weigh.
2. External data is never opened; a model whose sidecar is missing reads like any other.
3. The operator set must be one of `OLDEST_OPSET` to `NEWEST_OPSET`, the version of the file format at most `NEWEST_IR`;
   other domains may have any version.
4. Whatever is wrong is one `ModelError` that names the file, the fault and the remedy.
5. Only a regular file is opened: a pipe would have its reader wait, and a device has no end.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.errors import ModelError, brief
from nnmeter.files import open_regular
from nnmeter.formats.build import build_graph
from nnmeter.formats.foreign import what_directory
from nnmeter.formats.functions import inline_functions
from nnmeter.formats.scan import Scanner
from nnmeter.formats.scanned import ScannedGraph, ScannedModel
from nnmeter.formats.wire import LimitError, WireError
from nnmeter.graph.ir import Node
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import UnboundGraph, UnboundModel
from nnmeter.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 1
NEWEST_OPSET = 28  # that of onnx 1.23
_ML, NEWEST_ML_OPSET = "ai.onnx.ml", 5  # likewise
NEWEST_IR = 14  # likewise
_OLDEST_IR = 0  # of a writer that states none
_OLDEST_CHECKED = 3  # from which on operator sets are named
_OPTIONAL_INPUTS = 4  # from which on an initializer need not be an input

_COPIED_BYTES = 256 << 10  # a file up to this size is read whole, which is faster than to map it
_RANDOM_ACCESS_BYTES = 64 << 20  # in larger files the kernel is told not to read ahead into weights


def read_file(path: str | os.PathLike[str]) -> UnboundModel:
    """Read a model from a file.

    Raises:
        ModelError: it is no file, or no ONNX model.
    """
    source = os.fspath(path)
    try:
        with open_regular(source) as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                raise ModelError(f"{source}: is empty; give an ONNX file")
            if size > MAX_FILE_BYTES:
                raise ModelError(f"{source}: has more than {MAX_FILE_BYTES >> 30} GiB; keep its weights in other files")
            if size <= _COPIED_BYTES:
                return _guarded(source, Path(source).stem, lambda: _scan_copy(stream.read(size)))
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                scanner = Scanner()
                if size > _RANDOM_ACCESS_BYTES and hasattr(mmap, "MADV_RANDOM"):
                    mapped.madvise(mmap.MADV_RANDOM)
                    scanner = Scanner(release=lambda: mapped.madvise(mmap.MADV_DONTNEED))
                return _guarded(source, Path(source).stem, lambda: scanner.model(mapped, 0, size))
    except IsADirectoryError as fault:
        raise ModelError(f"{source}: {what_directory(source)}") from fault
    except FileNotFoundError as fault:
        raise ModelError(f"{source}: no such file; check the path") from fault
    except ModelError:
        raise
    except ValueError as fault:  # of a path with a zero in it
        raise ModelError(f"{source!r:.200}: is no path; give that of an ONNX file") from fault
    except OSError as fault:
        raise ModelError(f"{source}: cannot be read ({fault.strerror or fault}); give a readable ONNX file") from fault


def _scan_copy(data: bytes) -> ScannedModel:
    return Scanner().model(data, 0, len(data))


def read_bytes(data: bytes, source: str = "model") -> UnboundModel:
    """Read a model from the bytes of a file; errors call it `source`."""
    if not data:
        raise ModelError(f"{source}: is empty; give the bytes of an ONNX file")
    return _guarded(source, "", lambda: Scanner().model(data, 0, len(data)))


def read_proto(proto: onnx.ModelProto, source: str = "model") -> UnboundModel:
    """Read a model from a `ModelProto`, whose weights are not copied; errors call it `source`."""
    from nnmeter.formats.onnx_objects import scan_proto

    return _guarded(source, "", lambda: scan_proto(proto))


def _guarded(source: str, name: str, scan: Callable[[], ScannedModel]) -> UnboundModel:
    try:
        return _model(scan(), source, name)
    except LimitError as fault:
        remedy = "it is larger than what is read of a stranger's file; raise the limit in nnmeter.limits for your own"
        raise ModelError(f"{source}: {brief(fault)}; {remedy}") from fault
    except WireError as fault:
        raise ModelError(f"{source}: {brief(fault)}; {_REMEDY}") from fault
    except (IndexError, UnicodeDecodeError) as fault:
        raise ModelError(f"{source}: is truncated or not an ONNX model; {_REMEDY}") from fault


_REMEDY = "give a complete ONNX file, or export the model again"


def _overridable(scanned: ScannedModel, built: UnboundGraph) -> frozenset[str]:
    """Initializers that are inputs, too: before version 4 all had to be, since then those that may be overridden."""
    if scanned.graph is None or scanned.ir_version < _OPTIONAL_INPUTS:
        return frozenset()
    return frozenset(d.name for d in scanned.graph.inputs if d.name in built.constants)


def _model(scanned: ScannedModel, source: str, name: str) -> UnboundModel:
    graph = scanned.graph
    if graph is None:
        raise WireError("is not an ONNX model: it has no graph")
    _check_opsets(scanned, source)
    repeated = tuple(name for name, count in Counter(n.name for n in graph.nodes).items() if name and count > 1)
    inline_functions(scanned)
    notes = tuple(_notes(scanned, graph))
    if not graph.nodes and not graph.outputs:
        raise WireError("is not an ONNX model: its graph is empty")
    if not graph.outputs:
        raise WireError("its graph has no outputs")
    built = build_graph(graph)
    return UnboundModel(
        name or built.name or "model",
        built.nodes,
        built.inputs,
        built.outputs,
        built.constants,
        built.values,
        built.value_info,
        source,
        scanned.opsets,
        scanned.ir_version,
        overridable=_overridable(scanned, built),
        repeated_names=repeated,
        notes=notes,
    )


def _check_opsets(scanned: ScannedModel, source: str) -> None:
    if not _OLDEST_IR <= scanned.ir_version <= NEWEST_IR:
        raise ModelError(
            f"{source}: version {scanned.ir_version} of the file format is unknown; "
            f"export the model with one up to {NEWEST_IR}"
        )
    if not scanned.opsets:
        raise WireError("is not an ONNX model: it names no operator set")
    version = scanned.opsets.get("", NEWEST_OPSET)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise ModelError(
            f"{source}: operator set {version} is unknown; "
            f"export the model with one from {OLDEST_OPSET} to {NEWEST_OPSET}"
        )
    version = scanned.opsets.get(_ML, NEWEST_ML_OPSET)
    if not 1 <= version <= NEWEST_ML_OPSET:
        raise ModelError(
            f"{source}: operator set {version} of {_ML} is unknown; export the model with one up to {NEWEST_ML_OPSET}"
        )


def _notes(scanned: ScannedModel, graph: ScannedGraph) -> Iterator[Note]:
    """What only ONNX's checker objects to. A model that names no set of ai.onnx gets the newest, as in runtimes."""
    if scanned.ir_version < _OLDEST_CHECKED:
        said = f"its file format is of version {scanned.ir_version}, in which operator sets have no names"
        yield Note(f"{said}; ONNX's checker refuses it", "declared")
    elif scanned.ir_version < _OPTIONAL_INPUTS:
        declared = {d.name for d in graph.inputs}
        outside = [stored.name for stored in graph.tensors if stored.name not in declared]
        if outside:
            said = f"initializer '{brief(outside[0], 80)}' is no input, as version 3 of the file format demands"
            more = f" ({len(outside) - 1} more likewise)" if len(outside) > 1 else ""
            yield Note(f"{said}{more}; ONNX's checker refuses it", "declared")
    if "" not in scanned.opsets:
        scanned.opsets[""] = NEWEST_OPSET
        if next(_of_onnx(graph), None) is not None:
            said = f"it names no operator set of ai.onnx; taken as {NEWEST_OPSET}, the newest"
            yield Note(f"{said}; ONNX's checker refuses it", "declared")


def _of_onnx(graph: ScannedGraph) -> Iterator[Node]:
    for node in graph.nodes:
        if not node.domain:
            yield node
        for value in node.attributes.values():
            for inner in value if isinstance(value, list) else (value,):
                if isinstance(inner, ScannedGraph):
                    yield from _of_onnx(inner)
