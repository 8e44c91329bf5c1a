"""What a Parquet file would fill of the memory, told from its bytes before a Parquet reader sees them.

pyarrow cannot be asked: it ends the process where the footer of a column is damaged (its Python calls `RowGroup` and
`ColumnChunk` without a handler for exceptions), and it makes room for what a page says, which may be a thousand times
what the footer says.

1. The footer and the headers of pages are Thrift's compact protocol (doc/specs/thrift-compact-protocol.md of Thrift)
   with the fields of `parquet.thrift` (parquet-format 2.12).
2. The pages of a column are those between the first of its offsets and the end of its compressed size. Their headers
   say how many values they hold and how many bytes they unpack to.
3. This reader and pyarrow's must see the same fields. A field that is used is refused where it is of another type; any
   other is passed over by its own type, as Thrift does, but for lists: there Thrift goes by the type that it expects.
   So all lists of `parquet.thrift` stand in the tables below.
4. What is counted is bounded by the file: a field takes a byte at least, and what is passed over is `_DEEPEST` deep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MAGIC = b"PAR1"
_END_BYTES = 8  # the end of a file: four bytes for the length of the footer, and the magic
_MOST_FOOTER = 16 << 20  # what ships has 6,815 bytes
_DEEPEST, _LAST_FIELD = 32, 2**15 - 1

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_NUMBERS = (_I16, _I32, _I64)

Table = Mapping[int, Any]  # by the number of a field: a type, [the type of a list's elements], or the table of a struct

_NUM_VALUES, _PACKED, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 7, 9, 11
_COLUMN: Table = {  # ColumnMetaData
    2: [_I32], 3: [_BINARY], _NUM_VALUES: _I64, _PACKED: _I64, 8: [{}], _DATA_OFFSET: _I64, _DICTIONARY_OFFSET: _I64,
    13: [{}], 16: {2: [_I64], 3: [_I64]}, 17: {2: [_I32]},
}  # fmt: skip
_META = 3
_CHUNK: Table = {_META: _COLUMN, 8: {2: {1: [_BINARY]}}}  # ColumnChunk
_COLUMNS = 1
_GROUP: Table = {_COLUMNS: [_CHUNK], 4: [{}]}  # RowGroup
_SCHEMA, _GROUPS = 2, 4
_FOOTER: Table = {_SCHEMA: [{}], _GROUPS: [_GROUP], 5: [{}], 7: [{}]}  # FileMetaData
_UNPACKED, _PAGE_PACKED = 2, 3
_PAGE_KINDS = (5, 7, 8)  # a page of data, a dictionary, a page of data of version 2; each begins with its values
_PAGE: Table = {_UNPACKED: _I32, _PAGE_PACKED: _I32, **{kind: {1: _I32} for kind in _PAGE_KINDS}}  # PageHeader


@dataclass(frozen=True, slots=True)
class ParquetSize:
    """How large the content of a Parquet file is.

    Attributes:
        columns: number of elements of the schema.
        groups: number of row groups.
        values: number of values by the headers of pages, dictionaries included, or by the footer where that says more.
        bytes: bytes that the pages unpack to.
    """

    columns: int
    groups: int
    values: int
    bytes: int


def footer_of(data: bytes) -> int:
    """Where the footer of a Parquet file begins."""
    return len(data) - _END_BYTES - int.from_bytes(data[-_END_BYTES : -_END_BYTES // 2], "little")


def parquet_size(data: bytes) -> ParquetSize:
    """The size of a file's content (rules 1 to 4).

    Raises:
        ValueError: it is no Parquet file, it is damaged, or it is encrypted.
    """
    start, end = footer_of(data), len(data) - _END_BYTES
    if data[-len(_MAGIC) :] != _MAGIC or start < len(_MAGIC):
        raise ValueError("it does not end as a Parquet file")
    if end - start > _MOST_FOOTER:
        raise ValueError(f"its footer has more than {_MOST_FOOTER >> 20} MiB")
    footer = _Compact(data, start, end).struct(_FOOTER)
    groups = footer.get(_GROUPS, [])
    values = unpacked = 0
    for group in groups:
        for chunk in group.get(_COLUMNS, []):
            column = chunk.get(_META)
            if column is None or not {_NUM_VALUES, _PACKED, _DATA_OFFSET} <= column.keys():
                raise ValueError("a column has no place in it")
            pages = list(_pages(data, column))
            values += max(column[_NUM_VALUES], sum(count for count, _ in pages))
            unpacked += sum(size for _, size in pages)
    return ParquetSize(len(footer.get(_SCHEMA, [])), len(groups), values, unpacked)


def _pages(data: bytes, column: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The values and unpacked bytes of each page of a column (rule 2)."""
    place = column[_DATA_OFFSET]
    if 0 < column.get(_DICTIONARY_OFFSET, 0) < (place or len(data)):
        place = column[_DICTIONARY_OFFSET]
    end = place + column[_PACKED]
    if not 0 < place <= end <= len(data) or column[_NUM_VALUES] < 0:
        raise ValueError("a column is not in it")
    while place < end:
        cursor = _Compact(data, place, end)
        page = cursor.struct(_PAGE)
        packed, unpacked = page.get(_PAGE_PACKED, -1), page.get(_UNPACKED, -1)
        counts = [page[kind].get(1, -1) for kind in _PAGE_KINDS if kind in page]
        place = cursor.place + packed
        if min(packed, unpacked, *counts) < 0 or place > end:
            raise ValueError("a page is not in its column")
        yield max(counts, default=0), unpacked


