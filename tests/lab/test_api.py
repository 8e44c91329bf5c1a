"""The lab's verbs as functions: they do what the verbs of the command line do, with a runtime that counts time."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import nnmeter
from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring import protocol, store
from nnmeter.lab.measuring.interruption import MeasuringInterrupted
from tests.conftest import make_small_model
from tests.lab.campaign.conftest import FakeRuntime

pytest.importorskip("pyarrow")


@pytest.fixture
def model(tmp_path: Path, runtime: object, clock: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that the fake runtime takes for a product."""
    path = tmp_path / "small.onnx"
    onnx.save(make_small_model("batch"), path)
    measure = protocol.measure_models
    monkeypatch.setattr(protocol, "measure_models", lambda *given, **named: measure(*given, **named, clock=clock))
    return path


def quick(model: Path | list[Path], out: Path | None = None, **options: object) -> list[nnmeter.Measurement]:
    options = {"runtime": "fake", "passes": 2, "seconds_per_pass": 1e-9, "dims": {"batch": 2}, **options}
    return nnmeter.measure(model, out, **options)


def test_models_are_measured_without_a_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    compile_any = FakeRuntime.compile

    def compile_noted(self: FakeRuntime, source: object, *arguments: object, **options: object) -> object:
        given.append(options.get("dims"))
        return compile_any(self, source, *arguments, **options)

    monkeypatch.setattr(FakeRuntime, "compile", compile_noted)
    (found,) = quick(model)
    assert (found.network, found.granularity) == ("small", "model")
    assert found.latency_ms > 0
    quick([model], sizes=nnmeter.InputSizes({"batch": 3}), dims=None)
    assert [dims for dims in given if dims] == [{"batch": 2}, {"batch": 3}]


def test_measurements_are_written_and_added(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    quick(model, out, families={"small.onnx": "tiny"})
    with pytest.raises(MeasurementError, match="exists already; add to it"):
        quick(model, out)
    (second,) = quick(model, out, append=True)
    rows, fingerprint = store.read_measurements(out)
    assert [row.network for row in rows] == ["small", "small"]
    assert rows[0].family == "tiny"
    assert second.id == rows[1].id != rows[0].id
    assert rows[0].reference_ms == rows[1].reference_ms
    assert len(fingerprint["sittings"]) == 2


def test_what_was_measured_before_an_interrupt_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = quick(model)

    def interrupted(*given: object, **named: object) -> None:
        raise MeasuringInterrupted([found])

    monkeypatch.setattr(protocol, "measure_models", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(model, tmp_path / "m.parquet")
    assert [row.network for row in store.read_measurements(tmp_path / "m.parquet")[0]] == ["small"]


def test_nothing_can_be_assumed_of_what_is_measured(model: Path) -> None:
    with pytest.raises(MeasurementError, match="has the shapes of its data"):
        quick(model, sizes=nnmeter.InputSizes(assume={"x": (1,)}))


def test_measurements_are_a_frame(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    out = tmp_path / "m.parquet"
    (row,) = quick(model, out)
    frame = nnmeter.read_measurements(out)
    assert frame["latency_ms"][0] == pytest.approx(row.latency_ms)
    assert frame["kernels"][0] == len(row.kernels)
    assert frame["kernel_types"][0] == tuple(kernel.type for kernel in row.kernels)
    assert frame["noise"][0] == pytest.approx(abs(row.half_ms[0] - row.half_ms[1]) / row.latency_ms, rel=1e-3, abs=1e-6)
    assert frame.attrs["fingerprint"]["runtime"] == "fake"


def test_evaluation_and_its_scorecard(small_pack: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.parquet"
    kernels = nnmeter.detect_kernels(model, small_pack, nnmeter.InputSizes({"batch": 2}))
    latency = nnmeter.predict(model, small_pack, {"batch": 2}).latency_ms
    row = nnmeter.Measurement(
        "model:small", "model", "small", "tiny", tuple(k.signature for k in kernels), latency, latency, latency,
        latency, 5, 1.0, (latency, latency * 1.02), 1, 2, "s",
    )  # fmt: skip
    store.write_measurements(out, [row], {"cpu": "Test CPU", "runtime": "onnxruntime"})
    card = nnmeter.evaluate(small_pack, out, model.parent, dims={"batch": 2}, families={"small": "one"})
    assert card.overall.mape == pytest.approx(0.0, abs=1e-4)
    assert set(card.families) == {"one"}
    assert nnmeter.evaluate(small_pack, [out]).kernels_from == "runtime"


@pytest.mark.parametrize(
    ("budget", "seconds"), [("20m", 1200.0), ("1h30m", 5400.0), ("90s", 90.0), (45, 45.0), ("1.5m", 90.0)]
)
def test_a_budget_is_seconds_or_a_text(budget: float | str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def supervised(out: Path, runtime: str, threads: int, budget_s: float, *rest: object) -> str:
        asked.update(budget_s=budget_s, like=rest[-1])
        return "done"

    monkeypatch.setattr("nnmeter.lab.campaign.supervisor.run_supervised_campaign", supervised)
    assert nnmeter.profile("campaign", budget, like=["a.onnx"], sizes=nnmeter.InputSizes({"n": 1})) == "done"
    assert asked["budget_s"] == seconds
    assert json.loads(json.dumps(asked["like"])) == {
        "paths": ["a.onnx"], "dims": {"n": 1}, "shapes": {}, "assume": {}, "device": None
    }  # fmt: skip


def test_a_campaign_without_sense_is_refused() -> None:
    with pytest.raises(MeasurementError, match="budget 'soon' is no time"):
        nnmeter.profile("campaign", "soon")
    with pytest.raises(MeasurementError, match="are about the models of like"):
        nnmeter.profile("campaign", device="some-pack")


def test_training_takes_one_source_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("nnmeter.lab.training.build.build_pack", lambda *given: asked.append(given))
    nnmeter.train("campaign", "pack", seed=3)
    nnmeter.train(["a", Path("b")], "pack", regressor="random-forest", device_id="me")
    assert asked == [
        (["campaign"], "pack", "lightgbm", None, None, None, 3, None),
        (["a", Path("b")], "pack", "random-forest", "me", None, None, 0, None),
    ]


@pytest.mark.parametrize("verb", ["measure", "profile", "train", "evaluate", "calibrate", "discover_fusion"])
def test_every_argument_is_typed_and_documented(verb: str) -> None:
    function: Callable[..., object] = getattr(nnmeter, verb)
    text = inspect.getdoc(function) or ""
    for name, parameter in inspect.signature(function).parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"\n    {name}: " in text, f"{verb} does not document {name}"
