from __future__ import annotations

import gzip
import json
import math

import pytest

from nnmeter.errors import DeviceError, MeasurementError, ModelError
from nnmeter.lab.importing.node_list import graph_of_node_list
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.store import read_measurements
from tests.lab.importing.conftest import EXCERPT, FAMILIES, excerpt

CPU, GPU, VPU = "cortexA76cpu_tflite21", "adreno640gpu_tflite21", "myriadvpu_openvino2019r2"
NETWORKS = sum(len(excerpt(family)) for family in FAMILIES)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    output = tmp_path_factory.mktemp("imported")
    return import_dataset("nn-meter-26k", EXCERPT, output), output


def test_every_row_is_imported_or_refused(imported):
    report, output = imported
    assert len(report["devices"]) == 4
    for name, counts in report["devices"].items():
        assert counts["rows"] == NETWORKS
        assert counts["imported_rows"] + sum(counts["refused"].values()) == counts["rows"]
        assert len(read_measurements(output / f"{name}.parquet")[0]) == counts["measurements"]
    assert json.loads((output / "import.json").read_text())["devices"] == report["devices"]


def test_networks_that_a_device_has_no_time_of_are_counted(imported):
    report, _ = imported
    shuffled = len(excerpt("shufflenetv2"))
    assert report["devices"][GPU]["refused"] == {"not measured on this device": shuffled}
    assert report["devices"][CPU]["refused"] == {}


def test_a_measurement_says_what_is_published_and_no_more(imported):
    _, output = imported
    rows, fingerprint = read_measurements(output / f"{VPU}.parquet")
    entry = excerpt("mobilenetv3")[0]
    row = next(r for r in rows if r.network == entry["id"])
    assert row.id == f"model:{entry['id']}"
    assert (row.granularity, row.family, row.sitting) == ("model", "mobilenetv3", "nn-meter-26k")
    assert row.latency_ms == pytest.approx(entry["latency_ms"][VPU], rel=1e-6)
    assert row.half_ms == pytest.approx(entry["repeat_measurements_ms"][VPU], rel=1e-6)
    assert math.isnan(row.min_ms)
    assert math.isnan(row.p90_ms)
    assert (row.runs, row.threads, row.batch, row.reference_ms) == (0, 1, 1, 1.0)
    assert fingerprint["fusion_rules"] == "openvino2019r2_myriad"
    assert fingerprint["reference"].startswith("none")
    assert fingerprint["published"]["license"] == "MIT"


def test_one_device_is_one_file(tmp_path):
    output = tmp_path / "cpu.parquet"
    report = import_dataset("nn-meter-26k", EXCERPT / "vgg.jsonl.gz", output, [CPU])
    assert list(report["files"].values()) == [str(output)]
    assert (tmp_path / "cpu.import.json").is_file()
    assert {r.family for r in read_measurements(output)[0]} == {"vgg"}


def test_rules_and_their_parameters_can_be_replaced(tmp_path):
    output = tmp_path / "gpu.parquet"
    import_dataset("nn-meter-26k", EXCERPT / "resnet.jsonl.gz", output, [GPU], parameters={"sums_join": False})
    rows, fingerprint = read_measurements(output)
    assert fingerprint["fusion_parameters"]["sums_join"] is False
    assert any(k.type == "Add+Relu" for k in rows[0].kernels)
    import_dataset("nn-meter-26k", EXCERPT / "resnet.jsonl.gz", output, [GPU])
    assert not any(k.op_type == "Add" for k in read_measurements(output)[0][0].kernels)


def write_lines(path, *entries) -> None:
    with gzip.open(path, "wt") as stream:
        for entry in entries:
            stream.write((entry if isinstance(entry, str) else json.dumps(entry)) + "\n")


