"""Every pack that ships, over models of the zoos: what it was trained for it still prices, and no kernel costs nothing.

`shipped_coverage.json` has the share of each prediction's time that trained prices make up. A change of fusion rules
that takes kernels away from what a pack was trained on lowers it, and fails here. Where that is meant, because the
runtime really executes other kernels, `python -m tests.devices.test_shipped_packs` writes the table anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nnmeter.devices import list_devices, load_pack
from nnmeter.devices.catalog import is_public, is_shipped
from nnmeter.prediction.many import predict_many
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.predictor.element_types import PRECISIONS
from nnmeter.report.registry import CORE, Layout
from tests.conftest import REPOSITORY

TABLE = Path(__file__).with_name("shipped_coverage.json")
# Together they have every type of operator that is in the zoos.
MODELS = (
    "zoo/mobilenet_v2-160", "zoo/preresnet18-224", "zoo/resnet50-224-ts13", "zoo/vit_tiny_patch16_224-224",
    "zoo-quantized/bert-tiny.int4-b64-table", "zoo-quantized/gpt2-64.int4-b32",
    "zoo-quantized/llama-160m-32.dynamic-u8", "zoo-quantized/lraspp_mobilenet_v3_large-256.qoperator-s8",
    "zoo-quantized/mobilenet_v3_small-224.fp16", "zoo-quantized/shufflenet_v2_x1_0-224.qoperator",
    "zoo-quantized/squeezeresnet_v1_1-224.qoperator", "zoo-quantized/swin_tiny_patch4_window7_224-224.dynamic",
)  # fmt: skip
SHIPPED = {device.id: device.card.runtime for device in list_devices() if is_shipped(device.path)}


def models_of(runtime: str) -> list[Path]:
    """All models for ONNX Runtime, whose rules change most; those above for the others."""
    if runtime != "onnxruntime":
        return [REPOSITORY / "data" / f"{name}.onnx" for name in MODELS]
    return sorted(path for zoo in ("zoo", "zoo-quantized") for path in (REPOSITORY / "data" / zoo).glob("*.onnx"))


def trained_shares(runtime: str) -> dict[str, dict[str, float]]:
    """For each pack of a runtime the share of trained prices by model; checks on the way that no price is nothing."""
    packs = [LatencyPredictor(load_pack(name)) for name, own in SHIPPED.items() if own == runtime]
    shares: dict[str, dict[str, float]] = {pack.device: {} for pack in packs}
    for prediction in predict_many(list(map(str, models_of(runtime))), packs):
        name = Path(prediction.model).stem
        free = [kernel.name for kernel in prediction.kernels if not kernel.latency_ms > 0]
        assert not free, f"{prediction.device}, {name}: {free[0]} is priced at nothing"
        total = sum(kernel.latency_ms for kernel in prediction.kernels)
        trained = sum(kernel.latency_ms for kernel in prediction.kernels if kernel.source == "trained")
        shares[prediction.device][name] = trained / total
    return shares


def test_the_table_has_every_pack_that_ships() -> None:
    assert set(json.loads(TABLE.read_text(encoding="utf-8"))) == set(SHIPPED)


@pytest.mark.parametrize("runtime", sorted(set(SHIPPED.values())))
def test_trained_coverage_is_not_lower_than_recorded(runtime: str) -> None:
    recorded = json.loads(TABLE.read_text(encoding="utf-8"))
    for pack, shares in trained_shares(runtime).items():
        assert set(shares) == set(recorded[pack])
        lower = [
            f"{m}: {share:.4f}, was {recorded[pack][m]}" for m, share in shares.items() if share < recorded[pack][m]
        ]
        assert not lower, f"{pack}: {lower}"


@pytest.mark.parametrize("pack", SHIPPED)
def test_a_pack_that_ships_refers_to_the_rules_that_it_was_seen_to_work_with(pack: str) -> None:
    rules = load_pack(pack).rules_source
    assert rules.is_reference
    assert not rules.changed, f"the rules {rules.name} have changed: nnmeter devices refresh {pack}"


def test_a_pack_that_ships_says_which_types_it_was_trained_in() -> None:
    """The list of packs, the page of each, and the limits on its card, by the kernels that its predictor knows."""
    devices = [device for device in list_devices(public=True) if is_shipped(device.path) or is_public(device.path)]
    assert len(devices) > len(SHIPPED)
    for device in devices:
        pack = load_pack(device.path)
        trained = {kind.anchor.element_type.partition("*")[0] for kind in pack.predictor.vocabulary}
        assert set(device.precisions) == trained & set(PRECISIONS)
        (limit,) = [limit for limit in pack.card.limits if limit.startswith("trained on kernels in ")]
        assert set(limit.partition(";")[0].removeprefix("trained on kernels in ").split(", ")) == set(device.precisions)
        shown = json.loads(CORE.render("pack", pack, "json", Layout()))["trained_operators"]
        assert set(shown) == trained
        table = CORE.render("pack", pack, "table", Layout())
        for name, operators in shown.items():
            assert re.search(
                rf"^(trained in)? +{name}: {len(operators)} operators?: {operators[0]}", table, re.MULTILINE
            )


def write_table() -> None:
    """Write the table from what the packs are now, each share rounded down."""
    found: dict[str, dict[str, float]] = {}
    for runtime in sorted(set(SHIPPED.values())):
        for pack, shares in trained_shares(runtime).items():
            found[pack] = {name: int(share * 10_000) / 10_000 for name, share in shares.items()}
    TABLE.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_table()
