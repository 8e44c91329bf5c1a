from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import NnmeterError
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.pruning import Sensitivity, prune_to_budget, read_sensitivity, remove_channels
from nnmeter.transforms import Channels, apply
from tests.pruning.conftest import WIDTH


def test_the_budget_is_kept_by_the_whole_model(network: Path, predictor: LatencyPredictor) -> None:
    before = predictor.predict(network).latency_ms
    pruned = prune_to_budget(network, predictor, 0.5 * before)
    assert pruned.before.latency_ms == before
    assert pruned.after.latency_ms <= 0.5 * before
    assert predictor.predict(pruned.changed).latency_ms == pruned.after.latency_ms
    assert all(removal.width % 8 == 0 and removal.gain_ms > 0 for removal in pruned.removals)
    # As one would do it by hand, layer by layer.
    by_hand = apply(network, [Channels(r.group.layers[0], r.width) for r in pruned.removals])
    assert predictor.predict(by_hand).latency_ms == pytest.approx(pruned.after.latency_ms, rel=1e-9)


def test_no_choice_of_the_same_widths_loses_less(network: Path, predictor: LatencyPredictor) -> None:
    """Against all combinations of the two groups that gain."""
    before = predictor.predict(network).latency_ms
    budget = 0.6 * before
    pruned = prune_to_budget(network, predictor, budget, keep=["pw"], multiple=16)
    best = np.inf
    for first in (64, 48, 32, 16):
        for second in (64, 48, 32, 16):
            steps = [Channels("node_1", first)] * (first < 64) + [Channels("node_3", second)] * (second < 64)
            if predictor.predict(apply(network, steps)).latency_ms <= budget:
                best = min(best, (1 - first / 64) ** 2 + (1 - second / 64) ** 2)
    assert pruned.loss == pytest.approx(best)


def test_sensitivity_decides_which_layers_go(network: Path, predictor: LatencyPredictor, tmp_path: Path) -> None:
    before = predictor.predict(network).latency_ms
    place = tmp_path / "sensitivity.json"
    place.write_text(json.dumps({"conv1": {"0.5": 0.001, "0.75": 0.002}, "block.conv2": {"0.5": 10.0}}))
    pruned = prune_to_budget(network, predictor, 0.8 * before, read_sensitivity(place))
    assert [removal.group.name for removal in pruned.removals] == ["conv1"]
    assert pruned.loss is not None
    assert pruned.loss <= 0.002
    importances = Sensitivity({"block.conv2": np.r_[np.full(32, 1e-6), np.ones(32)].tolist()})
    widths = [r.width for r in prune_to_budget(network, predictor, 0.8 * before, importances).removals]
    assert len(widths) == 1
    assert widths[0] >= 32  # only channels that matter little go


def test_a_table_of_nni(tmp_path: Path) -> None:
    place = tmp_path / "sensitivity.csv"
    place.write_text("layername,0.25,0.5\nconv1,0.9,0.88\nblock.conv2,0.91,0.7\n")
    entries = read_sensitivity(place).entries
    assert entries == {
        "conv1": {0.25: 0.0, 0.5: pytest.approx(0.02)},
        "block.conv2": {0.25: 0.0, 0.5: pytest.approx(0.21)},
    }


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"conv1": "x"}', '{"conv1": {"a": 1}}', "layername\n", "a,b\nc,d\n"]
)
def test_a_file_that_is_no_sensitivity(content: str, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text(content)
    with pytest.raises(NnmeterError, match=f"{place}"):
        read_sensitivity(place)


def test_an_entry_that_does_not_fit(network: Path, predictor: LatencyPredictor) -> None:
    for entries in ({"conv1": [1.0, 2.0]}, {"conv1": {1.0: 2.0}}, {"conv1": {}}, {"nowhere": [1.0]}, {}):
        with pytest.raises(NnmeterError):
            prune_to_budget(network, predictor, 0.01, Sensitivity(entries))


def test_a_budget_that_is_kept_already_or_cannot_be(network: Path, predictor: LatencyPredictor) -> None:
    before = predictor.predict(network).latency_ms
    pruned = prune_to_budget(network, predictor, 2 * before)
    assert pruned.removals == ()
    assert pruned.after is pruned.before
    with pytest.raises(NnmeterError, match="cannot be kept; the narrowest that is tried takes"):
        prune_to_budget(network, predictor, 0.01 * before)
    few = Sensitivity({"conv1": {0.5: 1.0}}, "losses.json")
    with pytest.raises(NnmeterError, match=r"fewer layers to keep, or entries for more layers in losses\.json$"):
        prune_to_budget(network, predictor, 0.01 * before, few)
    with pytest.raises(NnmeterError, match="no layer whose channels may go"):
        prune_to_budget(network, predictor, 0.5 * before, keep=["conv1", "dw", "pw"])


def test_a_probability_asks_for_more(network: Path, predictor: LatencyPredictor) -> None:
    budget = 0.7 * predictor.predict(network).latency_ms
    surer = prune_to_budget(network, predictor, budget, probability=0.9)
    assert surer.after.probability_within(budget) >= 0.9
    assert surer.after.latency_ms < prune_to_budget(network, predictor, budget).after.latency_ms


def test_given_removals(network: Path, predictor: LatencyPredictor) -> None:
    pruned = remove_channels(network, predictor, shares={"conv1": 0.5})
    assert [(r.group.name, r.width) for r in pruned.removals] == [("conv1", WIDTH // 2)]
    assert pruned.after.latency_ms == predictor.predict(apply(network, [Channels("node_1", WIDTH // 2)])).latency_ms
    assert pruned.shares() == {"conv1": 0.5}
    mask = np.ones(WIDTH)
    mask[::2] = 0
    assert remove_channels(network, predictor, masks={"conv1": mask}).after.latency_ms == pruned.after.latency_ms
    with pytest.raises(NnmeterError, match="masks or shares"):
        remove_channels(network, predictor)


def test_removals_between_stairs_gain_nothing(
    network: Path, predictor: LatencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that blocks channels by 16: 51 of 64 channels take as long as 64, 44 as long as 48."""
    from nnmeter.pruning.bench import PruningBench

    def in_blocks(bench: PruningBench, widths: tuple[int, ...]) -> float:
        return float(sum(-(-width // 16) for width in widths))

    monkeypatch.setattr(PruningBench, "latency_ms", in_blocks)
    idle = {r.group.name: (r.enough, r.idle) for r in remove_channels(
        network, predictor, shares={"conv1": 0.2, "block.conv2": 20 / 64}).removals}  # fmt: skip
    assert idle == {"conv1": (64, 12), "block.conv2": (48, 4)}
