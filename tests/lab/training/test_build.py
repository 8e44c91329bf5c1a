"""The card of a pack that is made of published times says what these are, and what they lack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import DevicePack, load_pack
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import build_pack, doubt_of_few

pytest.importorskip("pyarrow")

FINGERPRINT: dict[str, Any] = {
    "cpu": "Adreno 640 of a phone",
    "kind": "gpu",
    "device": "adreno640gpu_tflite21",
    "runtime": "tflite-gpu",
    "runtime_version": "2.1",
    "threads": 1,
    "precision": "float32",
    "date": "2021 (published)",
    "reference": "none",
    "fusion_rules": "tflite21_gpu",
    "fusion_parameters": {"sums_join": False},
    "published": {"name": "set", "title": "A data set", "url": "https://example.org", "license": "MIT"},
}


@dataclass(frozen=True)
class Report:
    def to_dict(self) -> dict[str, Any]:
        return {"networks": 40}


def measured(number: int) -> Measurement:
    kind = TensorType("float32", (1, 8, 8, 8))
    kernel = KernelSignature("Relu", "Relu", "", (kind,), (False,), (kind,))
    return Measurement(
        f"model:{number}", "model", str(number), f"family-{number % 3}", (kernel,), 1.0, 1.0, 1.0, 1.0, 0, 1.0,
        (0.0, 0.0), 1, 1, "set",
    )  # fmt: skip


@pytest.fixture
def pack(small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DevicePack:
    """Made of 40 published networks, without the training."""
    from nnmeter.lab.measuring.store import write_measurements

    predictor = load_pack(small_pack).predictor
    monkeypatch.setattr("nnmeter.lab.training.train.fit_predictor", lambda *a, **o: (predictor, Report()))
    write_measurements(tmp_path / "m.parquet", [measured(number) for number in range(40)], FINGERPRINT)
    return build_pack([tmp_path / "m.parquet"], tmp_path / "pack")


def test_the_card_names_device_kind_and_data_set(pack: DevicePack) -> None:
    card = pack.card
    assert (pack.id, card.kind, card.place, card.precision) == ("adreno640gpu_tflite21", "gpu", "phone", "float32")
    assert card.is_reported
    assert card.protocol == "times as published, no reference product beside them: A data set, https://example.org"
    assert card.reference_ms is None, "the nominal reference is no time of this device"
    assert card.trained_on["data_set"] == FINGERPRINT["published"]
    assert card.trained_on["granularity"] == {"model": 40}
    assert card.trained_on["families"] == {"family-0": 14, "family-1": 13, "family-2": 13}
    assert card.trained_on["operators"]["matmul"] == ["Gemm|float32"]
    assert card.trained_on["networks"] == 40


def test_the_card_says_what_lies_outside(pack: DevicePack) -> None:
    text = " ".join(pack.card.limits)
    assert "one model at a time; models" in text, "threads are no matter of a GPU"
    assert "not in the data: products of matrices (MatMul), Softmax, LayerNormalization" in text
    assert text.endswith("widen the interval, so that of a transformer is wide")


def test_the_rules_are_those_that_the_kernels_were_detected_with(pack: DevicePack) -> None:
    assert pack.rules.name == "tflite21-gpu"
    assert pack.rules.parameters["sums_join"] is False


@dataclass(frozen=True)
class Errors:
    mape: float = 5.34


@dataclass(frozen=True)
class Found(Report):
    networks: int
    totals: Errors | None = Errors()


def test_few_networks_over_a_prior_are_told_and_kept_on_the_card(
    small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    predictor = load_pack(small_pack).predictor
    monkeypatch.setattr("nnmeter.lab.training.train.fit_predictor", lambda *a, **o: (predictor, Found(12)))
    write_measurements(tmp_path / "m.parquet", [measured(number) for number in range(12)], FINGERPRINT)
    told: list[str] = []
    pack = build_pack([tmp_path / "m.parquet"], tmp_path / "pack", prior=small_pack, progress=told.append)
    assert told[-1].startswith(
        "warning: trained on 12 networks, few even over a prior: left out in turn they are off by 5.3 % in the mean"
    )
    assert told[-1] == f"warning: {pack.card.limits[-1]}"
    assert doubt_of_few(Found(109))  # type: ignore[arg-type]
    assert "off by" not in doubt_of_few(Found(12, None))  # type: ignore[arg-type]
    assert doubt_of_few(Found(110)) == ""  # type: ignore[arg-type]
