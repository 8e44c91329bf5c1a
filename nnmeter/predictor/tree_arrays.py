"""The arrays of `trees.npz`, read without trusting it.

`numpy.load` believes what an archive says of itself: it makes an array of the size that a header names, and inflates a
member to whatever it holds. Here:

1. The archive has exactly the members `<name>.npy` of `nnmeter.predictor.trees.ARRAYS`, stored or deflated, none
   encrypted and none twice.
2. What the members say that they inflate to is summed before anything is inflated, and is at most
   `MAX_TREES_INFLATED`; no more than that is inflated, whatever they say.
3. A member is a NumPy array file whose header names the expected type, one dimension, and as many elements as bytes
   follow. Objects, and with them pickles, have no place in that.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.limits import MAX_TREES_BYTES, MAX_TREES_INFLATED
from nnmeter.predictor.checks import damaged
from nnmeter.predictor.trees import ARRAYS

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST_HEADER = 1024
_ENCRYPTED = 1
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an archive, by the names of `ARRAYS`.

    Raises:
        DeviceError: it breaks one of the rules.
    """
    if len(data) > MAX_TREES_BYTES:
        raise damaged(f"trees.npz has more than {MAX_TREES_BYTES >> 20} MiB")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
            return {name: _array(name, _inflated(archive, member)) for name, member in members.items()}
    except DeviceError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as fault:
        raise damaged(f"trees.npz is no archive of arrays: {fault}") from fault


def _members(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """Rules 1 and 2."""
    entries = archive.infolist()
    found = {entry.filename.removesuffix(".npy"): entry for entry in entries}
    if len(entries) != len(ARRAYS) or set(found) != set(ARRAYS):
        raise damaged(f"trees.npz must hold {', '.join(ARRAYS)}, each once and nothing else")
    if any(entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED for entry in entries):
        raise damaged("trees.npz has a member that is neither stored nor deflated")
    if sum(entry.file_size for entry in entries) > MAX_TREES_INFLATED:
        raise damaged(f"trees.npz inflates to more than {MAX_TREES_INFLATED >> 20} MiB")
    return {name: found[name] for name in ARRAYS}


def _inflated(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise damaged(f"{member.filename} of trees.npz has another size than it says")
    return data


def _array(name: str, data: bytes) -> np.ndarray:
    """Rule 3."""
    stream = io.BytesIO(data)
    try:
        read_header = _HEADERS[np.lib.format.read_magic(stream)]
        shape, _, dtype = read_header(stream, max_header_size=_LONGEST_HEADER)
    except (KeyError, SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as fault:
        raise damaged(f"array '{name}' has a damaged header") from fault
    expected = np.dtype(ARRAYS[name])
    if dtype != expected or len(shape) != 1:
        raise damaged(f"array '{name}' is not a vector of {expected.name}")
    start = stream.tell()
    if shape[0] * expected.itemsize != len(data) - start:
        raise damaged(f"array '{name}' has another length than it says")
    return np.frombuffer(data, expected, offset=start)
