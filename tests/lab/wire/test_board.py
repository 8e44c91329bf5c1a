"""What `--on` takes, and what `devices.toml` may say."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.wire.board import DEVICES_FILE, find_board, ssh_command
from nnmeter.lab.wire.cores import cores_of
from nnmeter.lab.wire.package import package_archive
from tests.conftest import REPOSITORY

tomllib = pytest.importorskip("tomllib")

DEVICES = """
[pi]
address = "ssh://me@board:2222"
runtime = "openvino"
threads = 4
cores = "0,2-3"
lock = "/var/lock/pi"
python = "~/v env/bin/python3"
"""


@pytest.fixture
def devices(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = tmp_path / "nnmeter" / DEVICES_FILE
    path.parent.mkdir()
    path.write_text(DEVICES)
    return path


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("ssh://board", None, "board", None),
        ("ssh://me@board.local/", "me", "board.local", None),
        ("ssh://10.0.0.7:22", None, "10.0.0.7", 22),
        ("ssh://me@[fe80::1%eth0]:2222", "me", "[fe80::1%eth0]", 2222),
    ],
)
def test_address_is_read(text, user, host, port):
    board = find_board(text)
    assert (board.user, board.host, board.port) == (user, host, port)
    assert board.address == text.rstrip("/")
    command = ssh_command(board)
    place = command.index("--")
    assert command[place + 1] == (f"{user}@" if user else "") + host.strip("[]")
    assert "BatchMode=yes" in command[:place]


@pytest.mark.parametrize(
    "text",
    [
        "ssh://", "ssh://-oProxyCommand=x", "ssh://a@-b", "ssh://a b", "ssh://board:0", "ssh://board:99999",
        "ssh://board/path", "ssh://me:secret@board", "http://board", "ssh://board\n", "ssh://$(x)", "adb://", "adb://-x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(MeasurementError, match="is no address of a device; give ssh://user@board"):
        find_board(text)


def test_name_is_looked_up_and_what_is_given_counts_more(devices, tmp_path):
    board = find_board("pi")
    assert (board.runtime, board.threads, board.cores, board.lock) == ("openvino", 4, "0,2-3", "/var/lock/pi")
    assert board.shown == "pi (ssh://me@board:2222)"
    assert find_board("pi", runtime="onnxruntime", threads=1).threads == 1
    assert find_board(f"{devices}:pi") == board
    assert "exec \"$HOME\"/'v env/bin/python3' -c" in ssh_command(board)[-1]


def test_device_that_is_not_there_is_one_line(devices, tmp_path):
    with pytest.raises(MeasurementError, match=r"devices\.toml: has no device 'po'; it has pi"):
        find_board("po")
    with pytest.raises(MeasurementError, match=r"other\.toml: is not there, so no device is called 'pi'"):
        find_board(f"{tmp_path}/other.toml:pi")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("pi = 5", "device pi: is no table"),
        ("[pi]\nthreads = 1", "device pi: has no address"),
        ('[pi]\naddress = "ssh://a"\nthread = 1', "'thread' is unknown; known are address"),
        ('[pi]\naddress = "ssh://a"\nthreads = 0', "threads is 0; give a number from 1"),
        ('[pi]\naddress = "ssh://a"\nthreads = true', "threads is True"),
        ('[pi]\naddress = "ssh://a"\ncores = "0-"', "cores '0-' are none"),
        ('[pi]\naddress = "ssh://a"\nlock = "lock"', "lock is 'lock'; give an absolute path"),
        ('[pi]\naddress = "ssh://a"\npython = "a\\nb"', "python is 'a\\nb'; give a text"),
        ("[pi]\naddress = 5", "address is 5; give a text"),
        ('[pi]\naddress = "-x"', "'-x' is no address"),
        ("[pi", "no TOML"),
        ("\0", "no TOML"),
    ],
)
def test_file_that_says_what_it_may_not_is_refused(devices, entry, said):
    devices.write_text(entry)
    with pytest.raises(MeasurementError) as refusal:
        find_board("pi")
    assert said in str(refusal.value)


def test_lists_of_cores():
    assert cores_of("0,2-4,7") == {0, 2, 3, 4, 7}
    for text in ("", "a", "3-1", "1,,2", "-1", "99999", "1-2-3"):
        with pytest.raises(MeasurementError, match=r"cores .* are none"):
            cores_of(text)


def test_archive_is_the_package_with_the_adapters_of_the_installation():
    archive = package_archive()
    content = zipfile.ZipFile(BytesIO(archive.data))
    names = set(content.namelist())
    assert {"nnmeter/__init__.py", "nnmeter/lab/wire/far_worker.py", "nnmeter/lab/campaign/probes.json"} <= names
    assert {Path(name).suffix for name in names} == {".py", ".json", ".txt", ""}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (points,) = (name for name in names if name.endswith("entry_points.txt"))
    told = dict(line.split(" = ") for line in content.read(points).decode().splitlines()[1:])
    assert told == project["entry-points"]["nnmeter.runtimes"]
    assert len(archive.data) < 3_000_000
