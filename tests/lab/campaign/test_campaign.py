import json
import os

import onnx
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign import campaign
from nnmeter.lab.campaign.campaign import run_campaign
from nnmeter.lab.measuring import store

pytest.importorskip("pyarrow")


def network_of(seed):
    """A network for the fake runtime: seed 3 is refused, seed 5 cannot be built."""
    if seed == 5:
        raise ValueError("no room for a stage")
    kernels = [] if seed == 3 else [["Conv", 1.0 + seed], ["Relu", 0.25]]
    model = onnx.ModelProto(doc_string=json.dumps(kernels))
    model.graph.name = "residual"
    return model


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(campaign, "BLOCK_NETWORKS", 2)


def seeds_in(folder):
    return [int(m.network.rsplit("-", 1)[1]) for m in store.read_measurements(folder)[0]]


def test_campaign_measures_networks_and_logs_what_it_skips(runtime, clock, tmp_path):
    done = run_campaign(tmp_path, runtime, budget_s=3.0, network_of=network_of, clock=clock)
    seeds = seeds_in(tmp_path)
    assert done.networks == len(seeds) > 4
    assert done.kernels == 2 * done.networks
    assert done.refused == 2
    assert seeds == [s for s in range(len(seeds) + 2) if s not in (3, 5)]
    log = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [entry["seed"] for entry in log] == [3, 5]
    assert "refuses" in log[0]["reason"]
    assert "no room" in log[1]["reason"]


def test_times_are_those_of_the_kernels_and_of_the_whole(runtime, clock, tmp_path):
    run_campaign(tmp_path, runtime, budget_s=1.0, network_of=network_of, clock=clock)
    first = store.read_measurements(tmp_path)[0][0]
    assert first.granularity == "block"
    assert first.family == "residual"
    assert first.latency_ms == pytest.approx(1.25)
    assert first.kernel_ms == pytest.approx((1.0, 0.25))


class Killed(BaseException):
    """What a killed process does not survive."""


def killed_at(monkeypatch, owner, name, call):
    """Makes the `call`-th call of a function end the process in its middle."""
    count = 0
    original = getattr(owner, name)

    def dying(*args, **kwargs):
        nonlocal count
        count += 1
        if count == call:
            raise Killed
        if count > call:  # nothing runs behind a kill, not even `finally`
            return None
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, dying)


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_campaign_killed_before_a_block_is_written_resumes_without_loss_of_earlier_ones(
    runtime, clock, tmp_path, monkeypatch, call
):
    with monkeypatch.context() as patched:
        killed_at(patched, campaign, "write_measurements", call)
        with pytest.raises(Killed):
            run_campaign(tmp_path, runtime, budget_s=5.0, network_of=network_of, clock=clock)
    before = seeds_in(tmp_path) if store.part_files(tmp_path) else []
    assert len(before) == 2 * (call - 1)
    run_campaign(tmp_path, runtime, budget_s=2.5, network_of=network_of, clock=clock)
    after = seeds_in(tmp_path)
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) > len(before)
    assert after == [s for s in range(max(after) + 1) if s not in (3, 5)]


def test_campaign_killed_inside_of_a_write_leaves_no_part_file(runtime, clock, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        replaced = []

        def dying(source, target):
            replaced.append(str(target))
            if "part-" in str(target):
                raise Killed
            os.rename(source, target)

        patched.setattr(os, "replace", dying)
        with pytest.raises(Killed):
            run_campaign(tmp_path, runtime, budget_s=5.0, network_of=network_of, clock=clock)
    assert any("part-" in target for target in replaced)
    assert store.part_files(tmp_path) == []
    run_campaign(tmp_path, runtime, budget_s=1.0, network_of=network_of, clock=clock)
    assert seeds_in(tmp_path)[0] == 0


def test_network_that_killed_the_process_is_skipped_on_resuming(runtime, clock, tmp_path):
    run_campaign(tmp_path, runtime, budget_s=1.1, network_of=network_of, clock=clock)
    deadly = max(seeds_in(tmp_path)) + 1
    (tmp_path / "in_hand").write_text(str(deadly))
    run_campaign(tmp_path, runtime, budget_s=2.5, network_of=network_of, clock=clock)
    assert deadly not in seeds_in(tmp_path)
    assert max(seeds_in(tmp_path)) > deadly
    assert f'"seed": {deadly}, "reason": "died' in (tmp_path / "refused.jsonl").read_text()


def test_interrupted_campaign_keeps_the_block_in_hand(runtime, clock, tmp_path):
    def interrupted(progress):
        if progress.networks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(tmp_path, runtime, budget_s=9.0, network_of=network_of, clock=clock, progress=interrupted)
    assert seeds_in(tmp_path) == [0, 1, 2]


def test_nominal_reference_is_kept_on_resuming(runtime, clock, tmp_path):
    run_campaign(tmp_path, runtime, budget_s=1.1, network_of=network_of, clock=clock)
    clock.slowness = lambda now_s: 2.0
    run_campaign(tmp_path, runtime, budget_s=1.0, network_of=network_of, clock=clock)
    rows, fingerprint = store.read_measurements(tmp_path)
    assert {m.reference_ms for m in rows} == {1.0}
    assert fingerprint["reference_ms"] == pytest.approx(1.0)
    assert rows[-1].latency_ms == pytest.approx(1.25 + int(rows[-1].network.rsplit("-", 1)[1]))
    assert len({m.sitting for m in rows}) >= 1


def test_campaign_of_another_device_is_not_mixed_in(runtime, clock, tmp_path):
    run_campaign(tmp_path, runtime, threads=1, budget_s=0.2, network_of=network_of, clock=clock)
    with pytest.raises(MeasurementError, match="another device"):
        run_campaign(tmp_path, runtime, threads=2, budget_s=0.2, network_of=network_of, clock=clock)
    with pytest.raises(MeasurementError, match="holds a campaign already"):
        run_campaign(tmp_path, runtime, budget_s=0.2, resume=False, network_of=network_of, clock=clock)


def test_damaged_state_is_refused(runtime, clock, tmp_path):
    (tmp_path / "campaign.json").write_text('{"schema_version": 1, "seed"')
    with pytest.raises(MeasurementError, match="missing or damaged"):
        run_campaign(tmp_path, runtime, budget_s=0.2, network_of=network_of, clock=clock)
