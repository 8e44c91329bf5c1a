"""`nnmeter predict --here` rescales to the present state of the pack's own machine, and refuses any other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.machine import Machine
from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.lab.measuring import here
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.here import MachineState, present_state
from tests.cli.test_predict import SCHEMA

MACHINE = Machine("Test CPU", "Test", "x86_64", "avx512", "25", "17")


class StandingClock:
    """A runtime whose every run of the reference takes two milliseconds, on a clock of its own."""

    name = "onnxruntime"
    has_profiler = False

    def __init__(self, version: str = "1.0.0") -> None:
        self.now_s = 0.0
        self._version = version

    def version(self) -> str:
        return self._version

    def compile(self, *_: object, **__: object) -> "StandingClock":
        return self

    def run(self) -> None:
        self.now_s += 0.002

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def own_pack(small_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> DevicePack:
    """The small pack, made on `MACHINE`, whose reference took one millisecond."""
    pack = load_pack(small_pack)
    fingerprint = {
        "cpu": MACHINE.cpu,
        "vendor": MACHINE.vendor,
        "architecture": MACHINE.architecture,
        "isa": MACHINE.isa,
        "cpu_family": MACHINE.family,
        "cpu_model": MACHINE.model,
        "runtime": "onnxruntime",
        "runtime_version": "1.0.0",
        "threads": 1,
        "precision": "float32",
    }
    card = replace(pack.card, version="1.0.0", fingerprint=fingerprint, reference_ms=1.0)
    directory = tmp_path_factory.mktemp("own") / card.id
    return save_pack(directory, card, rules_to_dict(pack.rules), pack.predictor)


@pytest.fixture
def on_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.devices.identity.this_machine", lambda: MACHINE)


@pytest.fixture
def slow_runtime(monkeypatch: pytest.MonkeyPatch, on_its_machine: None) -> StandingClock:
    from nnmeter.lab.measuring.protocol import Stopwatch

    runtime = StandingClock()
    monkeypatch.setattr("nnmeter.lab.measuring.protocol.Stopwatch", lambda r: Stopwatch(r, lambda: r.now_s))
    monkeypatch.setattr("nnmeter.lab.runtimes.load_runtime", lambda _: runtime)
    return runtime


def test_times_are_multiplied_and_the_note_says_so(
    cli: Callable, own_pack: DevicePack, slow_runtime: StandingClock, small_model: Path
) -> None:
    arguments = ("predict", small_model, "--device", own_pack.path, "--format", "json")
    plain, scaled = json.loads(cli(*arguments).out), json.loads(cli(*arguments, "--here").out)
    jsonschema.validate(scaled, SCHEMA)
    factor = correct(1.0, 1.0, 2.0)
    assert factor > 1.5
    assert scaled["latency_ms"] == pytest.approx(factor * plain["latency_ms"])
    assert scaled["interval_ms"] == pytest.approx([factor * value for value in plain["interval_ms"]])
    for after, before in zip(scaled["kernels"], plain["kernels"], strict=True):
        assert after["latency_ms"] == pytest.approx(factor * before["latency_ms"])
    assert scaled["coverage"] == plain["coverage"]
    assert scaled["warnings"][:-1] == plain["warnings"]
    assert scaled["warnings"][-1].startswith(f"rescaled by {factor:.3f} to the present state of this machine")
    assert "warning: rescaled by" in cli(*arguments[:-2], "--here").out


def test_another_machine_is_refused_in_one_line(
    cli: Callable, own_pack: DevicePack, slow_runtime: StandingClock, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(MACHINE, family="26")
    monkeypatch.setattr("nnmeter.devices.identity.this_machine", lambda: other)
    outcome = cli("predict", small_model, "--device", own_pack.path, "--here")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "the pack is of another machine (family 25 model 17 there, family 26 model 17 here" in outcome.error_line
    assert "nnmeter setup" in outcome.error_line


def test_another_version_of_the_runtime_is_refused(own_pack: DevicePack, on_its_machine: None) -> None:
    with pytest.raises(DeviceError, match=r"runtime version or threads \(onnxruntime 1\.0\.0 there, 2\.0\.0 here"):
        present_state(own_pack, StandingClock("2.0.0"))  # type: ignore[arg-type]


def test_a_pack_of_an_unknown_machine_is_refused(small_pack: Path, on_its_machine: None) -> None:
    pack = load_pack(small_pack)
    with pytest.raises(DeviceError, match="the pack is of another machine"):
        present_state(pack, StandingClock())  # type: ignore[arg-type]


def test_a_pack_without_a_reference_cannot_be_rescaled(own_pack: DevicePack, on_its_machine: None) -> None:
    pack = replace(own_pack, card=replace(own_pack.card, reference_ms=None))
    with pytest.raises(DeviceError, match=r"does not say how long the reference kernel took.*`nnmeter setup`"):
        present_state(pack, StandingClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("device", "place"),
    [("cortexA76cpu_tflite21", "a phone CPU"), ("adreno640gpu_tflite21", "a phone GPU"), ("v100_tensorrt_fp32", "GPU")],
)
def test_a_pack_of_a_phone_is_never_of_this_machine(cli: Callable, small_model: Path, device: str, place: str) -> None:
    """Nothing that could be trained anew here would be of it."""
    outcome = cli("predict", small_model, "--device", device, "--here")
    assert outcome.code == 2
    assert f"{place}); leave --here out, or make a pack of this machine with `nnmeter setup`" in outcome.error_line


def test_a_restless_machine_is_told() -> None:
    assert "restless" not in MachineState(1.1, 1.0, 0.02).note
    assert "and is restless now, varying by 30 %" in MachineState(1.1, 1.0, 0.3).note
    assert here.SECONDS >= 0.5


@pytest.mark.needs_onnxruntime((1, 22))
def test_the_reference_runs_on_this_machine(own_pack: DevicePack) -> None:
    from nnmeter.devices.machine import this_machine
    from nnmeter.lab.runtimes import load_runtime

    machine, runtime = this_machine(), load_runtime("onnxruntime")
    own = {"cpu": machine.cpu, "vendor": machine.vendor, "architecture": machine.architecture, "isa": machine.isa,
           "cpu_family": machine.family, "cpu_model": machine.model}  # fmt: skip
    card = replace(own_pack.card, version=runtime.version(), fingerprint={**own_pack.card.fingerprint, **own})
    state = present_state(replace(own_pack, card=card), runtime, seconds=0.05)
    assert state.reference_ms > 0
    assert state.factor == pytest.approx(correct(1.0, 1.0, state.reference_ms))
