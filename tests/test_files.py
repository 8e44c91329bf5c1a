import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.files import (
    open_regular,
    parse_json,
    read_limited,
    whole_number,
    why_unwritable,
    write_output,
    write_whole,
)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    for content in ("first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ["report.txt"]


def test_a_file_has_the_mode_that_open_would_give(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "whole", "")
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.chmod", fail)
    with pytest.raises(OSError, match="No space") as caught:
        write_whole(tmp_path / "report.txt", "new")
    assert caught.value.filename == str(tmp_path / "report.txt")
    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "report.txt", "")


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="no regular file"):
            write_whole(tmp_path / name, "x")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


@pytest.mark.parametrize("write", [write_whole, write_output])
def test_of_a_link_the_target_is_replaced(tmp_path: Path, write: Callable) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to(Path("folder") / "file")
    (tmp_path / "new").symlink_to(Path("folder") / "made")
    for name in ("link", "new"):
        write(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "link"
    assert (tmp_path / "folder" / "made").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "new"]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    write_whole(tmp_path / "file", "new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_report_goes_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_output(tmp_path / "pipe", "report")
    reader.join()
    assert found == [b"report"]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_report_to_a_device_leaves_the_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    for place in (Path("/dev/null"), tmp_path / "link"):
        write_output(place, "report")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("place", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_descriptor_is_written_to_and_its_file_not_replaced(tmp_path: Path, place: str) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as stream:
        name = Path(place.format(stream.fileno()))
        if place == "link":
            name = tmp_path / "link"
            name.symlink_to(f"/proc/self/fd/{stream.fileno()}")
        before = os.fstat(stream.fileno()).st_ino
        write_output(name, "report")
        assert os.stat(path).st_ino == before
        with pytest.raises(OSError, match="no regular file"):
            write_whole(name, "other")
    assert path.read_text() == "report"


def test_a_report_to_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_output(tmp_path, "report")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        open_regular(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_a_link_is_followed_only_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_limited(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
        read_limited(tmp_path / "link", 5, follow=False)


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_limited(tmp_path / "file", 4)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 50_000, b"\xff", b"1" * 5000])
def test_json_that_is_none_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own text
        parse_json(data)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-2.5E+400", '{"a": [1, 1e309]}'])
def test_numbers_that_are_none_are_refused_where_that_is_asked_for(text: str) -> None:
    parse_json(text.encode())
    with pytest.raises(ValueError, match="is no number"):
        parse_json(text.encode(), finite=True)
    assert parse_json(b"[1e300, 2.5, 1]", finite=True) == [1e300, 2.5, 1]


def test_json_beyond_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_json(b"[1, 2, {}]") == [1, 2, {}]
    monkeypatch.setattr("nnmeter.files.MAX_JSON_VALUES", 3)
    with pytest.raises(ValueError, match="more than 3 values"):
        parse_json(b"[1, 2, {}]")


@pytest.mark.parametrize("text", ["0", "17", "007", "9" * 18])
def test_plain_digits_are_a_whole_number(text: str) -> None:
    assert whole_number(text) == int(text)


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "1_0", "\u00b2", "\u0663", "9" * 19, "9" * 5_000])
def test_what_int_takes_otherwise_or_not_at_all_is_no_whole_number(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize("name", ["n" * 255, "\u00e4" * 127, "n" * 59 + "\u00e4" * 98])
def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path, name: str) -> None:
    assert why_unwritable(tmp_path / name) is None
    write_whole(tmp_path / name, "report")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["n" * 300, "n/" * 3_000 + "n"])
def test_a_name_that_no_file_can_have_is_said(tmp_path: Path, name: str) -> None:
    assert why_unwritable(tmp_path / name) == "file name too long"
    with pytest.raises(OSError, match="File name too long"):
        write_whole(tmp_path / name, "report")
