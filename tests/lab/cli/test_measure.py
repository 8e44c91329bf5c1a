"""`nnmeter measure`, with the runtime of the profiling tests, where nothing is executed and time is counted."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements
from tests.conftest import make_small_model
from tests.lab.campaign.conftest import FakeClock

pytest.importorskip("pyarrow")

_HANG_UP = getattr(signal, "SIGHUP", signal.SIGTERM)  # not everywhere

QUICK = ("--runtime", "fake", "--passes", 2, "--seconds", 1e-9)


@pytest.fixture
def models(tmp_path: Path, runtime: object, clock: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models that the fake runtime takes for a product each."""
    import nnmeter.lab.measuring.protocol as protocol

    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("a", "b"):
        onnx.save(make_small_model(), folder / f"{name}.onnx")
    measure = protocol.measure_models
    monkeypatch.setattr(protocol, "measure_models", lambda *given, **named: measure(*given, **named, clock=clock))
    return folder


def refuse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fake runtime refuse the model of this name."""
    from nnmeter.errors import MeasurementError
    from tests.lab.campaign.conftest import FakeRuntime

    compile_any = FakeRuntime.compile

    def compile_most(self, model, *given, **named):
        if isinstance(model, str | Path) and Path(model).stem == name:
            raise MeasurementError(f"{model}: the runtime refuses it")
        return compile_any(self, model, *given, **named)

    monkeypatch.setattr(FakeRuntime, "compile", compile_most)


def test_models_are_written_and_reported(cli: Callable, models: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.parquet"
    outcome = cli("measure", models, "--out", output, *QUICK)
    assert outcome.code == 0, outcome.err
    for part in ("noise floor", "reference", "fake 1.0, 1 thread", "a ", "b ", str(output)):
        assert part in outcome.out
    rows, fingerprint = read_measurements(output)
    assert [m.network for m in rows] == ["a", "b"]
    (facts,) = fingerprint["sittings"].values()
    assert facts["measurements"] == 2
    assert facts["reference_ms"] == pytest.approx(fingerprint["reference_ms"], rel=1e-3)


def test_families_are_found_by_file_name_with_its_ending_and_without(
    cli: Callable, models: Path, tmp_path: Path
) -> None:
    table, output = tmp_path / "families.csv", tmp_path / "m.parquet"
    table.write_text("model,family\na,first\nb.onnx,second\n")
    assert cli("measure", models, "--out", output, "--families", table, *QUICK).code == 0
    assert [m.family for m in read_measurements(output)[0]] == ["first", "second"]


def test_json_is_one_document(cli: Callable, models: Path, tmp_path: Path) -> None:
    document = json.loads(cli("measure", models, "--out", tmp_path / "m.parquet", *QUICK, "--format", "json").out)
    assert document["noise_floor"]["models"] == 2
    assert [m["model"] for m in document["models"]] == ["a", "b"]


def test_a_page_and_a_trace_have_what_was_predicted_beside_it(
    cli: Callable, models: Path, small_pack: Path, tmp_path: Path
) -> None:
    page, trace, output = tmp_path / "page.html", tmp_path / "trace.json", tmp_path / "m.parquet"
    beside = ("--report", page, "--trace", trace, "--device", small_pack)
    outcome = cli("measure", models, "--out", output, *beside, *QUICK)
    assert outcome.code == 0, outcome.err
    text = page.read_text(encoding="utf-8")
    assert text.count("predicted / measured</button>") == 2
    assert text.count("<p>Measured: <strong>") == 2
    assert text.count(">measured</text>") == 2
    assert '<th scope="col" class="n">measured ms</th>' in text
    assert "<td>k0</td>" in text
    rows, _ = read_measurements(output)
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    for process, row in enumerate(rows, 1):
        threads = {e["args"]["name"]: e["tid"] for e in events if e["pid"] == process and e["name"] == "thread_name"}
        (predicted,) = (
            e for e in events if e["ph"] == "X" and e["tid"] == threads["predicted"] and e["cat"] == "MatMul"
        )
        (measured,) = (e for e in events if e["ph"] == "X" and e["tid"] == threads["measured"])
        assert measured["name"] == predicted["name"] == "k0"
        assert measured["dur"] == pytest.approx(1000 * row.latency_ms, abs=1e-3)
        assert measured["args"]["predicted_ms"] == pytest.approx(predicted["dur"] / 1000, abs=1e-6)
    refused = cli("measure", models, "--out", tmp_path / "n.parquet", "--device", small_pack, *QUICK)
    assert "--device is of --report and --trace" in refused.error_line


def test_without_a_profiler_a_run_stands_beside_the_kernels(
    cli: Callable, models: Path, small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.lab.campaign.conftest import FakeRuntime

    monkeypatch.setattr(FakeRuntime, "has_profiler", False)
    page, trace, output = tmp_path / "page.html", tmp_path / "trace.json", tmp_path / "m.parquet"
    beside = ("--report", page, "--trace", trace, "--device", small_pack)
    assert cli("measure", models / "a.onnx", "--out", output, *beside, *QUICK).code == 0
    assert "runtime's profiler" not in page.read_text(encoding="utf-8")
    ((row,), _) = read_measurements(output)
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert {"name": "run", "dur": pytest.approx(1000 * row.latency_ms, abs=1e-3)}.items() <= events[-1].items()


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_added_to(cli: Callable, models: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.parquet"
    assert cli("measure", models / "a.onnx", "--out", output, *QUICK).code == 0
    content = output.read_bytes()
    again = cli("measure", models, "--out", output, *QUICK)
    assert again.code == 2
    assert "exists already; add to it with --append" in again.error_line
    assert output.read_bytes() == content
    assert cli("measure", models, "--out", output, "--append", *QUICK).code == 0
    rows, _ = read_measurements(output)
    assert [m.network for m in rows] == ["a", "a", "b"]
    assert len({m.id for m in rows}) == 3
    assert len({m.reference_ms for m in rows}) == 1


def test_a_later_sitting_is_on_the_scale_of_the_first_and_tells_its_own_reference(
    cli: Callable,
    models: Path,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "m.parquet"
    assert cli("measure", models / "a.onnx", "--out", output, *QUICK).code == 0
    clock.slowness = lambda now_s: 2.0
    monkeypatch.setattr("nnmeter.lab.measuring.stand.LocalStand.reference_ms", lambda _: 2.0)
    outcome = cli("measure", models / "a.onnx", "--out", output, "--append", *QUICK)
    assert outcome.code == 0, outcome.err
    (first, second), fingerprint = read_measurements(output)
    assert second.reference_ms == first.reference_ms
    assert second.median_ms == pytest.approx(2 * first.median_ms)
    assert [s["reference_ms"] for s in fingerprint["sittings"].values()] == pytest.approx([first.reference_ms, 2.0])


def test_another_device_is_refused_before_anything_is_measured(
    cli: Callable, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.parquet"
    assert cli("measure", models, "--out", output, *QUICK).code == 0
    monkeypatch.setattr("nnmeter.lab.measuring.protocol.measure_models", lambda *_, **__: pytest.fail("measured"))
    outcome = cli("measure", models, "--out", output, "--append", "--threads", 2, *QUICK)
    assert outcome.code == 2
    assert "measured on another device (threads 1, now 2)" in outcome.error_line


def test_a_model_that_the_runtime_refuses_is_named_and_the_others_are_kept(
    cli: Callable, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse("a", monkeypatch)
    output = tmp_path / "m.parquet"
    outcome = cli("measure", models, "--out", output, *QUICK)
    assert outcome.code == 1
    assert "a.onnx" in outcome.error_line
    assert "the others are in" in outcome.error_line
    assert "refused" in outcome.out
    assert [m.network for m in read_measurements(output)[0]] == ["b"]


def test_if_all_are_refused_nothing_is_written(
    cli: Callable, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse("a", monkeypatch)
    outcome = cli("measure", models / "a.onnx", "--out", tmp_path / "m.parquet", *QUICK)
    assert outcome.code == 2
    assert "no model could be measured" in outcome.error_line
    assert not (tmp_path / "m.parquet").exists()


def test_an_unreadable_model_stops_all_unless_the_rest_is_wanted(cli: Callable, models: Path, tmp_path: Path) -> None:
    (models / "0.onnx").write_text("no model")
    output = tmp_path / "m.parquet"
    assert cli("measure", models, "--out", output, *QUICK).code == 2
    assert not output.exists()
    outcome = cli("measure", models, "--out", output, "--keep-going", *QUICK)
    assert outcome.code == 1
    assert "0.onnx" in outcome.error_line
    assert [m.network for m in read_measurements(output)[0]] == ["a", "b"]


def interrupt(monkeypatch: pytest.MonkeyPatch, at: str, number: int = signal.SIGINT) -> None:
    """Get a signal, that of Ctrl-C by default, when the progress line that starts with `at` is shown."""
    import nnmeter.lab.measuring.protocol as protocol

    measure = protocol.measure_models

    def watched(*given: object, progress: Callable, **named: object) -> list[Measurement]:
        def tell(text: str, *counts: int) -> None:
            progress(text, *counts)
            if text.startswith(at):
                signal.raise_signal(number)

        return measure(*given, progress=tell, **named)

    monkeypatch.setattr(protocol, "measure_models", watched)


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Signals as a terminal leaves them: who started the tests may ignore some."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, _HANG_UP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (_HANG_UP, 128 + _HANG_UP)],
)
def test_what_was_measured_before_an_interruption_is_written(
    cli: Callable,
    models: Path,
    small_pack: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, _HANG_UP)]
    interrupt(monkeypatch, "pass 1 of 2: b", number)
    output, page = tmp_path / "m.parquet", tmp_path / "page.html"
    outcome = cli("measure", models, "--out", output, "--report", page, "--device", small_pack, *QUICK)
    assert outcome.code == code
    assert handlers == [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, _HANG_UP)]
    assert "interrupted" in outcome.out
    ((row,), _) = read_measurements(output)
    assert row.network == "a"
    assert row.latency_ms > 0
    assert page.read_text(encoding="utf-8").count("<p>Measured: <strong>") == 1


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("at", ["load a", "load b", "pass 1 of 2: a"])
def test_an_interruption_before_anything_is_measured_writes_nothing(
    cli: Callable, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    interrupt(monkeypatch, at)
    assert cli("measure", models, "--out", tmp_path / "m.parquet", *QUICK).code == 130
    assert not (tmp_path / "m.parquet").exists()


def test_without_pyarrow_nothing_is_measured_and_the_one_extra_is_named(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is missing would else be known when all is measured."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for verb in (("measure", small_model, "--out", "m.parquet"), ("profile", "--out", "campaign", "--budget", "1h")):
        outcome = cli(*verb)
        assert outcome.code == 2
        assert "need pyarrow, which is not installed; pip install 'nnmeter[lab]'" in outcome.error_line
