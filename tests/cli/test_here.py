"""`nnmeter predict --here` rescales to the present state of the pack's own machine, and refuses any other."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import nnmeter
from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.machine import Machine
from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import part_path, write_measurements
from nnmeter.lab.transfer.here import LEAST_NETWORKS, MachineState, present_state, state_of
from tests.cli.test_predict import SCHEMA

pytest.importorskip("pyarrow")
MACHINE = Machine("Test CPU", "Test", "x86_64", "avx512", "25", "17")


NETWORKS = 12


class Runtime:
    """Stands for the runtime of the pack, of which only the version counts here."""

    def __init__(self, version: str = "1.0.0") -> None:
        self._version = version

    def version(self) -> str:
        return self._version


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
def slow_machine(
    monkeypatch: pytest.MonkeyPatch, on_its_machine: None, own_pack: DevicePack, small_model: Path
) -> None:
    """A campaign here finds the reference at twice its time, products at three times and all else at half of theirs."""
    rows = networks(own_pack, small_model, {"matmul": 3.0, "convolution": 3.0})

    def campaign(folder: str, *_: object) -> CampaignProgress:
        write_measurements(part_path(folder, 0, NETWORKS), rows, {**own_pack.card.fingerprint, "reference_ms": 2.0})
        return CampaignProgress(NETWORKS, 0, 0, 1.0, 1.0, "", 0.3)

    monkeypatch.setattr("nnmeter.lab.campaign.supervisor.run_supervised_campaign", campaign)
    monkeypatch.setattr("nnmeter.lab.runtimes.load_runtime", lambda _: Runtime())


def networks(pack: DevicePack, model: Path, factors: dict[str, float], count: int = NETWORKS) -> list[Measurement]:
    """One network, measured several times: kernels take what the pack says, times a factor of their family (or 0.5)."""
    kernels = [k for k in nnmeter.predict(model, pack).kernels if k.signature and k.price]
    taken = tuple(k.price.latency_ms * factors.get(k.price.kind.family, 0.5) for k in kernels if k.price)
    signatures = tuple(k.signature for k in kernels if k.signature)
    return [
        Measurement(
            f"block:{n}", "block", f"n-{n}", "n", signatures, sum(taken), sum(taken), sum(taken), sum(taken),
            half_ms=(sum(taken), sum(taken)), kernel_ms=taken, kernel_spread=(0.0,) * len(taken), reference_ms=2.0,
            runs=5, threads=1, batch=1, kernel_runs=5, sitting="s",
        )
        for n in range(count)
    ]  # fmt: skip


def test_each_family_is_rescaled_by_what_it_took(
    cli: Callable, own_pack: DevicePack, slow_machine: None, small_model: Path
) -> None:
    arguments = ("predict", small_model, "--device", own_pack.path, "--format", "json")
    plain, scaled = json.loads(cli(*arguments).out), json.loads(cli(*arguments, "--here").out)
    jsonschema.validate(scaled, SCHEMA)
    state = state_of(own_pack, networks(own_pack, small_model, {"matmul": 3.0, "convolution": 3.0}), 2.0, 0.3)
    whole = 0.0
    for after, before in zip(scaled["kernels"], plain["kernels"], strict=True):
        ratio = after["latency_ms"] / before["latency_ms"]
        assert ratio == pytest.approx(3.0, rel=0.3) or ratio == pytest.approx(0.5, rel=0.7)
        whole += after["latency_ms"]
    assert scaled["overhead_ms"] == pytest.approx(plain["overhead_ms"] * correct(1.0, 1.0, 2.0))
    assert scaled["latency_ms"] == pytest.approx(whole + scaled["overhead_ms"])
    ratio = scaled["latency_ms"] / plain["latency_ms"]
    assert scaled["interval_ms"] == pytest.approx([ratio * value for value in plain["interval_ms"]])
    assert scaled["coverage"] == plain["coverage"]
    assert scaled["warnings"][:-1] == plain["warnings"]
    assert scaled["warnings"][-1] == state.note
    assert state.note.startswith(f"rescaled by {state.usual:.3f} to the present state of this machine")
    assert f"; {NETWORKS} networks were measured, " in state.note
    assert "warning: rescaled by" in cli(*arguments[:-2], "--here").out


def test_many_kernels_say_their_own_factor_and_few_that_of_all(own_pack: DevicePack, small_model: Path) -> None:
    few, many = (
        state_of(own_pack, networks(own_pack, small_model, {"convolution": 3.0}, count), 1.0) for count in (10, 1000)
    )
    assert many.families["convolution"] == pytest.approx(3.0, rel=0.01)
    other = next(f for f in many.families if f != "convolution")
    assert many.families[other] == pytest.approx(0.5, rel=0.05)
    assert few.usual is not None
    assert abs(few.families[other] - few.usual) < abs(many.families[other] - few.usual)


def test_with_few_networks_the_reference_alone_counts(own_pack: DevicePack, small_model: Path) -> None:
    state = state_of(own_pack, networks(own_pack, small_model, {}, LEAST_NETWORKS - 1), 2.0)
    plain = nnmeter.predict(small_model, own_pack)
    scaled = state.rescale(plain)
    assert state.networks == 0
    assert scaled.latency_ms == pytest.approx(correct(1.0, 1.0, 2.0) * plain.latency_ms)
    assert scaled.warnings[-1].startswith(f"rescaled by {state.factor:.3f}")


def test_another_machine_is_refused_in_one_line(
    cli: Callable, own_pack: DevicePack, slow_machine: None, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(MACHINE, family="26")
    monkeypatch.setattr("nnmeter.devices.identity.this_machine", lambda: other)
    outcome = cli("predict", small_model, "--device", own_pack.path, "--here")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "the pack is of another machine (family 25 model 17 there, family 26 model 17 here" in outcome.error_line
    assert "nnmeter setup" in outcome.error_line


def test_another_version_of_the_runtime_is_refused(
    own_pack: DevicePack, on_its_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnmeter.lab.runtimes.load_runtime", lambda _: Runtime("2.0.0"))
    with pytest.raises(DeviceError, match=r"runtime version or threads \(onnxruntime 1\.0\.0 there, 2\.0\.0 here"):
        present_state(own_pack)


def test_a_pack_of_an_unknown_machine_is_refused(small_pack: Path, on_its_machine: None) -> None:
    pack = load_pack(small_pack)
    with pytest.raises(DeviceError, match="the pack is of another machine"):
        present_state(pack)


def test_a_pack_without_a_reference_cannot_be_rescaled(own_pack: DevicePack, on_its_machine: None) -> None:
    pack = replace(own_pack, card=replace(own_pack.card, reference_ms=None))
    with pytest.raises(DeviceError, match=r"does not say how long the reference kernel took.*`nnmeter setup`"):
        present_state(pack)


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


@pytest.mark.needs_onnxruntime((1, 22))
def test_networks_run_on_this_machine(own_pack: DevicePack) -> None:
    from nnmeter.devices.machine import this_machine
    from nnmeter.lab.runtimes import load_runtime

    machine, runtime = this_machine(), load_runtime("onnxruntime")
    own = {"cpu": machine.cpu, "vendor": machine.vendor, "architecture": machine.architecture, "isa": machine.isa,
           "cpu_family": machine.family, "cpu_model": machine.model}  # fmt: skip
    card = replace(own_pack.card, version=runtime.version(), fingerprint={**own_pack.card.fingerprint, **own})
    for seconds in (6.0, 30.0, 120.0):  # a busy machine may need longer
        with suppress(MeasurementError):
            state = present_state(replace(own_pack, card=card), seconds)
            break
    assert state.reference_ms > 0
    assert state.factor == pytest.approx(correct(1.0, 1.0, state.reference_ms))
    assert all(value > 0 for value in state.families.values())
