"""`--timeout`: the models are read in a child, which is killed when the time is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import onnx
import pytest
from onnx import helper

from nnmeter.children import child_environment, python_command
from nnmeter.cli.ending import as_interrupts
from nnmeter.cli.limited import run_limited, without_options
from nnmeter.errors import ModelError
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("verb", ["predict", "kernels"])
def test_the_report_is_that_of_a_run_without(cli: Callable, small_model: Path, small_pack: Path, verb: str) -> None:
    arguments = (verb, small_model, "--device", small_pack, "--format", "json")
    plain = cli(*arguments)
    limited = cli(*arguments, "--timeout", 60)
    assert (limited.code, limited.out, limited.err) == (0, plain.out, "")
    json.loads(limited.out)


def test_a_report_to_a_file_is_whole(cli: Callable, small_model: Path, small_pack: Path) -> None:
    cli("predict", small_model, "--device", small_pack, "--output", "plain.txt")
    outcome = cli("predict", small_model, "--device", small_pack, "--timeout=60", "--output=limited.txt")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert Path("limited.txt").read_text() == Path("plain.txt").read_text()


def test_when_the_time_is_up_it_is_one_line_and_nothing_is_written(
    cli: Callable, small_model: Path, small_pack: Path
) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--timeout", "0.001", "--output", "out.txt")
    assert outcome.code == 2
    assert "not read within 0.001 seconds (--timeout), and reading was ended; give more time" in outcome.error_line
    assert (outcome.out, os.listdir()) == ("", [])


def test_a_fault_of_the_child_is_that_of_the_verb(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    outcome = cli("predict", tmp_path / "bad.onnx", "--device", small_pack, "--timeout", 60, "--output", "out.txt")
    assert outcome.code == 2
    assert "bad.onnx" in outcome.error_line
    assert os.listdir() == []


def test_strictness_keeps_its_exit_code(cli: Callable, small_model: Path, small_pack: Path) -> None:
    plain = cli("predict", small_model, "--device", small_pack)
    outcome = cli("predict", small_model, "--device", small_pack, "--strict", "--timeout", 60)
    assert (outcome.code, outcome.out) == (1, plain.out)
    assert "outside the trained range" in outcome.error_line


def test_a_child_that_dies_of_a_signal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/sh")
    monkeypatch.setattr("nnmeter.cli.limited.without_options", lambda *_: [])
    real = __import__("subprocess").Popen
    monkeypatch.setattr("subprocess.Popen", lambda command, **options: real(["sh", "-c", "kill -SEGV $$"], **options))
    with pytest.raises(ModelError, match="was ended by SIGSEGV"):
        run_limited(["predict", "x.onnx"], 60, None)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_that_is_none_is_refused(cli: Callable, small_model: Path, seconds: str) -> None:
    outcome = cli("predict", small_model, "--timeout", seconds)
    assert outcome.code == 2
    assert "--timeout" in outcome.error_line


def test_an_output_without_a_directory_is_refused_before_anything_is_read(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *a, **o: pytest.fail("a child was started"))
    outcome = cli("predict", small_model, "--timeout", 60, "--output", "none/out.txt")
    assert outcome.code == 2
    assert "there is no directory none" in outcome.error_line


def test_own_options_are_left_out_of_the_childs_command_line() -> None:
    given = ["predict", "--timeout", "5", "a.onnx", "--output=o", "--dim", "n=1", "--output", "p", "--", "--timeout"]
    expected = ["predict", "a.onnx", "--dim", "n=1", "--", "--timeout"]
    assert without_options(given, ("--timeout", "--output")) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_model_that_needs_more_memory_than_it_is_given_is_one_line(
    cli: Callable, tmp_path: Path, small_pack: Path
) -> None:
    names = [f"a{i}" for i in range(120_000)]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    value = [helper.make_tensor_value_info(name, 1, [1]) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "chain", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "chain.onnx")
    outcome = cli("kernels", tmp_path / "chain.onnx", "--device", small_pack, "--memory", 128, "--output", "out.txt")
    assert outcome.code == 2
    assert "not enough memory" in outcome.error_line
    assert (outcome.out, os.listdir()) == ("", [])


def _usual_signals() -> None:
    """Signals as a terminal leaves them: who started the tests may ignore some."""
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_parent_that_is_asked_to_end_ends_its_child(
    tmp_path: Path, small_model: Path, small_pack: Path, name: str
) -> None:
    """The child waits for ever, in a script that the test puts in the place of the verb."""
    waiting = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    script = (
        f"import sys, nnmeter.cli.limited as limited; limited._SCRIPT = {waiting!r}; "
        "from nnmeter.cli.main import main; main(sys.argv[1:])"
    )
    given = ["predict", str(small_model), "--device", str(small_pack), "--timeout", "600", "--memory", "1000"]
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *given], cwd=REPOSITORY, stderr=subprocess.PIPE, preexec_fn=_usual_signals
    )
    while parent.poll() is None and not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        time.sleep(0.02)
    parent.send_signal(getattr(signal, name))
    _, complaint = parent.communicate(timeout=60)
    assert (parent.returncode, complaint.strip()) == (128 + getattr(signal, name), b"")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_what_nohup_starts_outlives_its_terminal() -> None:
    """A signal that is ignored when we begin stays so."""
    before = [signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, signal.SIG_DFL)]
    try:
        with as_interrupts() as ending:
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert ending.number is None


def test_a_child_whose_parent_was_killed_ends() -> None:
    """It sees the end of its standard input."""
    script = "import time; from nnmeter.cli import limited; limited.watch_parent(); time.sleep(600)"
    child = subprocess.Popen(python_command(script), stdin=subprocess.PIPE, env=child_environment())
    assert child.stdin
    child.stdin.close()
    assert child.wait(60) == 2
