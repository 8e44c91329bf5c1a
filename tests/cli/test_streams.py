"""Closed streams, readers that go away, homes that are not there, absurd numbers: exit codes 2 and 141, not 3."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nnmeter
from nnmeter.cli.main import VERBS, run

_COMMAND = [sys.executable, "-c", "from nnmeter.cli.main import main; main()"]
_ROOT = Path(nnmeter.__file__).parent.parent


def run_shell(
    redirection: str, *arguments: object, before: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    quoted = " ".join(f"'{part}'" for part in map(str, [*_COMMAND, *arguments]))
    return subprocess.run(
        ["bash", "-c", f"{before}{quoted} {redirection}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_closed_stdout_is_one_line(small_model: Path, small_pack: Path) -> None:
    done = run_shell(">&-", "predict", small_model, "--device", small_pack)
    assert (done.returncode, done.stderr) == (2, "nnmeter: stdout: is closed; check the path and its permissions\n")


def test_a_closed_stdout_is_not_needed_for_a_file(small_model: Path, small_pack: Path, tmp_path: Path) -> None:
    done = run_shell(">&-", "predict", small_model, "--device", small_pack, "--output", tmp_path / "out.txt")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ms" in (tmp_path / "out.txt").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("verb", ["predict", "kernels", "--help"])
def test_a_stdout_that_takes_no_more_is_one_line(
    small_model: Path, small_pack: Path, verb: str, environment: dict[str, str]
) -> None:
    arguments = () if verb == "--help" else (small_model, "--device", small_pack, "--format", "json")
    done = run_shell(">/dev/full", verb, *arguments, **environment)
    line = "nnmeter: stdout: No space left on device; make room on its disk, or give another place\n"
    assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_an_output_that_takes_no_more_is_named(small_model: Path, small_pack: Path) -> None:
    done = run_shell("", "predict", small_model, "--device", small_pack, "--output", "/dev/full")
    line = "nnmeter: /dev/full: No space left on device; make room on its disk, or give another place\n"
    assert (done.returncode, done.stderr) == (2, line)


def test_closed_streams_of_any_kind_do_no_harm(small_model: Path, small_pack: Path) -> None:
    done = run_shell("<&- 2>&-", "predict", small_model, "--device", small_pack)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ms" in done.stdout
    assert run_shell("<&- >&- 2>&-", "predict", small_model, "--device", small_pack).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("verb", ["predict", "devices"])
def test_a_full_disk_behind_stdout_is_one_line(
    small_model: Path, small_pack: Path, environment: dict[str, str], verb: str
) -> None:
    arguments = ("predict", small_model, "--device", small_pack) if verb == "predict" else ("devices",)
    done = run_shell(">/dev/full", *arguments, **environment)
    line = "nnmeter: (stdout: )?No space left on device; make room on its disk, or give another place\n"
    assert done.returncode == 2
    assert re.fullmatch(line, done.stderr)


@pytest.mark.parametrize("reader", ["true", "head -c 10 >/dev/null"])
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_reader_that_goes_away_is_141(
    small_model: Path, small_pack: Path, reader: str, environment: dict[str, str]
) -> None:
    """Of much output: more than a pipe and the buffers before it hold."""
    many = [str(small_model)] * 1500
    arguments = ("predict", *many, "--device", small_pack, "--format", "json")
    done = run_shell(f"| {reader}; exit ${{PIPESTATUS[0]}}", *arguments, **environment)
    assert (done.returncode, done.stderr) == (141, "")


def test_without_a_buffer_all_is_written(small_model: Path, small_pack: Path, tmp_path: Path) -> None:
    """A write of which the system takes a part, here for the limit of a file's size, is not taken for the whole."""
    many = [str(small_model)] * 100
    arguments = ("predict", *many, "--device", small_pack, "--format", "json")
    whole = run_shell("", *arguments).stdout
    assert run_shell("| cat", *arguments, PYTHONUNBUFFERED="1").stdout == whole
    cut = run_shell(f"> {tmp_path / 'out'}", *arguments, PYTHONUNBUFFERED="1", before="ulimit -f 64; ")
    assert cut.returncode == 2
    assert "File too large" in cut.stderr


