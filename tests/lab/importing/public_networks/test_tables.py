"""Tables of published latencies: every row is a measurement or is refused with its reason."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.kernels.features import signature_cost
from nnmeter.lab.importing.public_networks.batches import are_alike, at_batch
from nnmeter.lab.importing.public_networks.importer import family_of
from nnmeter.lab.importing.public_networks.sources import device_words
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.store import read_measurements

pytest.importorskip("pyarrow")

COLUMNS = ("source", "device", "chip", "kind", "runtime", "runtime_version", "precision", "threads", "batch",
           "quantity", "network", "framework_name", "input", "latency_ms")  # fmt: skip
PLAIN = {"device": "board", "chip": "A Board", "kind": "board-cpu", "runtime": "ncnn", "batch": "1",
         "network": "mobilenet_v1_0.25_128", "input": "1x3x128x128", "latency_ms": "2.5"}  # fmt: skip


def write_table(path: Path, *rows: Mapping[str, str]) -> Path:
    with gzip.open(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({**PLAIN, **row} for row in rows)
    return path


def test_every_row_is_imported_or_refused(tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "table.csv.gz",
        {},
        {"latency_ms": "2.6"},
        {"network": ""},
        {"network": "wizardnet"},
        {"input": "1x3x13x13"},
        {"latency_ms": "fast"},
        {"latency_ms": "-1"},
        {"batch": "4"},
        {"quantity": "e2e"},
    )
    report = import_dataset("public-networks", table, tmp_path / "out")
    counts = report["devices"]["board-ncnn"]
    assert (counts["rows"], counts["imported_rows"], counts["measurements"]) == (8, 2, 2)
    reasons = counts["refused"]
    assert reasons["the source does not tell for certain which network it is"] == 1
    assert reasons["a number is not one"] == 1
    assert reasons["the time is not a positive number of milliseconds"] == 1
    assert reasons["the batch is not that of the input"] == 1
    assert sum(count for reason, count in reasons.items() if "cannot be rebuilt" in reason) == 2
    assert report["devices"]["board-ncnn-e2e"]["imported_rows"] == 1, "another quantity is another device"


def test_a_measurement_has_the_kernels_of_its_network_and_the_time_of_its_row(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv.gz", {"precision": "int8", "threads": "2", "runtime_version": "1.0"})
    import_dataset("public-networks", table, tmp_path / "out.parquet")
    (row,), fingerprint = read_measurements(tmp_path / "out.parquet")
    assert (row.latency_ms, row.batch, row.threads, row.family) == (2.5, 1, 2, "mobilenet_v1")
    assert sum(k.op_type == "Conv" for k in row.kernels) == 28
    assert {k.inputs[0].dtype for k in row.kernels if k.op_type == "Conv"} == {"int8"}
    assert (fingerprint["device"], fingerprint["kind"], fingerprint["place"]) == (
        "board-ncnn1.0-int8-2t",
        "cpu",
        "board",
    )
    assert fingerprint["quantity"] == "latency"


def test_rows_of_devices_without_a_whole_row_are_counted_too(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv.gz", {}, {"device": "other", "latency_ms": ""})
    report = import_dataset("public-networks", table, tmp_path / "out")
    assert report["passed_over"] == {"other-ncnn": "1 rows: no time in the table"}


def test_what_a_source_says_beside_its_table_is_taken(tmp_path: Path) -> None:
    hub = {"source": "ai-hub", "network": "bert_base", "input": ""}
    table = write_table(
        tmp_path / "ai-hub.csv.gz",
        {**hub, "framework_name": "bert_base_uncased_hf"},
        {**hub, "framework_name": "some_other_bert"},
    )
    report = import_dataset("public-networks", table, tmp_path / "out")
    assert report["devices"]["board-ncnn"]["imported_rows"] == 1
    (stored,), _ = read_measurements(tmp_path / "out" / "board-ncnn.parquet")
    assert stored.network == "bert_base", "variants keep the canonical name, so that they are left out together"
    largest = max(t.shape[-1] for kernel in stored.kernels for t in kernel.outputs)
    assert largest == 30522, "its head over all tokens is there"


def test_an_entry_point_of_another_width_is_another_network(tmp_path: Path) -> None:
    row = {"source": "timm", "network": "resnext101_32x8d", "input": "1x3x224x224"}
    names = {"ig_resnext101_32x16d.fb_wsl_ig1b_ft_in1k": "2.0", "resnext101_32x8d.tv_in1k": "1.0"}
    table = write_table(
        tmp_path / "timm.csv.gz", *({**row, "framework_name": n, "latency_ms": ms} for n, ms in names.items())
    )
    import_dataset("public-networks", table, tmp_path / "out")
    (wide, plain), _ = read_measurements(tmp_path / "out" / "board-ncnn.parquet")
    flops = [sum(signature_cost(kernel).flops for kernel in m.kernels) for m in (wide, plain)]
    assert flops[0] > 2 * flops[1]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("network,device\na,b\n")
    with pytest.raises(MeasurementError, match="has no column 'latency_ms'"):
        import_dataset("public-networks", empty, tmp_path / "out")
    (tmp_path / "none").mkdir()
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(MeasurementError, match=r"broken.csv.gz: cannot be read as a table"):
        import_dataset("public-networks", tmp_path / "broken.csv.gz", tmp_path / "out")
    with pytest.raises(MeasurementError, match="holds no table"):
        import_dataset("public-networks", tmp_path / "none", tmp_path / "out")


def test_several_tables_are_one_import(tmp_path: Path) -> None:
    tables = [write_table(tmp_path / f"{name}.csv.gz", {"device": name}) for name in ("one", "two")]
    import_dataset("public-networks", tables, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "one-ncnn.parquet",
        "two-ncnn.parquet",
        "import.json",
    }


def test_kernels_at_two_batches_tell_those_at_any(tmp_path: Path) -> None:
    batches = (2, 3, 7)
    rows = [{"batch": str(n), "input": f"{n}x3x128x128", "device": f"d{n}"} for n in batches]
    import_dataset("public-networks", write_table(tmp_path / "table.csv.gz", *rows), tmp_path / "out")
    two, three, seven = (read_measurements(tmp_path / "out" / f"d{n}-ncnn.parquet")[0][0].kernels for n in batches)
    assert are_alike(two, three)
    assert at_batch(two, three, 7) == seven
    assert {k.outputs[0].shape[0] for k in seven} == {7}


@pytest.mark.parametrize(
    ("network", "family"),
    [
        ("mobilenet_v2_1.0_224", "mobilenet_v2"), ("resnet50d", "resnet"), ("ncnn:yolo-fastestv2", "yolo"),
        ("tf_efficientnet_b0", "efficientnet"), ("regnety_004", "regnety"), ("vit_base_patch16_224", "vit"),
    ],
)  # fmt: skip
def test_families(network: str, family: str) -> None:
    assert family_of(network) == family


def test_kinds_of_devices() -> None:
    assert [device_words(kind) for kind in ("board-cpu", "npu", "integrated-gpu", "toaster")] == [
        ("board", "cpu"), ("chip", "npu"), ("integrated", "gpu"), ("toaster", "cpu"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"batch": "\u00b2"}, "the batch is no positive whole number"),
        ({"batch": "9" * 5000}, "the batch is no positive whole number"),
        ({"input": "1x3x\u00b2x128"}, "the input is no shape"),
        ({"threads": "\u00b2"}, "the number of threads is none"),
        ({"threads": "9" * 5000}, "the number of threads is none"),
        ({"chip": "a\x1b[31mb"}, "there are control characters"),
        ({"latency_ms": "1e-300"}, "the row is no measurement: its latency is 1e-300 ms"),
        ({"latency_ms": "1e999"}, "a number is not finite"),
    ],
)
def test_what_no_table_can_say_is_refused_and_the_rest_is_read(
    tmp_path: Path, row: dict[str, str], reason: str
) -> None:
    table = write_table(tmp_path / "table.csv.gz", {}, row)
    report = import_dataset("public-networks", table, tmp_path / "out")
    told = [text for device in report["devices"].values() for text in device["refused"]]
    assert any(reason in text for text in [*told, *report["passed_over"].values()]), (told, report["passed_over"])
    written = [path for path in report["files"].values() if len(read_measurements(path)[0]) == 1]
    assert len(written) == 1
