"""The files that a user gives, and which of them belong together.

Rules:

1. A file is read once, and only as far as `MOST_BYTES`; what it is, its content says, not its name. A folder stands for
   the files in it, folders in it included, sorted by name.
2. A profile is the *main* file of a run. What belongs to it (its model, its whole times) is a file of the kind that its
   reader asks for whose stem begins the profile's name, or the other way round, the longest first and those of its own
   folder before others; `resnet.onnx`, `resnet.profile_2026-11-29.json` and `resnet.times.csv` are one run.
3. Where names do not tell, a companion that is the only one of its kind in the folder of a run that is alone there, or
   among all files of an import of one run, is taken.
4. Of a kit its manifest stands for all: its rows are found by its reader (`kit`).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.files import parse_json, read_limited

MOST_BYTES = 64 << 20
MOST_FILES = 20_000
HEAD_BYTES = 1 << 16
_MANIFEST = "kit.json"
_GZIP = b"\x1f\x8b\x08"


@dataclass(eq=False)
class GivenFile:
    """One file, read when it is asked for (rule 1).

    Attributes:
        path: where it lies.
        kind: what it is, by the table of formats; "" where nothing knows it.
    """

    path: Path
    kind: str = ""

    @cached_property
    def data(self) -> bytes:
        """Its bytes, unpacked where it is packed with gzip.

        Raises:
            OSError: it cannot be read, or is larger than `MOST_BYTES`, packed or not.
        """
        data = read_limited(self.path, MOST_BYTES)
        return _unpacked(data, self.path) if data.startswith(_GZIP) else data

    @cached_property
    def head(self) -> bytes:
        """Its first bytes."""
        return self.data[:HEAD_BYTES]

    @cached_property
    def text(self) -> str:
        """Its text; bytes that are none become the replacement character."""
        return self.data.decode("utf-8", "replace")

    @cached_property
    def json(self) -> Any:
        """Its content as JSON; None where it is none, or too large (`nnmeter.limits`)."""
        try:
            return parse_json(self.data)
        except ValueError:
            return None

    def looks_like_json(self, opening: bytes) -> bool:
        """Whether its first character is one of `opening`."""
        return self.head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in {opening[i : i + 1] for i in range(len(opening))}

    @property
    def stem(self) -> str:
        """Its name up to the first dot."""
        return self.path.name.partition(".")[0]

    def forget(self) -> None:
        """Give back what was read of it."""
        for name in ("data", "head", "text", "json"):
            self.__dict__.pop(name, None)


def _unpacked(data: bytes, path: Path) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(data, MOST_BYTES + 1)
    except zlib.error as fault:
        raise OSError(None, f"is packed, and damaged ({fault})", os.fspath(path)) from fault
    if len(content) > MOST_BYTES:
        raise OSError(None, f"has more than {MOST_BYTES} bytes, which is too much", os.fspath(path))
    return content


def expand(paths: Sequence[str | os.PathLike[str]]) -> list[GivenFile]:
    """The files that paths stand for, each once (rule 1).

    Raises:
        MeasurementError: there is none at a path, or there are more than `MOST_FILES`.
    """
    found: dict[str, GivenFile] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise MeasurementError(f"{path}: no such file or folder; give the files that the runtime's tool wrote")
        for file in _files_of(path):
            found.setdefault(os.path.abspath(file), GivenFile(file))
            if len(found) > MOST_FILES:
                raise MeasurementError(f"{path}: more than {MOST_FILES} files; import them in several parts")
    if not found:
        raise MeasurementError(f"{paths[0]}: holds no file; give the files that the runtime's tool wrote")
    return list(found.values())


def _files_of(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        if _MANIFEST in names and "results" in folders:
            folders[:] = ["results"]
            continue
        if _MANIFEST in names and "rows" in folders:  # rule 4
            folders.clear()
            found.append(Path(folder) / _MANIFEST)
            continue
        found += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
        if len(found) > MOST_FILES:
            break
    return found


@dataclass
class Companions:
    """All files of an import by kind, to find those that belong to a profile (rules 2 and 3).

    Attributes:
        by_kind: the files of each kind.
        mains: the profiles.
        used: the companions that belong to some profile.
    """

    by_kind: dict[str, list[GivenFile]]
    mains: Sequence[GivenFile]
    used: set[int] = field(default_factory=set)

    def find(self, main: GivenFile, kind: str, where: Callable[[GivenFile], bool] = lambda _: True) -> GivenFile | None:
        """The file of a kind that belongs to a profile, or None."""
        files = [file for file in self.by_kind.get(kind, ()) if file is not main and where(file)]
        named = [file for file in files if _share_name(file, main)]
        here = [file for file in files if file.path.parent == main.path.parent]
        mains_here = [one for one in self.mains if one.path.parent == main.path.parent]
        chosen = None
        if named:
            chosen = max(named, key=lambda file: (file.path.parent == main.path.parent, _shared(file, main)))
        elif len(here) == 1 and len(mains_here) == 1:
            chosen = here[0]
        elif len(files) == 1 and len(self.mains) == 1:
            chosen = files[0]
        if chosen is not None:
            self.used.add(id(chosen))
        return chosen


def _share_name(a: GivenFile, b: GivenFile) -> bool:
    return bool(a.stem and b.stem) and (b.path.name.startswith(a.stem) or a.path.name.startswith(b.stem))


def _shared(a: GivenFile, b: GivenFile) -> int:
    pairs = zip(a.path.name, b.path.name, strict=False)
    return next((place for place, (x, y) in enumerate(pairs) if x != y), min(len(a.path.name), len(b.path.name)))
