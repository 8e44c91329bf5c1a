"""Measurements in Parquet files: one row a measurement, its kernels as list columns.

1. A file holds its schema version and the machine's fingerprint in its metadata; a reader refuses a version that it
   does not know.
2. Equal signatures are stored once a file: Parquet's dictionary page, made large enough, holds the distinct ones.
3. A file is written whole or not at all: it is made beside its place, then renamed, then carried to the disk itself.
4. A store that grows is a directory of part files `part-<first>-<next>.parquet`, each a range of seeds; a directory is
   read as one store, and all of its parts must come from one device.
5. What a file would fill of the memory is told before pyarrow sees it (`nnmeter.lab.measuring.parquet_size`), and is
   bounded by its own size, too: a small file is no large one. Texts are read as Parquet's dictionaries, so that one
   which stands in a million rows is there once.
6. What is read is checked, once and for every verb (`nnmeter.lab.measuring.validation`).
7. Damage is told by a checksum: between the data and the footer, where Parquet's readers do not look, lies a mark and
   the SHA-256 of all else. A file of an older version, or of another program, has no mark, and is read without.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import MeasurementError, brief
from nnmeter.files import parse_json, read_limited, write_whole
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.parquet_size import footer_of, parquet_size
from nnmeter.lab.measuring.validation import faults_of_rows, read_signature

SCHEMA_VERSION = 1
_DICTIONARY_BYTES = 64 << 20  # rule 2: beyond this Parquet would write every signature in full
_VERSION_KEY, _FINGERPRINT_KEY = b"nnmeter.measurements", b"nnmeter.fingerprint"
# Rule 5. The largest file that ships has 0.9 million values and 107,000 kernels that differ; for each byte files have
# half a value, unpack to ten, and one kernel that differs for 24.
_MOST_COLUMNS, _MOST_GROUPS, _MOST_VALUES, _MOST_BYTES = 1_000, 10_000, 20_000_000, 1 << 30
_SMALL_VALUES, _VALUES_PER_BYTE = 2_000_000, 8
_SMALL_BYTES, _BYTES_PER_BYTE = 64 << 20, 64
_SMALL_KERNELS, _BYTES_PER_KERNEL = 20_000, 12
_MARK = b"\0nnmeter.sha256\0"
_HASH_BYTES = 32
_FEW = 3  # faults that a message names
_PART = re.compile(r"part-(\d+)-(\d+)\.parquet")
_TEXTS = ("id", "granularity", "network", "family", "sitting")
_TIMES = ("latency_ms", "min_ms", "median_ms", "p90_ms", "reference_ms")
_COUNTS = ("runs", "threads", "batch", "kernel_runs")


def write_measurements(
    path: str | os.PathLike[str], measurements: Sequence[Measurement], fingerprint: Mapping[str, Any]
) -> None:
    """Writes one file (rule 3), zstd-compressed; times are kept as float32.

    Raises:
        MeasurementError: pyarrow is not installed.
    """
    pa, parquet = import_pyarrow()
    columns: dict[str, Any] = {}
    for name in _TEXTS:
        columns[name] = pa.array([getattr(m, name) for m in measurements], pa.string())
    for name in _TIMES:
        columns[name] = pa.array([getattr(m, name) for m in measurements], pa.float32())
    for name in _COUNTS:
        columns[name] = pa.array([getattr(m, name) for m in measurements], pa.int32())
    for position, name in enumerate(("half_a_ms", "half_b_ms")):
        columns[name] = pa.array([m.half_ms[position] for m in measurements], pa.float32())
    for name in ("kernel_ms", "kernel_spread"):
        columns[name] = pa.array([getattr(m, name) for m in measurements], pa.list_(pa.float32()))
    texts = {k: k.to_json() for m in measurements for k in m.kernels}
    columns["kernels"] = pa.array([[texts[k] for k in m.kernels] for m in measurements], pa.list_(pa.string()))
    table = pa.table(columns).replace_schema_metadata(
        {_VERSION_KEY: str(SCHEMA_VERSION).encode(), _FINGERPRINT_KEY: json.dumps(dict(fingerprint)).encode()}
    )
    buffer = io.BytesIO()
    parquet.write_table(
        table, buffer, compression="zstd", compression_level=15, dictionary_pagesize_limit=_DICTIONARY_BYTES
    )
    write_whole(path, _marked(buffer.getvalue()))
    _settle(Path(path))


def read_measurements(path: str | os.PathLike[str]) -> tuple[list[Measurement], dict[str, Any]]:
    """The measurements of a file, or of all parts of a directory, and the fingerprint of their machine.

    Raises:
        MeasurementError: nothing is there, a file is damaged or of another schema, a row is no measurement, or parts
            are of several devices.
    """
    place = Path(path)
    if place.is_file():
        return _read_file(place)
    parts = part_files(place)
    if not parts:
        raise MeasurementError(
            f"{place}: no measurements here; give a .parquet file or a directory that `nnmeter profile` wrote"
        )
    found: list[Measurement] = []
    fingerprint: dict[str, Any] = {}
    for part in parts:
        rows, own = _read_file(part)
        if fingerprint and identity(own) != identity(fingerprint):
            raise MeasurementError(
                f"{part}: measured on another device than {parts[0].name}; keep each device in its own directory"
            )
        fingerprint = fingerprint or own
        found += rows
    return found, fingerprint


def consolidate(directory: str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Writes all parts of a directory into one file, which is smaller; returns the number of measurements.

    Raises:
        MeasurementError: as `read_measurements`.
    """
    rows, fingerprint = read_measurements(directory)
    write_measurements(output, rows, fingerprint)
    return len(rows)


