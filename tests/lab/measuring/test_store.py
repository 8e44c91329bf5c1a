import dataclasses
import os
import random

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.correction import SENSITIVITY
from nnmeter.lab.measuring.measurement import Measurement
from tests.conftest import REPOSITORY

pytest.importorskip("pyarrow")

from nnmeter.lab.measuring import store
from nnmeter.lab.measuring.store import (
    consolidate,
    next_seed,
    part_files,
    part_path,
    read_measurements,
    write_measurements,
)

FINGERPRINT = {
    "cpu": "Some CPU",
    "runtime": "onnxruntime",
    "runtime_version": "1.32.0",
    "threads": 1,
    "flags": ["avx2"],
}


def make_measurement(number, kernels=3, rng=None):
    rng = rng or random.Random(number)
    signatures = tuple(
        KernelSignature(
            "nchwc.Conv+Add+Relu",
            "Conv",
            "com.microsoft.nchwc",
            (TensorType("float32", (1, 64, 56, 56)), TensorType("float32", (rng.randint(8, 512), 64, 3, 3)), None),
            (False, True, False),
            (TensorType("float32", (1, 64, 56, 56)),),
            (("alpha", 0.5), ("kernel_shape", (3, 3)), ("mode", "same")),
        )
        for _ in range(kernels)
    )
    return Measurement(
        id=f"block:residual-{number}",
        granularity="block",
        network=f"residual-{number}",
        family="residual",
        kernels=signatures,
        latency_ms=12.5,
        min_ms=12.0,
        median_ms=12.25,
        p90_ms=14.0,
        runs=8,
        reference_ms=1.25,
        half_ms=(12.5, 12.75),
        threads=1,
        batch=1,
        sitting="2026-01-01T00:00:00",
        kernel_ms=tuple(rng.lognormvariate(-2, 1) for _ in range(kernels)),
        kernel_spread=(0.03125,) * kernels,
        kernel_runs=9,
    )


def as_stored(measurement):
    import numpy as np

    return dataclasses.replace(measurement, kernel_ms=tuple(float(np.float32(v)) for v in measurement.kernel_ms))


def test_what_was_written_is_read(tmp_path):
    written = [make_measurement(1), make_measurement(2, kernels=5)]
    write_measurements(tmp_path / "m.parquet", written, FINGERPRINT)
    read, fingerprint = read_measurements(tmp_path / "m.parquet")
    assert read == [as_stored(m) for m in written]
    assert fingerprint == FINGERPRINT


def test_measurement_without_kernel_times_is_kept(tmp_path):
    plain = dataclasses.replace(make_measurement(1), granularity="model", kernel_ms=(), kernel_spread=(), kernel_runs=0)
    write_measurements(tmp_path / "m.parquet", [plain], FINGERPRINT)
    assert read_measurements(tmp_path / "m.parquet")[0] == [plain]


def test_nothing_is_left_beside_a_file_that_could_not_be_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_measurements(tmp_path / "m.parquet", [make_measurement(1)], FINGERPRINT)
    assert os.listdir(tmp_path) == []


def test_thirty_thousand_kernels_need_less_than_a_megabyte_and_a_half(tmp_path):
    rng = random.Random(0)
    rows = [make_measurement(n, kernels=50, rng=rng) for n in range(600)]
    write_measurements(tmp_path / "m.parquet", rows, FINGERPRINT)
    assert (tmp_path / "m.parquet").stat().st_size < 1.5e6


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"", "damaged"),
        (lambda data: b"PAR1" + os.urandom(200) + b"PAR1", "damaged"),
    ],
    ids=["truncated", "empty", "noise"],
)
def test_damaged_file_is_refused(tmp_path, damage, message):
    path = tmp_path / "m.parquet"
    write_measurements(path, [make_measurement(1)], FINGERPRINT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MeasurementError, match=message) as caught:
        read_measurements(path)
    assert "\n" not in str(caught.value)
    assert "m.parquet" in str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "m.parquet"
    write_measurements(path, [make_measurement(1)], FINGERPRINT)
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        with pytest.raises(MeasurementError):
            read_measurements(path)


def test_table_of_somebody_else_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(MeasurementError, match="holds no measurements"):
        read_measurements(tmp_path / "other.parquet")


def test_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nnmeter.lab.measuring.store.SCHEMA_VERSION", 2)
    write_measurements(tmp_path / "m.parquet", [make_measurement(1)], FINGERPRINT)
    monkeypatch.undo()
    with pytest.raises(MeasurementError, match=r"schema 2.*update nnmeter"):
        read_measurements(tmp_path / "m.parquet")


def test_missing_path_is_named(tmp_path):
    with pytest.raises(MeasurementError, match="nowhere: no measurements here"):
        read_measurements(tmp_path / "nowhere")


