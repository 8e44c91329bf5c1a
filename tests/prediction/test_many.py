"""Many predictions at once are those that single ones give, and share what they can."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

import onnx
import pytest

import nnmeter
from nnmeter.binding import bind as binding
from nnmeter.fusion import detect
from tests.conftest import make_small_model
from tests.devices.packs import change_price, change_rules, copy_pack


@pytest.fixture(scope="module")
def packs(small_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two devices with the same rules, the second twice as slow, and one with rules of its own."""
    folder = tmp_path_factory.mktemp("packs")
    paths = [copy_pack(small_pack, folder, name) for name in ("fast", "slow", "narrow")]
    change_price(paths[1], 2.0)
    change_rules(paths[2])
    return paths


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    path = tmp_path / "dynamic.onnx"
    onnx.save(make_small_model("batch"), path)
    return path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a model was bound, and its kernels detected."""
    counts = {"bound": 0, "detected": 0}
    bind, find = binding.bind_shapes, detect.detect_kernels

    def binding_counted(*arguments, **options):
        counts["bound"] += 1
        return bind(*arguments, **options)

    def detecting_counted(*arguments, **options):
        counts["detected"] += 1
        return find(*arguments, **options)

    monkeypatch.setattr(binding, "bind_shapes", binding_counted)
    monkeypatch.setattr(detect, "detect_kernels", detecting_counted)
    return counts


def test_sizes_are_predicted_one_by_one(small_pack: Path, dynamic: Path) -> None:
    predictor = nnmeter.load_predictor(small_pack)
    found = predictor.predict_each(dynamic, {"batch": [1, 4, 8]})
    assert [p.dims for p in found] == [{"batch": 1}, {"batch": 4}, {"batch": 8}]
    assert found == [predictor.predict(dynamic, {"batch": size}) for size in (1, 4, 8)]
    assert found[0].latency_ms < found[1].latency_ms < found[2].latency_ms


def test_all_combinations_come_in_order_the_last_changing_fastest(small_pack: Path, tmp_path: Path) -> None:
    model = make_small_model("batch")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    found = nnmeter.load_predictor(small_pack).predict_each(
        model.SerializeToString(), {"batch": [2, 1], "height": (14, 7), "other": [3, 4]}
    )
    assert [tuple(p.dims.values()) for p in found] == [(2, 14), (2, 7), (1, 14), (1, 7)]
    assert all("no input has a dimension 'other'" in p.warnings[0] for p in found)


def test_models_sizes_and_devices_come_in_that_order(packs: list[Path], dynamic: Path, small_model: Path) -> None:
    found = nnmeter.predict_many([dynamic, small_model], packs, {"batch": [1, 2]})
    assert [(Path(p.model).stem, dict(p.dims), p.device) for p in found] == [
        *(("dynamic", {"batch": size}, device) for size in (1, 2) for device in ("fast", "slow", "narrow")),
        *(("small", {}, device) for device in ("fast", "slow", "narrow")),
    ]
    fast, slow, narrow = found[:3]
    assert sum(k.latency_ms for k in slow.kernels) == pytest.approx(2 * sum(k.latency_ms for k in fast.kernels))
    single = [nnmeter.load_predictor(path).predict(dynamic, {"batch": 1}) for path in packs]
    assert [fast, slow, narrow] == single


def test_devices_share_binding_and_those_with_the_same_rules_detection(
    packs: list[Path], dynamic: Path, counted: dict[str, int]
) -> None:
    nnmeter.predict_many([dynamic], packs, {"batch": [1, 2]})
    # Each size is bound twice: the second time tells what a session that keeps dimensions free does not know.
    assert counted == {"bound": 4, "detected": 4}


def test_a_size_of_another_model_makes_no_further_rows(small_pack: Path, small_model: Path) -> None:
    (found,) = nnmeter.predict_many([small_model], [small_pack], {"batch": [1, 2, 4]})
    assert found.dims == {}


def test_sizes_that_are_none_are_refused(small_pack: Path, dynamic: Path) -> None:
    predictor = nnmeter.load_predictor(small_pack)
    with pytest.raises(nnmeter.NnmeterError, match="dimension 'batch' is given no size"):
        predictor.predict_each(dynamic, {"batch": []})
    with pytest.raises(nnmeter.ModelError, match="dimension 'batch' cannot be -1"):
        predictor.predict_each(dynamic, {"batch": [1, -1]})


def test_progress_counts_models(small_pack: Path, small_model: Path) -> None:
    told: list[tuple[int, int]] = []
    nnmeter.predict_many([small_model] * 3, [small_pack], progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_processes_give_what_one_gives_in_its_order(packs: list[Path], dynamic: Path, small_model: Path) -> None:
    models = [dynamic, small_model, small_model.read_bytes(), make_small_model()] * 5
    expected = nnmeter.predict_many(models, packs[:1], {"batch": [1, 2]})
    assert nnmeter.predict_many(models, packs[:1], {"batch": [1, 2]}, workers=2) == expected
    given = {"workers": 2, "keep": attrgetter("latency_ms")}
    latencies = nnmeter.predict_many(iter(models), packs[:1], {"batch": [1, 2]}, **given)
    assert latencies == [prediction.latency_ms for prediction in expected]


def test_a_client_takes_the_place_of_processes(packs: list[Path], small_model: Path) -> None:
    models = [small_model, make_small_model()] * 10
    with ThreadPoolExecutor(2) as client:
        assert nnmeter.predict_many(models, packs, client=client) == nnmeter.predict_many(models, packs)


def test_a_dask_cluster_gives_what_one_process_gives(small_pack: Path, small_model: Path) -> None:
    distributed = pytest.importorskip("distributed")
    models = [small_model, b"broken"] * 20
    expected = nnmeter.predict_many(models, [small_pack], errors="return")
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        found = nnmeter.predict_many(models, [small_pack], errors="return", client=client)
    assert [str(one) for one in found] == [str(one) for one in expected]


class Counted:
    """A model that counts how often it is sent: it is given as what pickle makes of it."""

    def __init__(self, content: bytes) -> None:
        self.content, self.sent = content, 0

    def __reduce__(self) -> tuple[Any, ...]:
        self.sent += 1
        return bytes, (self.content,)


def test_a_cluster_is_sent_each_model_once_and_reads_each_pack_once(
    small_pack: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    models = [Counted(small_model.read_bytes()) for _ in range(150)]
    log = tmp_path / "read"
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(_count_loading, str(log))
        found = nnmeter.predict_many(models, [small_pack], client=client, keep=attrgetter("latency_ms"))
        again = nnmeter.predict_many(models[:40], [small_pack], client=client, keep=attrgetter("latency_ms"))
    assert found == [nnmeter.predict(small_model, device=small_pack).latency_ms] * 150
    assert again == found[:40]
    assert {model.sent for model in models[:40]} == {2}
    assert {model.sent for model in models[40:]} == {1}
    readers = log.read_text().split()
    assert 1 <= len(set(readers)) == len(readers) <= 2


def _count_loading(log: str) -> None:
    """In a worker: notes its process whenever it reads a pack."""
    from nnmeter import devices

    read = devices.load_pack

    def noted(*arguments: Any, **options: Any) -> Any:
        with open(log, "a", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
        return read(*arguments, **options)

    devices.load_pack = noted


def test_a_worker_of_a_cluster_that_is_killed_costs_no_prediction(small_pack: Path, small_model: Path) -> None:
    distributed = pytest.importorskip("distributed")
    damaged = small_model.read_bytes()[:-3]
    models = [small_model, damaged, make_small_model(4).SerializeToString()] * 200
    given: dict[str, Any] = {"errors": "return", "keep": attrgetter("latency_ms")}
    expected = nnmeter.predict_many(models, [small_pack], **given)
    with (
        distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim, *_ = client.run(os.getpid).values()

        def kill(done: int, total: int) -> None:
            if done == 300:
                os.kill(victim, signal.SIGKILL)

        found = nnmeter.predict_many(models, [small_pack], client=client, progress=kill, **given)
        client.wait_for_workers(4)
        assert victim not in client.run(os.getpid).values()
    assert [str(one) for one in found] == [str(one) for one in expected]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_stands_in_the_place_of_its_model(small_pack: Path, small_model: Path, workers: int) -> None:
    models = [small_model, b"broken", small_model, "nowhere.onnx", small_model]
    found = nnmeter.predict_many(models, [small_pack], errors="return", workers=workers)
    kinds = [type(one).__name__ for one in found]
    assert kinds == ["Prediction", "ModelError", "Prediction", "ModelError", "Prediction"]
    assert "nowhere.onnx: no such file" in str(found[3])
    with pytest.raises(nnmeter.ModelError, match="ONNX"):
        nnmeter.predict_many(models, [small_pack], workers=workers)


def test_a_generator_is_not_read_far_ahead(small_pack: Path, small_model: Path) -> None:
    asked: list[int] = []

    def models() -> Iterator[Path]:
        for number in range(1000):
            asked.append(number)
            yield small_model if number < 50 else small_model.with_name("missing.onnx")

    with pytest.raises(nnmeter.ModelError, match="no such file"), ThreadPoolExecutor(1) as client:
        nnmeter.predict_many(models(), [small_pack], client=client)
    assert len(asked) < 1000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": "model.onnx"}, "is one model"),
        ({"workers": 0}, "cannot be 0 workers"),
        ({"workers": True}, "cannot be True workers"),
        ({"errors": "ignore"}, "'raise' or 'return'"),
    ],
)
def test_what_many_predictions_cannot_be_asked_for(small_pack: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(nnmeter.NnmeterError, match=said):
        nnmeter.predict_many(**{"models": [], "devices": [small_pack], **given})