def count_stored(directory: str | os.PathLike[str]) -> tuple[int, int]:
    """How many networks and kernels are in the parts of a directory; a part that cannot be read has none.

    Raises:
        MeasurementError: pyarrow is not installed.
    """
    import_pyarrow()
    networks = kernels = 0
    for path in part_files(directory):
        try:
            rows, _ = read_unchecked(path)
        except MeasurementError:
            continue  # who resumes sets it aside
        networks += len(rows)
        kernels += sum(len(row.kernel_ms) for row in rows)
    return networks, kernels


def part_files(directory: str | os.PathLike[str]) -> list[Path]:
    """The part files of a directory in the order of their seeds; empty if there is no such directory."""
    place = Path(directory)
    if not place.is_dir():
        return []
    return [place / name for _, name in sorted((int(m[1]), m[0]) for m in _parts(place))]


def next_seed(directory: str | os.PathLike[str], default: int) -> int:
    """The first seed behind all parts of a directory; `default` if it has none."""
    place = Path(directory)
    return max((int(m[2]) for m in _parts(place)), default=default) if place.is_dir() else default


def part_range(path: str | os.PathLike[str]) -> range:
    """The seeds of a part file (rule 4)."""
    match = _PART.fullmatch(Path(path).name)
    if match is None:
        raise MeasurementError(f"{path}: is no part of a campaign; give part-<first>-<next>.parquet")
    return range(int(match[1]), int(match[2]))


def part_path(directory: str | os.PathLike[str], first_seed: int, end_seed: int) -> Path:
    """Where the part with the seeds from `first_seed` up to, not including, `end_seed` lies (rule 4)."""
    return Path(directory) / f"part-{first_seed:07d}-{end_seed:07d}.parquet"


def _settle(path: Path) -> None:
    """Has the system carry a file and its name to the disk, so that a loss of power cannot take it back (rule 3)."""
    for place in (path, path.parent) if os.name == "posix" else ():
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parts(directory: Path) -> Iterable[re.Match[str]]:
    return (match for name in os.listdir(directory) if (match := _PART.fullmatch(name)))


def _read_file(path: Path) -> tuple[list[Measurement], dict[str, Any]]:
    rows, fingerprint = read_unchecked(path)
    found = list(islice(faults_of_rows(rows), _FEW + 1))
    if found:
        more = " and more (`nnmeter profile --verify` names all)" if len(found) > _FEW else ""
        raise MeasurementError(f"{path}: {'; '.join(found[:_FEW])}{more}; take these rows out, or measure again")
    return rows, fingerprint