def test_bad_lines_are_refused_with_the_reason(tmp_path):
    good = {key: excerpt("vgg")[0][key] for key in ("id", "family", "latency_ms", "nodes")}
    nodes = [["input", [], {}, [8, 8, 3]], ["relu", [0], {}, [9, 9, 3]]]
    write_lines(
        tmp_path / "some.jsonl.gz",
        good,
        "not json",
        {"id": "x"},
        good,
        {**good, "id": "negative", "latency_ms": {CPU: -1}},
        {**good, "id": "unknown", "nodes": [["input", [], {}, [8, 8, 3]], ["wizard", [0], {}, [8, 8, 3]]]},
        {**good, "id": "shape", "nodes": nodes},
        {"id": "bare", "family": "nasbench201", "latency_ms": {CPU: 1.0}},
    )
    report = import_dataset("nn-meter-26k", tmp_path, tmp_path / "out.parquet", [CPU])
    counts = report["devices"][CPU]
    assert (counts["rows"], counts["imported_rows"]) == (8, 1)
    reasons = "\n".join(counts["refused"])
    for text in (
        "no network with id",
        "came before",
        "no positive number",
        "'wizard'",
        "stated as 9x9x3",
        "neither nodes",
    ):
        assert text in reasons
    assert counts["refused"]["the line is no network with id, family and latency_ms"] == 2


@pytest.mark.parametrize(
    ("devices", "output", "message"),
    [
        (["pixel9"], "out.parquet", "no times of a device 'pixel9'"),
        ([], "out.parquet", "one file cannot hold 4 devices"),
    ],
)
def test_unknown_devices_and_too_few_files_are_errors(tmp_path, devices, output, message):
    with pytest.raises(MeasurementError, match=message):
        import_dataset("nn-meter-26k", EXCERPT / "vgg.jsonl.gz", tmp_path / output, devices)


def test_nothing_is_written_where_nothing_is_imported(tmp_path):
    write_lines(tmp_path / "none.jsonl.gz", "nothing")
    with pytest.raises(MeasurementError, match="nothing could be imported"):
        import_dataset("nn-meter-26k", tmp_path, tmp_path / "out.parquet", [CPU])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeasurementError, match="holds no"):
        import_dataset("nn-meter-26k", tmp_path / "empty", tmp_path / "out.parquet", [CPU])
    with pytest.raises(DeviceError, match="no parameter speed"):
        import_dataset("nn-meter-26k", EXCERPT, tmp_path / "out.parquet", [CPU], parameters={"speed": 1})
    assert not (tmp_path / "out.parquet").exists()


MAP = ["input", [], {}, [8, 8, 3]]
WINDOW = {"k": 3, "s": 1, "pad": "VALID", "cin": 3, "cout": 8}


def test_windows_need_not_be_square():
    nodes = [
        ["input", [], {}, [8, 8, 3]],
        ["conv", [0], {"k": [1, 7], "s": 1, "pad": "SAME", "cin": 3, "cout": 4}, [8, 8, 4]],
    ]
    (conv,) = graph_of_node_list("net", nodes).nodes
    assert conv.attributes["pads"] == (0, 3, 0, 3)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([["input", [], {}, [8, 8, 3]]], "no operator"),
        ([["input", [], {}, [8, 8, 3]], ["relu", [1], {}, [8, 8, 3]]], "not before it"),
        ([["input", [], {}, [8, 8, 3]], ["conv", [0], {"k": 3}, [8, 8, 3]]], "node 1 is not"),
        ([["input", [], {}, [8, 8, 3]], ["relu"]], "node 1 is not"),
        ([MAP, ["conv", [0], {**WINDOW, "k": float("inf")}, [8, 8, 8]]], "node 1"),
        ([MAP, ["conv", [0], {**WINDOW, "cout": 1e308}, [8, 8, 8]]], "node 1"),
        ([MAP, ["conv", [0], {**WINDOW, "s": []}, [8, 8, 8]]], "node 1"),
    ],
)
def test_faulty_node_lists_name_the_node(nodes, message):
    with pytest.raises(ModelError, match=message):
        graph_of_node_list("net", nodes)
