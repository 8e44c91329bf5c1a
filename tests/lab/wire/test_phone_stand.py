"""Models of the user, measured on a phone, which is a folder here."""

import os
import shutil
from dataclasses import replace

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.kit.build import make_kit_of_models
from nnmeter.lab.measuring.sitting import measure_sitting
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.wire.phone_stand import open_phone_stand
from nnmeter.lab.wire.stands import open_stand
from tests.conftest import make_small_model
from tests.lab.wire.test_far_stand import make_model

pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(os.name != "posix" or not shutil.which("sh"), reason="needs a POSIX shell")


@pytest.fixture
def models(tmp_path):
    """Two models of one name, of which the second has a name that no shell likes, and a free batch."""
    make_model(tmp_path / "a" / "my model.onnx")
    (tmp_path / "b").mkdir()
    free = tmp_path / "b" / "my model.onnx"
    free.write_bytes(make_small_model("batch").SerializeToString())
    return [tmp_path / "a" / "my model.onnx", free]


def measured(board, models, out, **options):
    given = {"passes": 2, "seconds_per_pass": 0.001, **options}
    with open_stand(board, "onnxruntime", 1) as stand:
        return measure_sitting(models, stand, InputSizes({"batch": 3}), out, **given)


def test_models_are_carried_run_and_measured(phone, models, tmp_path):
    told = []
    families = {"my model.onnx": "own"}
    done = measured(phone.board, models, tmp_path / "m.parquet", families=families, progress=lambda *a: told.append(a))
    rows, fingerprint = read_measurements(tmp_path / "m.parquet")
    assert [(row.network, row.granularity, row.family) for row in rows] == [("my model", "model", "own")] * 2
    assert [row.id for row in rows] == ["model:my model", f"model:my model@{rows[1].sitting}"]
    assert rows[0].runs >= 10  # two passes of at least five
    assert all(row.latency_ms > 0 and len(row.kernel_ms) == len(row.kernels) for row in rows)
    assert (rows[0].batch, rows[1].batch) == (1, 3)
    assert (fingerprint["device"], fingerprint["runtime"], fingerprint["threads"]) == (
        "r58n-onnxruntime-1t",
        "onnxruntime",
        1,
    )
    assert list(done.measurements) == rows
    assert [path for path, _ in done.executed] == models
    assert all(1 <= at <= total for _, at, total in told)


def test_model_that_fails_there_is_named_and_the_others_are_measured(phone, models, tmp_path):
    program = (phone.bin / "onnxruntime_perf_test").read_text().split("\n", 1)[1]
    phone.program(f'case "$*" in *my-model-2*) echo "no such kernel"; exit 3 ;; esac\n{program}')
    refused = []
    done = measured(phone.board, models, None, refused=lambda path, fault: refused.append((path, str(fault))))
    assert len(done.measurements) == 1
    ((path, reason),) = refused
    assert path == str(models[1])
    assert "onnxruntime on adb://R58N: the program ended with code 3 no such kernel" in reason


def test_all_that_fail_are_one_error(phone, models):
    phone.program('case "$1" in --help) exit 0 ;; esac\necho broken; exit 9\n')
    with pytest.raises(MeasurementError, match=r"no model could be measured: .*ended with code 9 broken"):
        measured(phone.board, models, None, refused=lambda path, fault: None)


def test_what_a_phone_cannot_do_is_refused_before_it_is_asked(phone, models, tmp_path):
    (tmp_path / "there.parquet").write_bytes(b"")
    with (
        pytest.raises(MeasurementError, match="cannot be added to a file; give another one"),
        open_phone_stand(phone.board, append=True),
    ):
        pass
    with (
        pytest.raises(MeasurementError, match="leave --session free away"),
        open_stand(phone.board, "onnxruntime", 1, "free"),
    ):
        pass
    with (
        pytest.raises(MeasurementError, match=r"ncnn needs \.param files"),
        open_stand(replace(phone.board, runtime="ncnn"), "onnxruntime", 1),
    ):
        pass


def test_passes_go_there_and_back(tmp_path, models):
    kit = make_kit_of_models(
        tmp_path / "kit", "onnxruntime", {"one": models[0], "two": models[1]}, InputSizes({"batch": 2}), 3, 0.001
    )
    plan = [line.split()[1:3] for line in (kit.path / "plan.txt").read_text().splitlines()]
    order = [network for kind, network in plan if network != "reference"]
    assert order == ["one", "two", "two", "one", "one", "two", "two", "one"]
    assert [kind for kind, network in plan if network == "one"] == ["profile", "time", "time", "time"]
    assert (kit.networks, kit.real) == (0, ("one", "two"))
