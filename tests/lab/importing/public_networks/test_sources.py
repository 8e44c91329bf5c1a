"""Where a row was published, and what its card says of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnmeter.lab.importing.public_networks.importer import devices
from nnmeter.lab.importing.public_networks.sources import repository_of
from tests.lab.importing.public_networks.test_tables import write_table


@pytest.mark.parametrize(
    ("reference", "year", "url"),
    [
        ("v0.5:open/dividiti/results/x", 2019, "https://github.com/mlcommons/inference_results_v0.5"),
        ("v3.0:open/Krai/results/x", 2023, "https://github.com/mlcommons/inference_results_v3.0"),
        ("ctuning-sub-v3.1a:open/x", 2023, "https://github.com/ctuning/mlperf_inference_submissions_v3.1a"),
    ],
)
def test_a_round_of_mlperf_has_its_own_year_and_repository(reference: str, year: int, url: str) -> None:
    found = repository_of("mlperf-open", reference)
    assert (found.year, found.url) == (year, url)


def test_a_gathered_table_names_the_repository_and_its_licence() -> None:
    found = repository_of("misc", "alibaba/MNN benchmark/results.md:3")
    assert (found.url, found.license) == ("https://github.com/alibaba/MNN", "Apache-2.0")
    assert repository_of("misc", "somewhere else").license == "not stated"


def fields_of(path: Path, **row: str) -> dict[str, object]:
    (device,) = devices(write_table(path, row))
    return {"threads": device.threads, **device.facts}


def test_threads_that_are_no_number_are_not_stated(tmp_path: Path) -> None:
    table = tmp_path / "table.csv.gz"
    assert fields_of(table, threads="4")["threads_stated"] is True
    assert fields_of(table, threads="all")["threads_stated"] is False
    assert fields_of(table, threads="")["threads_stated"] is False


def test_what_is_known_of_a_source_goes_to_the_card_of_those_that_it_concerns(tmp_path: Path) -> None:
    table = tmp_path / "table.csv.gz"
    cpu = fields_of(table, source="ncnn")["pitfalls"]
    gpu = fields_of(table, source="ncnn", kind="board-gpu", runtime="ncnn-vulkan")["pitfalls"]
    assert any("16 bits where the core has such arithmetic" in words for words in cpu)
    assert gpu and not any("core" in words for words in gpu)
    own = fields_of(table)
    assert (own["pitfalls"], own["date"]) == ([], "unknown")