def read_unchecked(path: Path) -> tuple[list[Measurement], dict[str, Any]]:
    """The rows of one file and its fingerprint; their numbers may be any (`faults_of_rows` tells).

    Raises:
        MeasurementError: the file is damaged, or holds no rows of measurements.
    """
    pa, parquet = import_pyarrow()
    try:
        data = read_limited(path, _MOST_BYTES)
        if _is_damaged(data):
            raise ValueError("its checksum is another")
        _check_size(path, data)
        table = _read_table(pa, parquet, data)
        names = table.column_names  # which may be no text
    except (pa.ArrowException, OSError, MemoryError, ValueError) as fault:  # of bytes that are no Parquet file
        if isinstance(fault, MeasurementError):
            raise
        raise _damaged(path, brief(fault) or "there is not enough memory to read it") from fault
    metadata = table.schema.metadata or {}
    version = metadata.get(_VERSION_KEY)
    if version is None:
        raise MeasurementError(
            f"{path}: holds no measurements of nnmeter; give a file that `nnmeter profile` or `measure` wrote"
        )
    if version != str(SCHEMA_VERSION).encode():
        raise MeasurementError(
            f"{path}: measurements of schema {version.decode(errors='replace')}, "
            f"this version reads {SCHEMA_VERSION}; update nnmeter"
        )
    told = metadata.get(_FINGERPRINT_KEY, b"null")
    try:
        fingerprint = parse_json(told)
    except ValueError as fault:
        raise _damaged(path, f"its fingerprint is {fault}") from fault
    wrong = next(faults_of_fingerprint(fingerprint), None) or _wrong_column(pa, table)
    if wrong:
        raise _damaged(path, wrong)
    try:
        columns = {name: _values(pa, table[name]) for name in names}  # texts of bytes that are none are found here
        signatures = {text for texts in columns["kernels"] for text in texts}
        _refuse_above(path, len(data), (len(signatures), _SMALL_KERNELS + len(data) // _BYTES_PER_KERNEL, "kernels"))
        return _rows(columns, signatures), {name: value for name, value in fingerprint.items() if value is not None}
    except MeasurementError:
        raise
    except (ValueError, pa.ArrowException) as fault:
        raise _damaged(path, brief(fault)) from fault


def _damaged(path: Path, reason: str) -> MeasurementError:
    line = next(iter(reason.splitlines()), "")[:120]
    return MeasurementError(f"{path}: damaged, or not a measurement file ({line}); measure again or restore it")


def _marked(data: bytes) -> bytes:
    """A Parquet file with the mark and the hash of rule 7."""
    place = footer_of(data)
    return data[:place] + _MARK + hashlib.sha256(data).digest() + data[place:]


def _is_damaged(data: bytes) -> bool:
    """Whether a file has a mark (rule 7) and is not what was marked."""
    mark = data.rfind(_MARK)
    if mark < 0:
        return False
    start = mark + len(_MARK)
    end = start + _HASH_BYTES
    if end != footer_of(data):
        return True
    found = hashlib.sha256(memoryview(data)[:mark])
    found.update(memoryview(data)[end:])
    return found.digest() != data[start:end]


def _wrong_column(pa: Any, table: Any) -> str | None:
    """What is wrong with the columns: one is missing, stands twice, is of another type, or lacks a value."""
    for name, kind in _column_types(pa).items():
        if table.column_names.count(name) != 1:
            return f"its column '{name}' is missing or stands twice"
        column = table[name]
        if not _is_like(pa, column.type, kind):
            return f"its column '{name}' is of {column.type}, not of {kind}"
        if column.null_count or (pa.types.is_list(kind) and any(c.flatten().null_count for c in column.chunks)):
            return f"its column '{name}' lacks a value"
    return None


def _column_types(pa: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys((*_TIMES, "half_a_ms", "half_b_ms"), pa.float32()),
        **dict.fromkeys(_COUNTS, pa.int32()),
        **dict.fromkeys(("kernel_ms", "kernel_spread"), pa.list_(pa.float32())),
        "kernels": pa.list_(pa.string()),
    }


def _is_like(pa: Any, kind: Any, wanted: Any) -> bool:
    """Whether a type is of the same sort: any width of numbers, either size of texts and lists."""
    types = pa.types
    if types.is_list(wanted):
        return bool(types.is_list(kind) or types.is_large_list(kind)) and _is_like(
            pa, kind.value_type, wanted.value_type
        )
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_string(wanted):
        return bool(types.is_string(kind) or types.is_large_string(kind))
    return bool(types.is_floating(kind) if types.is_floating(wanted) else types.is_integer(kind))


def _check_size(path: Path, data: bytes) -> None:
    """Rule 5."""
    size = parquet_size(data)
    values = min(_MOST_VALUES, _SMALL_VALUES + _VALUES_PER_BYTE * len(data))
    unpacked = min(_MOST_BYTES, _SMALL_BYTES + _BYTES_PER_BYTE * len(data))
    _refuse_above(
        path,
        len(data),
        (size.columns, _MOST_COLUMNS, "columns"),
        (size.groups, _MOST_GROUPS, "row groups"),
        (size.values, values, "values"),
        (size.bytes, unpacked, "bytes"),
    )


def _refuse_above(path: Path, length: int, *limits: tuple[int, int, str]) -> None:
    for found, most, what in limits:
        if found > most:
            raise MeasurementError(
                f"{path}: unpacks to {found} {what}, where {most} are read of a file of {length} bytes; "
                "split it into several files"
            )


def _read_table(pa: Any, parquet: Any, data: bytes) -> Any:
    """The columns of measurements, and no other, with texts as dictionaries (rule 5)."""
    source = pa.BufferReader(data)
    file = parquet.ParquetFile(source)
    leaves = [file.schema.column(index) for index in range(len(file.schema))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    # No threads: those of pyarrow may still run when a short process ends, and then end it by a signal.
    file = parquet.ParquetFile(source, metadata=file.metadata, read_dictionary=texts, pre_buffer=False)
    columns = list(_column_types(pa))
    groups = file.metadata.num_row_groups
    # One at a time: each has a dictionary of its own, and pyarrow makes no lists of texts of two.
    read = [file.read_row_group(group, columns, use_threads=False) for group in range(groups)]
    table = pa.concat_tables(read or [file.read(columns, use_threads=False)])
    table.validate(full=True)  # of what is damaged, a text's place in its dictionary may be none
    return table


def _values(pa: Any, column: Any) -> list[Any]:
    """The values of a column; equal texts of a dictionary are one object (rule 5)."""
    found: list[Any] = []
    types = pa.types
    for chunk in column.chunks:
        if types.is_dictionary(chunk.type):
            found += _words(chunk)
        elif types.is_nested(chunk.type) and types.is_dictionary(chunk.type.value_type):
            words, ends = _words(chunk.values), chunk.offsets.to_pylist()
            found += [words[start:end] for start, end in pairwise(ends)]
        else:
            found += chunk.to_pylist()
    return found


def _words(chunk: Any) -> list[Any]:
    words = chunk.dictionary.to_pylist()
    return [words[index] for index in chunk.indices.to_pylist()]


def _rows(columns: Mapping[str, Sequence[Any]], kernels: Iterable[str]) -> list[Measurement]:
    known = {text: read_signature(text) for text in kernels}
    signatures = [tuple([known[text] for text in texts]) for texts in columns["kernels"]]
    plain = {name: columns[name] for name in (*_TEXTS, *_TIMES, *_COUNTS)}
    return [
        Measurement(
            kernels=kernels,
            half_ms=(columns["half_a_ms"][position], columns["half_b_ms"][position]),
            kernel_ms=tuple(columns["kernel_ms"][position]),
            kernel_spread=tuple(columns["kernel_spread"][position]),
            **{name: column[position] for name, column in plain.items()},
        )
        for position, kernels in enumerate(signatures)
    ]


def import_pyarrow() -> tuple[Any, Any]:
    """Imports pyarrow and its module for Parquet; verbs that measure for long ask before they begin.

    Raises:
        MeasurementError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as fault:
        raise MeasurementError(
            "measurement files need pyarrow, which is not installed; pip install 'nnmeter[lab]'"
        ) from fault
    return pyarrow, pyarrow.parquet
