import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import nnmeter
from nnmeter.cli.examples import EXAMPLES
from nnmeter.cli.main import VERBS, run
from nnmeter.cli.main import nnmeter as group
from tests.docs.trying import fault_of


def test_help_lists_every_verb_and_imports_none(cli: Callable) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in outcome.out
    code = "import sys, nnmeter.cli.main as m; m.run(['--help']); print('nnmeter.cli.predict' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Callable, verb: str) -> None:
    outcome = cli(verb, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: nnmeter {verb} ")


def test_without_a_verb_the_help_is_shown(cli: Callable) -> None:
    assert cli().out == cli("--help").out


def test_the_version_is_printed(cli: Callable) -> None:
    assert cli("--version").out == f"nnmeter {nnmeter.__version__}\n"


def test_kernels_are_listed_with_their_nodes(cli: Callable, small_model: Path, small_pack: Path) -> None:
    document = json.loads(cli("kernels", small_model, "--device", small_pack, "--format", "json").out)
    assert document["schema_version"] == 1
    conv = next(kernel for kernel in document["kernels"] if "conv" in kernel["nodes"])
    assert conv["nodes"] == ["conv", "relu"]
    assert conv["type"].endswith("Conv+Relu")
    assert conv["flops"] >= 2 * 32 * 16 * 9 * 14 * 14
    assert conv["inputs"][0].startswith("float32[1x")
    table = cli("kernels", small_model, "--device", small_pack).out
    assert "Conv+Relu" in table
    assert f"{len(document['kernels'])} kernels" in table


@pytest.fixture
def only_small_pack(small_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))


@pytest.mark.usefixtures("only_small_pack")
def test_devices_are_listed(cli: Callable, small_pack: Path) -> None:
    assert "test-onnxruntime-1t *" in cli("devices").out
    document = json.loads(cli("devices", "--format", "json").out)
    assert [device["id"] for device in document["devices"]] == ["test-onnxruntime-1t"]
    assert document["devices"][0]["card"]["hardware"] == "made for tests"


@pytest.mark.usefixtures("only_small_pack")
def test_a_device_is_shown_with_its_card(cli: Callable, small_pack: Path) -> None:
    text = cli("devices", "show", "test-onnxruntime-1t").out
    assert "made for tests" in text
    assert "no scorecard" in text
    document = json.loads(cli("devices", "show", small_pack, "--format", "json").out)
    assert document["card"]["threads"] == 1
    assert document["scorecard"] is None


def test_showing_an_unknown_device_is_an_error(cli: Callable) -> None:
    outcome = cli("devices", "show", "no-such-device")
    assert outcome.code == 2
    assert "unknown device" in outcome.error_line


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_ends_with_examples_that_it_takes(cli: Callable, verb: str) -> None:
    commands = EXAMPLES[verb]
    shown = cli(verb, "--help").out.rstrip().splitlines()
    assert [line.strip() for line in shown[-len(commands) - 1 :]] == ["Examples:", *commands]
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    for example in commands:
        program, called, *arguments = shlex.split(example)
        assert (program, called) == ("nnmeter", verb)
        fault = fault_of(command, verb, arguments)
        assert fault is None or "does not exist" in fault, example


@pytest.mark.usefixtures("only_small_pack")
@pytest.mark.parametrize(
    ("line", "word", "offered"),
    [
        ("nnmeter com", 1, "plain,compare"),
        ("nnmeter predict --max", 2, "plain,--max-ms"),
        ("nnmeter predict --device test", 3, "plain,test-onnxruntime-1t"),
        ("nnmeter predict --device all,test", 3, "plain,all,test-onnxruntime-1t"),
    ],
)
def test_a_shell_completes_verbs_options_and_devices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, word: int, offered: str
) -> None:
    monkeypatch.setenv("_NNMETER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(word))
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [offered]
