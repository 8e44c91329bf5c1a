"""The package of nnmeter as one archive that a far Python can import: its sources and the small files beside them.

The same sources give the same bytes, by which the far side knows whether it has them. The entry points of the runtimes
go with it, so that adapters are found there as in an installation, beside those of other packages there.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nnmeter._version import __version__

_PACKAGE = Path(__file__).resolve().parents[2]
_LEFT_OUT = frozenset({"_packs", "_networks", "_public_networks", "__pycache__"})  # data of a wheel
_SUFFIXES = frozenset({".py", ".json"})
_ENTRY_POINTS = """[nnmeter.runtimes]
onnxruntime = nnmeter.lab.runtimes.onnxruntime:OnnxRuntimeAdapter
openvino = nnmeter.lab.runtimes.openvino:OpenVinoAdapter
mnn = nnmeter.lab.runtimes.mnn:MnnAdapter
onnxruntime-basic = nnmeter.lab.runtimes.onnxruntime:BasicAdapter
onnxruntime-extended = nnmeter.lab.runtimes.onnxruntime:ExtendedAdapter
onnxruntime-unoptimized = nnmeter.lab.runtimes.onnxruntime:UnoptimizedAdapter
tract = nnmeter.lab.runtimes.tract:TractAdapter
"""


class Archive(NamedTuple):
    """An archive.

    Attributes:
        data: its bytes.
        digest: their SHA-256 in hexadecimal.
    """

    data: bytes
    digest: str


@cache
def package_archive() -> Archive:
    """The archive of this very package."""
    information = f"nnmeter-{__version__}.dist-info"
    contents = {
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: nnmeter\nVersion: {__version__}\n".encode(),
        f"{information}/entry_points.txt": _ENTRY_POINTS.encode(),
    }
    for path in sorted(_PACKAGE.rglob("*")):
        inner = path.relative_to(_PACKAGE)
        if path.suffix in _SUFFIXES and path.is_file() and not _LEFT_OUT & set(inner.parts):
            contents[f"nnmeter/{inner.as_posix()}"] = path.read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    data = stream.getvalue()
    return Archive(data, hashlib.sha256(data).hexdigest())