def test_parts_are_read_in_the_order_of_their_seeds(tmp_path):
    for first in (200, 0, 100):
        write_measurements(part_path(tmp_path, first, first + 100), [make_measurement(first)], FINGERPRINT)
    (tmp_path / ".part-0000300-0000400.parquet.abc").write_bytes(b"half a file of a killed process")
    read, _ = read_measurements(tmp_path)
    assert [m.network for m in read] == ["residual-0", "residual-100", "residual-200"]
    assert len(part_files(tmp_path)) == 3
    assert next_seed(tmp_path, 0) == 300
    assert next_seed(tmp_path / "nowhere", 7) == 7


def test_parts_of_two_devices_are_refused(tmp_path):
    write_measurements(part_path(tmp_path, 0, 1), [make_measurement(0)], FINGERPRINT)
    write_measurements(part_path(tmp_path, 1, 2), [make_measurement(1)], {**FINGERPRINT, "threads": 2})
    with pytest.raises(MeasurementError, match="another device"):
        read_measurements(tmp_path)


def test_consolidated_file_holds_all_parts(tmp_path):
    for first in (0, 1):
        write_measurements(part_path(tmp_path, first, first + 1), [make_measurement(first)], FINGERPRINT)
    assert consolidate(tmp_path, tmp_path / "all.parquet") == 2
    assert read_measurements(tmp_path / "all.parquet") == read_measurements(tmp_path)


def test_corrected_times_move_to_another_nominal_reference():
    measurement = make_measurement(1)
    moved = measurement.at_reference(2 * measurement.reference_ms)
    factor = 2**SENSITIVITY
    assert moved.latency_ms == pytest.approx(factor * measurement.latency_ms)
    assert moved.half_ms == pytest.approx([factor * half for half in measurement.half_ms])
    assert moved.median_ms == measurement.median_ms
    assert moved.kernel_ms[0] == pytest.approx(factor * measurement.kernel_ms[0])
    assert moved.at_reference(measurement.reference_ms).latency_ms == pytest.approx(measurement.latency_ms)


# --- What is read is checked, once for every verb


def damaged(**changes):
    return dataclasses.replace(make_measurement(1), **changes)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (damaged(latency_ms=0.0), "its latency is 0.0 ms"),
        (damaged(latency_ms=float("nan")), "its latency is nan ms"),
        (damaged(latency_ms=float("inf")), "its latency is inf ms"),
        (damaged(latency_ms=-1.0), "its latency is -1.0 ms"),
        (damaged(reference_ms=0.0), "that of the reference 0.0 ms"),
        (damaged(min_ms=float("nan")), "its minimum is nan ms"),
        (damaged(half_ms=(float("nan"), 1.0)), "the time of a half or of a kernel"),
        (damaged(kernels=()), "no kernels"),
        (damaged(granularity="network"), "has the granularity 'network'"),
        (damaged(threads=0), "on 0 threads"),
        (damaged(kernel_ms=(1.0,), kernel_spread=(0.1,)), "1 times and 1 spreads of 3 kernels"),
        (damaged(kernel_ms=(1.0, -1.0, 1.0), kernel_spread=(0.1, 0.1, 0.1)), "the time of a half or of a kernel"),
        (damaged(network="\x1b[31mred"), "its names have control characters"),
        (damaged(p90_ms=1e-3), "minimum, median and 90th percentile are out of order"),
        (damaged(kernel_runs=0), "0 profiled runs with 3 times of kernels"),
    ],
)
def test_a_row_that_is_no_measurement_is_refused_and_named(tmp_path, row, fault):
    write_measurements(tmp_path / "m.parquet", [make_measurement(0), row], FINGERPRINT)
    with pytest.raises(MeasurementError, match=r"m\.parquet: block:residual-1: .*" + fault) as caught:
        read_measurements(tmp_path / "m.parquet")
    assert str(caught.value).isprintable()


def test_two_rows_of_one_id_are_refused(tmp_path):
    write_measurements(tmp_path / "m.parquet", [make_measurement(0), make_measurement(0)], FINGERPRINT)
    with pytest.raises(MeasurementError, match="residual-0: stands 2 times"):
        read_measurements(tmp_path / "m.parquet")


