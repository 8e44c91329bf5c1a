"""Tables as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.errors import NnmeterError
from nnmeter.search import LatencyTable, layer_name, lookup_table, read_table
from nnmeter.search.space import Space
from nnmeter.search.terms import Term, Verified
from tests.search.conftest import SPACE


def test_a_table_comes_back_as_it_was(table: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table.save(path)
    again = read_table(path)
    rows = table.space.sample(100, np.random.default_rng(0))
    assert again.predict(rows).tolist() == table.predict(rows).tolist()
    assert (again.space, again.device, again.verified, again.steps) == (
        table.space, table.device, table.verified, table.steps,
    )  # fmt: skip
    assert repr(again) == repr(table)


def test_options_that_json_cannot_hold(tmp_path: Path) -> None:
    space = Space({"a": [np.int64(3), (1, 2), None, b"x"]})
    table = LatencyTable(space, "here", (Term((0,), np.arange(4.0)),), Verified(1, 0.0, 0.0, 0.01))
    with pytest.raises(NnmeterError, match="choice 'a': the option b'x' cannot be saved"):
        table.save(tmp_path / "table.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "something"}, "no latency table"),
        ({"schema_version": 2}, "another version"),
        ({"space": {}}, "damaged"),
        ({"space": None}, "damaged"),
        ({"terms": []}, "no terms"),
        ({"terms": [{"choices": ["size"], "latency_ms": [1.0]}]}, "damaged"),
        ({"terms": [{"choices": ["nothing"], "latency_ms": [1.0]}]}, "damaged"),
        ({"terms": [{"choices": ["depth", "size"], "latency_ms": [1.0] * 4}]}, "order"),
        ({"terms": [{"choices": ["size"], "latency_ms": [True, 1.0]}]}, "no number"),
        ({"device": 3}, "no name"),
        ({"verified": {"candidates": "many"}}, "damaged"),
        ({"verified": {}}, "damaged"),
        ({"steps": 5}, "damaged"),
    ],
)
def test_damaged_files(table: LatencyTable, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "table.json"
    table.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(NnmeterError, match=said):
        read_table(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": 1e999}', b"\xff"])
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(NnmeterError, match=r"table\.json"):
        read_table(path)
    with pytest.raises(NnmeterError, match="cannot be read"):
        read_table(tmp_path)


def layers(candidate: dict[str, Any]) -> list[str]:
    """One layer for each convolution, named by all that its latency depends on."""
    size, into, found = candidate["size"], 8, []
    for layer in range(1, candidate["depth"] + 1):
        out = candidate[f"width{layer}"]
        act = int(candidate["activation"] == "HardSwish")
        last = int(layer == candidate["depth"])
        found.append(layer_name("Conv", (size, size, into), (size, size, out), hs=act, last=last))
        into = out
    return found


def test_a_lookup_table_by_layer(table: LatencyTable, tmp_path: Path) -> None:
    found = lookup_table(table, layers)
    candidate = {"size": 16, "depth": 2, "width1": 24, "width2": 40, "activation": "HardSwish"}
    assert found.largest_error < 1e-4
    assert found.predict(layers(candidate)) == pytest.approx(table.predict(candidate)[0], rel=1e-4)
    found.save(tmp_path / "table.yaml")
    lines = (tmp_path / "table.yaml").read_text().splitlines()
    at = lines.index('"Conv-input:16x16x24-output:16x16x40-hs:1-last:1":')
    assert lines[at + 1].startswith("  mean: ")
    assert lines[at + 2].startswith("  count: ")
    yaml = pytest.importorskip("yaml")
    content = yaml.safe_load((tmp_path / "table.yaml").read_text())
    assert {name: entry["mean"] for name, entry in content.items()} == found.latency_ms


def test_layers_that_do_not_tell_contexts_apart_leave_an_error(table: LatencyTable) -> None:
    found = lookup_table(table, lambda candidate: ["Conv"] * candidate["depth"])
    assert found.largest_error > 0.1
    with pytest.raises(NnmeterError, match="no layer 'Pool'"):
        found.predict(["Pool"])
    with pytest.raises(NnmeterError, match="no layers"):
        lookup_table(table, lambda candidate: [])
    with pytest.raises(NnmeterError, match="no name of a layer"):
        lookup_table(table, lambda candidate: ['a"b'])


def test_the_space_of_the_tests_is_small() -> None:
    assert Space(SPACE).count == 72
