"""Text files of published data sets, compressed or not."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from csv import Error as CsvError
from pathlib import Path
from typing import IO

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import open_regular


@contextmanager
def open_text(path: Path, what: str) -> Iterator[IO[str]]:
    """Open a text file, or one in a `.gz`, for reading; a pipe is refused and not waited for.

    Args:
        path: of the file.
        what: it should be, for the error: "a list of networks".

    Raises:
        MeasurementError: it cannot be read, now or while its lines are.
    """
    try:
        with open_regular(path) as stream:
            data: IO[bytes] = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream  # type: ignore[assignment]
            yield io.TextIOWrapper(data, encoding="utf-8")
    except (OSError, EOFError, UnicodeDecodeError, CsvError, zlib.error) as fault:
        raise MeasurementError(f"{path}: cannot be read as {what} ({brief(fault)}); restore the file") from fault
