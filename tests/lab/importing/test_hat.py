import gzip
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.hat import composition, devices, encoder, import_measurements
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.operators.cost import operator_cost

HEAD = (
    "source,device,kind,task,encoder_embed_dim,encoder_layer_num,encoder_ffn_embed_dim_avg,"
    "encoder_self_attention_heads_avg,encoder_ms,decoder_ms,row_ref"
)
ROWS = (
    "hat,rpi4-cpu,board-cpu,wmt14ende,640,6,1706.67,6.33333,250.5,900.1,a.csv:3",
    "hat,rpi4-cpu,board-cpu,wmt14enfr,512,6,2133.33,6,201.25,800.2,b.csv:4",
    "hat,rpi4-cpu,board-cpu,wmt14enfr,512,6,2133.33,6,-1,800.2,b.csv:5",
    "hat,rpi4-cpu,board-cpu,wmt14enfr,512,6,100,6,201.25,800.2,b.csv:6",
    "hat,titan-xp,desktop-gpu,iwslt14deen,512,6,2133.33,6,5.5,37.9,c.csv:4",
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "hat.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEAD, *ROWS]).encode()))
    return path


def test_sums_of_widths_and_heads_are_those_of_the_averages() -> None:
    assert composition(1706.67, (512, 1024, 2048, 3072)) == (1024, 1024, 2048, 2048, 2048, 2048)
    assert sum(composition(6.33333, (2, 4, 8))) == 38
    assert composition(3072, (512, 1024, 2048, 3072)) == (3072,) * 6
    with pytest.raises(ValueError, match="100"):
        composition(100.0, (512, 1024, 2048, 3072))


def test_an_encoder_computes_what_its_sizes_say() -> None:
    graph = encoder(30, 640, (1024, 1024, 2048, 2048, 2048, 2048), (8, 8, 8, 8, 4, 2))
    products = sum(
        operator_cost(n.op_type, n.domain, n.attributes, [graph.types.get(i) for i in n.inputs],
                      [graph.types[o] for o in n.outputs]).flops
        for n in graph.nodes if n.op_type == "MatMul"
    )  # fmt: skip
    projections = 6 * 30 * 640 * 512 * 4
    attention = 6 * 2 * 30 * 30 * 512
    feed_forward = 30 * 640 * 2 * (2 * 1024 + 4 * 2048)
    assert products == 2 * (projections + attention + feed_forward)
    assert [graph.types[n.outputs[0]].shape[0] for n in graph.nodes if n.op_type == "Softmax"] == [8, 8, 8, 8, 4, 2]


def test_every_row_is_imported_or_refused(table: Path, tmp_path: Path) -> None:
    report = import_dataset("hat", table.parent, tmp_path / "out", devices=["rpi4-*"])
    device = report["devices"]["rpi4-pytorch-encoders"]
    assert (device["rows"], device["imported_rows"]) == (4, 2)
    assert device["refused"] == {"not an encoder of the search space with a time": 2}
    found, fingerprint = read_measurements(tmp_path / "out" / "rpi4-pytorch-encoders.parquet")
    assert [m.latency_ms for m in found] == [250.5, 201.25]
    assert found[0].family == "wmt14ende-640"
    assert fingerprint["published"]["name"] == "hat"
    names = {kernel.op_type for kernel in found[0].kernels}
    assert {"MatMul", "Softmax", "LayerNormalization"} <= names


def test_rows_that_are_left_out_are_counted(table: Path) -> None:
    chosen = devices(table)
    imported = import_measurements(table, chosen, Detection(chosen), every=2)
    assert sum(imported.rows.values()) == len(ROWS)
    assert [m.latency_ms for own in imported.measurements.values() for m in own] == [250.5, 5.5]
    assert sum(imported.refused["rpi4-pytorch-encoders"].values()) == 3


def test_a_device_is_known_by_its_hardware_and_claims_no_threads(table: Path) -> None:
    device = next(device for device in devices(table) if device.name == "rpi4-pytorch-encoders")
    assert device.facts["table"]["device"] == "rpi4-cpu"
    assert device.facts["threads_stated"] is False
    assert (device.facts["place"], device.kind, device.rules) == ("board", "cpu", "framework")


def test_what_is_no_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hat.csv.gz").write_bytes(b"no table")
    with pytest.raises(MeasurementError, match=r"hat.csv.gz: cannot be read as a table of encoders \(.*\); restore"):
        import_dataset("hat", tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("250.5", "1e-30"), "the row is no measurement: its latency is 1e-30 ms"),
        (("6.33333", "inf"), "not an encoder of the search space"),
        (("640", "9" * 30), "not an encoder of the search space"),
        (("a.csv:3", "b.csv:4"), "the row is no measurement: another row has the same name"),
        (("a.csv:3", "a\x1b[31m"), "its names have control characters"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_the_others_are_read(
    table: Path, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    table.write_bytes(gzip.compress("\n".join([HEAD, *ROWS]).replace(*change, 1).encode()))
    report = import_dataset("hat", table, tmp_path / "out", devices=["rpi4-*"])
    device = report["devices"]["rpi4-pytorch-encoders"]
    assert (device["rows"], device["imported_rows"]) == (4, 1)
    assert any(reason in told for told in device["refused"])
    assert len(read_measurements(tmp_path / "out" / "rpi4-pytorch-encoders.parquet")[0]) == 1


def test_a_table_without_names_of_rows_is_refused(table: Path, tmp_path: Path) -> None:
    table.write_bytes(gzip.compress("\n".join([HEAD.replace("row_ref", "row"), *ROWS]).encode()))
    with pytest.raises(MeasurementError, match="is no table of encoders"):
        import_dataset("hat", table, tmp_path / "out")
