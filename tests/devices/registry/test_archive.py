"""Archives of strangers: what is no plain archive of a pack is refused before anything of it is written."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from nnmeter.devices import DevicePack
from nnmeter.devices.manifest import MANIFEST, read_file
from nnmeter.devices.registry import archive as module
from nnmeter.devices.registry.archive import read_archive, unpack_archive, write_archive
from nnmeter.devices.registry.contents import read_contents
from nnmeter.devices.registry.installing import add_packs
from nnmeter.errors import DeviceError


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as out:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in members:
            out.writestr(name, data)
    return stream.getvalue()


def link_to(target: str) -> tuple[zipfile.ZipInfo, bytes]:
    member = zipfile.ZipInfo("card.json")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member, target.encode()


def encrypted() -> bytes:
    data = bytearray(zipped((MANIFEST, b"{}")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


HOSTILE = {
    "nothing": (b"", "no whole ZIP"),
    "other bytes": (b"GIF89a" * 20, "no whole ZIP"),
    "path upwards": (zipped(("../../evil.json", b"{}")), "unsafe name"),
    "absolute path": (zipped(("/tmp/evil.json", b"{}")), "unsafe name"),
    "path of Windows": (zipped(("..\\evil.json", b"{}")), "unsafe name"),
    "folder": (zipped(("a/card.json", b"{}")), "unsafe name"),
    "hidden file": (zipped((".card.json", b"{}")), "unsafe name"),
    "code": (zipped(("run.py", b"")), "unsafe name"),
    "link": (zipped(link_to("/etc/passwd")), "is a link"),
    "twice": (zipped(("card.json", b"1"), ("card.json", b"2")), "twice"),
    "encrypted": (encrypted(), "encrypted"),
    "another method": (zipped(("card.json", b"{}"), method=zipfile.ZIP_LZMA), "packed in a way"),
    "too many files": (zipped(*((f"a{n}.json", b"") for n in range(40))), "more files"),
    "bomb": (zipped(("card.json", bytes(40 << 20))), "inflates to more"),
    "comment": (zipped((MANIFEST, b"{}"))[:-2] + b"\x04\x00bomb", "no whole ZIP"),
    "no manifest": (zipped(("card.json", b"{}")), "has no manifest.json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    data, said = HOSTILE[name]
    with pytest.raises(DeviceError, match=said) as caught:
        unpack_archive(data, "evil.zip", tmp_path)
    assert str(caught.value).startswith("evil.zip: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_all_that_inflate_to_too_much_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PACK_BYTES", 1000)
    with pytest.raises(DeviceError, match=r"b\.json inflates to more"):
        read_archive(zipped(("a.json", bytes(600)), ("b.json", bytes(600))), "evil.zip")


def test_a_directory_that_lies_about_its_length_is_not_read() -> None:
    data = bytearray(zipped((MANIFEST, b"{}")))
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<L", data, end + 12, 1 << 30)
    with pytest.raises(DeviceError, match="more files than a pack"):
        read_archive(bytes(data), "evil.zip")


def test_every_cut_and_most_flips_are_refused_or_harmless(pack: DevicePack) -> None:
    contents = read_contents(pack.path)
    whole = write_archive(contents, read_file(pack.path, MANIFEST))
    genuine = read_archive(whole, "a.zip")
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        with pytest.raises(DeviceError):
            read_archive(whole[:length], "a.zip")
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        try:
            read = read_archive(bytes(changed), "a.zip")
        except DeviceError:
            continue
        # Bytes that mean nothing to a reader: dates, versions. A checksum covers what is in the files.
        assert all(genuine[name] == data for name, data in read.items() if name in genuine)


def test_equal_packs_make_equal_archives(pack: DevicePack) -> None:
    contents, manifest = read_contents(pack.path), read_file(pack.path, MANIFEST)
    assert write_archive(contents, manifest) == write_archive(contents, manifest)
    assert set(read_archive(write_archive(contents, manifest), "a")) == {MANIFEST, *contents.hashes}


def test_a_refused_archive_leaves_nothing_behind(pack: DevicePack, home: Path, tmp_path: Path) -> None:
    contents = read_contents(pack.path)
    changed = {**contents.files, "card.json": contents.files["card.json"].replace(b"test-cpu-1t", b"test-cpu-2t")}
    manifest = read_file(pack.path, MANIFEST)
    (tmp_path / "a.zip").write_bytes(zipped((MANIFEST, manifest), *changed.items()))
    with pytest.raises(DeviceError, match="SHA-256"):
        add_packs(str(tmp_path / "a.zip"))
    assert not home.exists()