class _Compact:
    """A cursor over Thrift's compact protocol; what is no such thing is a `ValueError`."""

    def __init__(self, data: bytes, place: int, end: int) -> None:
        self.place = place
        self._data, self._end = data, end

    def struct(self, table: Table) -> dict[int, Any]:
        """The fields of a struct that its table has (rule 3); of a field that stands twice, the last."""
        found = {}
        for field, kind in self._fields():
            wanted = table.get(field)
            if wanted is None:
                self._skip_field(kind)
            else:
                _same(kind, wanted)
                found[field] = self._value(wanted)
        return found

    def _value(self, wanted: Any) -> Any:
        if isinstance(wanted, list):
            kind, count = self._list()
            if count:
                _same(kind, wanted[0])
            return [self._value(wanted[0]) for _ in range(count)]
        if isinstance(wanted, Mapping):
            return self.struct(wanted)
        return self._number() if wanted in _NUMBERS else self._skip(wanted)

    def _fields(self) -> Iterator[tuple[int, int]]:
        """The number and type of each field; who asks passes its value before the next."""
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            if not 0 < field <= _LAST_FIELD:
                raise ValueError("its footer is damaged")
            yield field, head & 15

    def _skip_field(self, kind: int, deep: int = 0) -> None:
        if kind not in (_TRUE, _FALSE):  # whose type is their value
            self._skip(kind, deep)

    def _skip(self, kind: int, deep: int = 0) -> None:
        if deep > _DEEPEST:
            raise ValueError("its footer is nested too deep")
        if kind in _NUMBERS:
            self._number()
        elif kind == _BINARY:
            self._pass(self._count())
        elif kind == _STRUCT:
            for _, inner in self._fields():
                self._skip_field(inner, deep + 1)
        elif kind in (_TRUE, _FALSE, _BYTE):
            self._pass(1)
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind in (_LIST, _SET):
            inner, count = self._list()
            for _ in range(count):
                self._skip(inner, deep + 1)
        elif kind == _MAP:
            count = self._count()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._skip(kinds >> 4, deep + 1)
                self._skip(kinds & 15, deep + 1)
        else:
            raise ValueError("its footer is damaged")

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        return head & 15, head >> 4 if head >> 4 < 15 else self._count()

    def _count(self) -> int:
        count = self._varint()
        if count > self._end - self.place:
            raise ValueError("its footer ends early")
        return count

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its footer is damaged")

    def _byte(self) -> int:
        self._pass(1)
        return self._data[self.place - 1]

    def _pass(self, count: int) -> None:
        self.place += count
        if self.place > self._end:
            raise ValueError("its footer ends early")


def _same(kind: int, wanted: Any) -> None:
    if kind != (_LIST if isinstance(wanted, list) else _STRUCT if isinstance(wanted, Mapping) else wanted):
        raise ValueError("its footer has a field of another type")
