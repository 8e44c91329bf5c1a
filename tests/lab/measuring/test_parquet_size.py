import dataclasses
import io
import random
import resource
import subprocess
import sys

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import parquet

from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring.parquet_size import footer_of, parquet_size
from nnmeter.lab.measuring.store import read_measurements, write_measurements
from tests.lab.measuring.test_store import FINGERPRINT, make_measurement

READ = "import sys; from nnmeter.lab.measuring.store import read_measurements; read_measurements(sys.argv[1])"
ADDRESSES = 3 << 30  # what pyarrow sets aside without using it is a third of that


@pytest.fixture
def table(tmp_path):
    """Sound measurements as another program would write them, which knows no checksum."""
    write_measurements(tmp_path / "own.parquet", [make_measurement(1), make_measurement(2)], FINGERPRINT)
    return parquet.read_table(tmp_path / "own.parquet")


def written(table, **options) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd", **options)
    return stream.getvalue()


def varint(number: int, length: int) -> bytes:
    """A number of Thrift's compact protocol, at a given length."""
    number *= 2
    return bytes([(number >> 7 * place & 127) | (128 if place < length - 1 else 0) for place in range(length)])


def read_apart(path) -> tuple[int, str]:
    """Exit code and words of a process of its own that reads a file with bounded memory."""
    process = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (ADDRESSES, ADDRESSES)),
    )  # fmt: skip
    return process.returncode, process.stdout + process.stderr


@pytest.mark.parametrize(
    "options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"row_group_size": 1}]
)
def test_sizes_are_those_that_a_sound_footer_says(table, options):
    data = written(table, **options)
    metadata = parquet.ParquetFile(io.BytesIO(data)).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    size = parquet_size(data)
    assert size.groups == len(groups)
    assert size.values >= sum(chunk.num_values for chunk in chunks)
    said = sum(chunk.total_uncompressed_size for chunk in chunks)
    assert 0 < said - size.bytes < 200 * len(chunks)  # which counts the headers of pages, too


def test_a_file_of_another_program_is_read(table, tmp_path):
    for number, options in enumerate(({}, {"use_dictionary": False}, {"row_group_size": 1}, {"version": "1.0"})):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(written(table, **options))
        assert read_measurements(path) == read_measurements(tmp_path / "own.parquet")


def test_a_histogram_of_another_length_is_an_error_and_no_end_of_the_process(table, tmp_path):
    data = written(table)
    optional, required = b"\x25\x02\x18\x0alatency_ms", b"\x25\x00\x18\x0alatency_ms"  # the schema's repetition type
    assert data.count(optional) == 1
    (tmp_path / "m.parquet").write_bytes(data.replace(optional, required))
    code, said = read_apart(tmp_path / "m.parquet")
    assert code == 1
    assert "MeasurementError" in said


def test_a_page_that_unpacks_to_more_than_the_footer_says_is_refused(table, tmp_path):
    place = table.column_names.index("network")
    long = table.set_column(place, "network", pa.array(["a" * 60_000_000, "b" * 60_000_000]))
    data = written(long, use_dictionary=False, write_statistics=False)
    start = footer_of(data)
    metadata = parquet.ParquetFile(io.BytesIO(data)).metadata
    footer = data[start:]
    for number in (metadata.row_group(0).total_byte_size, metadata.row_group(0).column(place).total_uncompressed_size):
        assert footer.count(varint(number, 4)) == 1
        footer = footer.replace(varint(number, 4), varint(1000, 4))
    (tmp_path / "m.parquet").write_bytes(data[:start] + footer)
    with pytest.raises(MeasurementError, match=r"unpacks to 1\d{8} bytes"):
        read_measurements(tmp_path / "m.parquet")


def test_a_long_text_that_stands_in_all_rows_is_there_once(table, tmp_path):
    rows = pa.concat_tables([table] * 2000)
    place = rows.column_names.index("network")
    text = pa.DictionaryArray.from_arrays(pa.array([0] * len(rows), pa.int32()), pa.array(["a" * 1_000_000]))
    (tmp_path / "m.parquet").write_bytes(written(rows.set_column(place, "network", text)))  # 4 GB in some 10 kB
    assert (tmp_path / "m.parquet").stat().st_size < 50_000
    code, said = read_apart(tmp_path / "m.parquet")
    assert code == 1
    assert "stands 2000 times" in said


def test_a_name_is_not_longer_than_any_real_one(tmp_path):
    row = dataclasses.replace(make_measurement(1), network="a" * 5_000)
    write_measurements(tmp_path / "m.parquet", [row], FINGERPRINT)
    with pytest.raises(MeasurementError, match="name of more than 4096 characters"):
        read_measurements(tmp_path / "m.parquet")


def test_columns_that_nobody_asked_for_are_not_read(table, tmp_path):
    more = table.append_column("notes", pa.array([["x"] * 3, None]))
    (tmp_path / "m.parquet").write_bytes(written(more))
    assert len(read_measurements(tmp_path / "m.parquet")[0]) == 2


def test_a_small_file_holds_no_millions_of_values(table, tmp_path):
    times = pa.array([[0.5] * 3_000_000, [0.5]], pa.list_(pa.float32()))
    place = table.column_names.index("kernel_ms")
    (tmp_path / "m.parquet").write_bytes(written(table.set_column(place, "kernel_ms", times)))
    with pytest.raises(MeasurementError, match=r"unpacks to 3\d{6} values, where 2\d{6} are read"):
        read_measurements(tmp_path / "m.parquet")


def test_a_small_file_holds_few_kernels_that_differ(table, tmp_path):
    text = table["kernels"][0].as_py()[0]
    texts = [text.replace("1,64,56,56", f"1,64,{size},56") for size in range(60_000)]
    place = table.column_names.index("kernels")
    data = written(table.set_column(place, "kernels", pa.array([texts, texts])), dictionary_pagesize_limit=64 << 20)
    assert len(data) < 400_000
    (tmp_path / "m.parquet").write_bytes(data)
    with pytest.raises(MeasurementError, match="unpacks to 60000 kernels"):
        read_measurements(tmp_path / "m.parquet")


def test_any_bytes_have_a_size_or_are_no_parquet_file(table):
    data = written(table)
    start = footer_of(data)
    chance = random.Random(1)
    refused = 0
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(start, len(data))] = chance.randrange(256)
        try:
            parquet_size(bytes(changed))
        except ValueError:
            refused += 1
    assert 50 < refused < 500


@pytest.mark.parametrize("kind", [8, 9, 11, 12])
def test_what_is_nested_without_end_is_refused(kind):
    nested = {
        8: b"\x18\xff\xff\x7f",
        9: b"\x19" * 1 + b"\x19" * 10_000,
        11: b"\x1b\x01\xbb" * 10_000,
        12: b"\x1c" * 10_000,
    }
    footer = nested[kind]
    data = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ValueError, match="footer"):
        parquet_size(data)


def test_a_field_that_is_used_has_its_type():
    """A reader of Thrift passes over a field of another type: this one, in the place of the row groups."""
    for footer in (b"\x48\x00\x00", b"\x49\x15\x02\x00"):  # a text, and a list of numbers
        data = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
        with pytest.raises(ValueError, match="of another type"):
            parquet_size(data)
