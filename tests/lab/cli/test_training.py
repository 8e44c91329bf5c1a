"""The verbs that make a device pack, on a made-up device and, for the measuring ones, briefly on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.devices import load_pack
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import default_id
from nnmeter.lab.training.regressors import Preset
from tests.predictor.conftest import addition, convolution, true_latency_ms

pytest.importorskip("lightgbm")
pytest.importorskip("pyarrow")

FINGERPRINT: dict[str, Any] = {
    "cpu": "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz",
    "vendor": "GenuineIntel",
    "architecture": "x86_64",
    "isa": "avx2",
    "runtime": "onnxruntime",
    "runtime_version": "1.32.0",
    "threads": 1,
    "precision": "float32",
    "date": "2026-01-01",
    "reference_ms": 2.0,
}


def made_up(granularity: str, count: int, seed: int) -> list[Measurement]:
    """Networks whose kernels take what the made-up device says."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        kernels = []
        for _ in range(8):
            channels, size = int(generator.choice([16, 32, 64, 128])), int(generator.choice([7, 14, 28]))
            kernels += [convolution(channels, channels, size), addition(1, channels, size, size)]
        times = tuple(true_latency_ms(kernel) for kernel in kernels)
        total = sum(times)
        found.append(
            Measurement(
                id=f"{granularity}:{number}",
                granularity=granularity,
                network=f"net-{number}",
                family=f"family-{number % 6}",
                kernels=tuple(kernels),
                latency_ms=total,
                min_ms=total,
                median_ms=total,
                p90_ms=total,
                runs=5,
                reference_ms=2.0,
                half_ms=(total, total * 1.01),
                threads=1,
                batch=1,
                sitting="test",
                kernel_ms=times,
                kernel_spread=(0.01,) * len(times),
                kernel_runs=5,
            )
        )
    return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measurements to train on, and of models to evaluate with, in two files of one directory."""
    from nnmeter.lab.measuring.store import write_measurements

    directory = tmp_path_factory.mktemp("measured")
    write_measurements(directory / "blocks.parquet", made_up("block", 30, 0), FINGERPRINT)
    write_measurements(directory / "models.parquet", made_up("model", 12, 1), FINGERPRINT)
    return directory


def test_train_makes_a_pack_that_evaluate_scores(
    cli: Callable, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnmeter.lab.training.kernels.PRESETS", {"lightgbm": Preset(40, 8, 0.15, 4)})  # quick
    pack = tmp_path / "pack"
    outcome = cli("train", measured / "blocks.parquet", "--out", pack)
    assert outcome.code == 0, outcome.err
    card = load_pack(pack).card
    assert card.id == "xeon-platinum-8370c-2.80ghz-onnxruntime1.32-1t"
    assert (card.runtime, card.version, card.threads, card.date) == ("onnxruntime", "1.32.0", 1, "2026-01-01")
    assert card.reference_ms == 2.0
    assert card.noise_floor["median_error"] == pytest.approx(1.0, abs=0.1)
    assert load_pack(pack).rules.parameters["block"] == 8, "the block of channels of AVX2"

    evaluate = ("evaluate", pack, "--measurements", measured / "models.parquet")
    scorecard = json.loads(cli(*evaluate, "--format", "json").out)
    assert scorecard["overall"]["within_10"] > 80
    assert "family-0" in cli(*evaluate).out
    assert cli(*evaluate, "--format", "csv").out.count("\n") == 13
    assert "| family |" in cli(*evaluate, "--format", "md").out

    assert load_pack(pack).scorecard is None
    assert cli(*evaluate, "--save").code == 0
    assert load_pack(pack).scorecard == scorecard
    assert "scorecard of" in cli("devices", "show", pack).out


def test_evaluate_fails_with_code_1_below_the_wanted_accuracy(cli: Callable, measured: Path, small_pack: Path) -> None:
    outcome = cli("evaluate", small_pack, "--measurements", measured / "models.parquet", "--at-least", "100")
    assert outcome.code == 1
    assert "of the models lie within" in outcome.error_line


def test_measurements_of_two_devices_are_not_mixed(cli: Callable, measured: Path, tmp_path: Path) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    other = tmp_path / "other.parquet"
    write_measurements(other, made_up("block", 3, 2), {**FINGERPRINT, "threads": 4})
    outcome = cli("train", measured / "blocks.parquet", other, "--out", tmp_path / "pack")
    assert outcome.code == 2
    assert "other.parquet: measured on another device" in outcome.error_line
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no, not really PAR1"])
def test_a_bad_measurement_file_is_one_line(cli: Callable, small_pack: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.parquet"
    if content is not None:
        path.write_bytes(content)
    for arguments in (["evaluate", small_pack, "--measurements", path], ["train", path, "--out", tmp_path / "pack"]):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert "bad.parquet" in outcome.error_line


def test_too_few_measurements_are_refused(cli: Callable, tmp_path: Path) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    write_measurements(tmp_path / "few.parquet", made_up("block", 3, 2), FINGERPRINT)
    outcome = cli("train", tmp_path / "few.parquet", "--out", tmp_path / "pack")
    assert outcome.code == 2
    assert "too few" in outcome.err


def test_ids_name_processor_runtime_and_threads() -> None:
    assert default_id({**FINGERPRINT, "cpu": "AMD EPYC 7763 64-Core Processor"}).startswith(
        "epyc-7763-64-onnxruntime1.32"
    )
    assert (
        default_id({"architecture": "aarch64", "runtime": "x", "runtime_version": "2", "threads": 4}) == "aarch64-x2-4t"
    )


def test_models_are_measured(cli: Callable, small_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from nnmeter.lab.measuring.store import read_measurements

    output = tmp_path / "measured.parquet"
    outcome = cli("measure", small_model, "--out", output, "--passes", 2, "--seconds", 0.02)
    assert outcome.code == 0, outcome.err
    assert "small" in outcome.out
    (row,), fingerprint = read_measurements(output)
    assert row.network == "small"
    assert row.latency_ms > 0
    assert fingerprint["reference_ms"] == pytest.approx(row.reference_ms)


def test_a_bad_model_is_refused_before_any_is_measured(cli: Callable, small_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "bad.onnx").write_text("no model")
    outcome = cli("measure", small_model, tmp_path / "bad.onnx", "--out", tmp_path / "measured.parquet")
    assert outcome.code == 2
    assert "bad.onnx" in outcome.error_line
    assert not (tmp_path / "measured.parquet").exists()


def test_an_unknown_runtime_is_refused(cli: Callable, small_model: Path) -> None:
    outcome = cli("measure", small_model, "--runtime", "abacus", "--out", "m.parquet")
    assert outcome.code == 2
    assert "runtime 'abacus' is unknown" in outcome.error_line


@pytest.mark.parametrize("budget", ["", "20", "m", "-5m", "5 m", "1d"])
def test_a_budget_that_is_no_time_is_refused(cli: Callable, budget: str) -> None:
    outcome = cli("profile", "--budget", budget, "--out", "d")
    assert outcome.code == 2
    assert "is not a time such as 20m" in outcome.error_line


def test_a_campaign_is_profiled_and_resumed(cli: Callable, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    campaign = tmp_path / "campaign"
    first = cli("profile", "--budget", "2s", "--out", campaign)
    assert first.code == 0, first.err
    assert "networks" in first.out
    assert cli("profile", "--budget", "1s", "--out", campaign).code == 2, "a campaign is not overwritten"
    assert cli("profile", "--budget", "1s", "--out", campaign, "--resume").code == 0