@pytest.mark.parametrize(
    "fingerprint",
    [
        {**FINGERPRINT, "threads": "one"},
        {**FINGERPRINT, "runtime": "../../rules"},
        {**FINGERPRINT, "cpu": ["Some CPU"]},
        {**FINGERPRINT, "reference_ms": float("nan")},
        {**FINGERPRINT, "cpu": "\x1b[31m"},
        {**FINGERPRINT, "sittings": {"s": 1}},
    ],
)
def test_a_fingerprint_of_another_form_is_refused(tmp_path, fingerprint):
    write_measurements(tmp_path / "m.parquet", [make_measurement(0)], fingerprint)
    with pytest.raises(MeasurementError, match=r"damaged, or not a measurement file \(its fingerprint"):
        read_measurements(tmp_path / "m.parquet")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("latency_ms", ["slow"]),
        ("latency_ms", [None]),
        ("kernels", [["[" * 5000]]),
        ("kernels", [['["Conv", "Conv", "", [["float99", 1]], [false], [], {}]']]),
        ("kernels", [[None]]),
        ("kernels", [['["Conv","Conv","",[["float32",1,8,9,9],["float32",8,8,3,3]],[0,1],[],{"strides":["x"]}]']]),
        ("kernels", [['["Add","Add","",[["float32",4]],[0],[["float32",4]],{"a":1e999}]']]),
        ("id", [1]),
    ],
)
def test_a_column_of_another_form_is_refused(tmp_path, column, value):
    import pyarrow as pa
    from pyarrow import parquet

    write_measurements(tmp_path / "m.parquet", [make_measurement(0)], FINGERPRINT)
    table = parquet.read_table(tmp_path / "m.parquet")
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(value))
    parquet.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(MeasurementError, match="damaged, or not a measurement file"):
        read_measurements(tmp_path / "m.parquet")


@pytest.mark.parametrize("column", ["id", "network", "family"])
def test_a_text_of_bytes_that_are_none_is_refused(tmp_path, column):
    import pyarrow as pa
    from pyarrow import parquet

    write_measurements(tmp_path / "m.parquet", [make_measurement(0)], FINGERPRINT)
    table = parquet.read_table(tmp_path / "m.parquet")
    text = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    parquet.write_table(table.set_column(table.column_names.index(column), column, text), tmp_path / "m.parquet")
    with pytest.raises(MeasurementError, match=r"damaged, or not a measurement file .*(?i:utf-?8)"):
        read_measurements(tmp_path / "m.parquet")


def test_no_damaged_file_reads_as_other_numbers(tmp_path):
    """Every byte in turn is changed in one bit: the file reads as it was, or is refused."""
    path = tmp_path / "m.parquet"
    rows = [make_measurement(number) for number in range(3)]
    write_measurements(path, rows, FINGERPRINT)
    whole = path.read_bytes()
    expected = read_measurements(path)
    refused = 0
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = read_measurements(path)
        except MeasurementError:
            refused += 1
        else:  # only a byte of the mark itself, without which it is a file of an older version
            assert found == expected, place
    assert refused >= len(whole) // 7 - 3


@pytest.mark.parametrize("path", sorted((REPOSITORY / "data").glob("*/*.parquet")), ids=lambda path: path.parent.name)
def test_files_that_ship_have_checksums(path):
    data = path.read_bytes()
    assert b"\0nnmeter.sha256\0" in data[-1_000_000:]
    assert not store._is_damaged(data)
    assert store._is_damaged(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])


def test_a_file_without_checksums_is_read(tmp_path):
    from pyarrow import parquet

    write_measurements(tmp_path / "new.parquet", [make_measurement(0)], FINGERPRINT)
    parquet.write_table(parquet.read_table(tmp_path / "new.parquet"), tmp_path / "old.parquet")
    assert read_measurements(tmp_path / "old.parquet") == read_measurements(tmp_path / "new.parquet")


def test_a_row_of_an_absurd_time_is_left_out():
    from nnmeter.lab.measuring.validation import split_outliers

    rows = [make_measurement(number) for number in range(20)]
    outliers = [dataclasses.replace(make_measurement(20), latency_ms=latency_ms) for latency_ms in (1e-6, 1e7)]
    assert split_outliers([*rows, *outliers]) == (rows, outliers)
    assert split_outliers([*rows[:3], outliers[0]]) == ([*rows[:3], outliers[0]], [])


def test_a_row_of_another_reference_or_of_longer_kernels_than_itself_is_left_out():
    from nnmeter.lab.measuring.validation import split_outliers

    rows = [make_measurement(number) for number in range(20)]
    one = make_measurement(20)
    slow_reference = dataclasses.replace(one, reference_ms=1e3 * one.reference_ms)
    slow_kernel = dataclasses.replace(one, kernel_ms=(1e3 * one.latency_ms + 1e3, *one.kernel_ms[1:]))
    assert split_outliers([*rows, slow_reference, slow_kernel]) == (rows, [slow_reference, slow_kernel])


@pytest.mark.parametrize("path", sorted((REPOSITORY / "data").glob("*/models.parquet")), ids=lambda p: p.parent.name)
def test_no_row_that_ships_is_left_out(path):
    from nnmeter.lab.measuring.validation import split_outliers

    assert split_outliers(read_measurements(path)[0])[1] == []


def test_too_little_memory_to_read_a_file_is_said(tmp_path, monkeypatch):
    write_measurements(tmp_path / "m.parquet", [make_measurement(0)], FINGERPRINT)
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MeasurementError, match="there is not enough memory to read it"):
        read_measurements(tmp_path / "m.parquet")