def test_without_a_home_there_are_the_packs_that_ship(small_model: Path) -> None:
    for home in ("/nowhere", "/proc/1/nothing"):
        done = run_shell("", "devices", "--format", "json", HOME=home)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_home_that_cannot_be_found_or_read_has_no_packs(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nnmeter.devices.catalog.os.scandir", refuse)
    assert cli("devices").code == 0
    monkeypatch.undo()


def test_a_user_that_is_nobody_is_one_line(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNMETER_PACKS", "~nobody-of-this-name/packs")
    outcome = cli("devices")
    assert outcome.code == 2
    assert "NNMETER_PACKS: '~nobody-of-this-name/packs' is the home of nobody" in outcome.error_line


@pytest.mark.parametrize(
    "option",
    [
        ("--dim", "n={}"),
        ("--shape", "input=1x{}"),
        ("--assume", "t={}"),
        ("--trips", "loop={}"),
        ("--value", "input={}"),
    ],
)
def test_a_number_of_thousands_of_digits_is_one_line(
    cli: Callable, small_model: Path, small_pack: Path, option: tuple[str, str]
) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, option[0], option[1].format("9" * 5000))
    assert outcome.code == 2
    assert len(outcome.error_line) < 400


@pytest.mark.parametrize("verb", sorted(VERBS.keys() & {"measure", "profile", "fusion"}))
def test_more_threads_than_any_machine_has_are_refused(cli: Callable, small_model: Path, verb: str) -> None:
    rest = {"measure": [small_model], "profile": ["--out", "x", "--budget", "1s"], "fusion": ["discover"]}[verb]
    outcome = cli(verb, *rest, "--threads", 2147483648)
    assert outcome.code == 2
    assert "--threads" in outcome.error_line


def test_a_fault_of_ours_is_code_3_and_says_what_to_report(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("conv")

    monkeypatch.setattr("nnmeter.report.registry.Registry.render", fail)
    outcome = cli("predict", small_model, "--device", small_pack)
    assert outcome.code == 3
    for part in (
        "KeyError: 'conv'",
        "a fault of nnmeter, not of what you gave",
        "open an issue",
        "NNMETER_TRACEBACK=1",
    ):
        assert part in outcome.error_line
    assert "check" not in outcome.error_line


def test_too_little_memory_is_code_2(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nnmeter.report.registry.Registry.render", fail)
    outcome = cli("predict", small_model, "--device", small_pack)
    assert outcome.code == 2
    assert "not enough memory" in outcome.error_line


def test_a_stdout_without_a_buffer_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls the command line in a process of his own goes on writing."""
    with open(tmp_path / "out", "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdout", stream)
        assert run(["--version"]) == 0
        assert sys.stdout is stream
        print("behind it")
        stream.detach()
    assert (tmp_path / "out").read_text().splitlines() == [f"nnmeter {nnmeter.__version__}", "behind it"]


def test_a_path_in_an_error_controls_no_terminal(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--output", "no\x1b[2J/where.txt")
    assert outcome.code == 2
    assert outcome.error_line.isprintable()
    outcome = cli("profile", "--out", small_model / "below\x1b[2J", "--budget", "1s")
    assert outcome.code == 2
    assert outcome.error_line.isprintable()


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    "option",
    [
        ("predict", "--max-ms"),
        ("predict", "--max-ms", "1", "--probability"),
        ("memory", "--max-mib"),
        ("prune", "--probability"),
        ("measure", "--out", "m.parquet", "--seconds"),
        ("measure", "--out", "m.parquet", "--on", "pack", "--taken"),
        ("evaluate", "--measurements", "m.parquet", "--at-least"),
    ],
    ids=lambda option: option[0] + option[-1],
)
def test_what_is_no_number_is_none_to_an_option(
    cli: Callable, small_model: Path, option: tuple[str, ...], number: str
) -> None:
    """NaN is in no range: a check against it would pass whatever is measured."""
    outcome = cli(option[0], small_model, *option[1:], number)
    assert outcome.code == 2
    assert option[-1] in outcome.error_line


@pytest.mark.parametrize(
    "verb",
    [
        ("kit", "--runtime", "onnxruntime", "--out", "kit"),
        ("jobs", "slurm", "--shards", "2", "--folder", "/shared", "--out", "job.sh"),
        ("profile", "--out", "campaign"),
        ("setup",),
    ],
    ids=lambda verb: verb[0],
)
def test_a_budget_of_thousands_of_digits_is_one_line(cli: Callable, verb: tuple[str, ...]) -> None:
    outcome = cli(*verb, "--budget", "9" * 5000 + "h")
    assert outcome.code == 2
    assert "is more than ten years" in outcome.error_line
    assert len(outcome.error_line) < 300
