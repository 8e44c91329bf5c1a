"""Device packs of strangers: whatever their files hold, they are priced with or refused in a line, and nothing runs."""

from __future__ import annotations

import copy
import io
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.devices import load_pack
from nnmeter.devices.manifest import MANIFEST, write_manifest
from nnmeter.errors import DeviceError, NnmeterError
from nnmeter.limits import MAX_TREES_INFLATED
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.predictor.price_correction import TERMS
from nnmeter.predictor.stored import SCHEMA_VERSION
from nnmeter.predictor.tree_arrays import read_arrays
from nnmeter.predictor.trees import ARRAYS
from tests.conftest import make_small_model

ONE_TREE = {
    "feature": [1], "threshold": [1.0], "first": [0], "end": [1], "value": [0.5, -0.5], "node_counts": [1],
}  # fmt: skip


def archive(arrays: dict[str, Any] = ONE_TREE, **changed: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{n: np.array(arrays[n], t) for n, t in ARRAYS.items() if n in arrays} | changed)
    return stream.getvalue()


@pytest.fixture
def pack(small_pack: Path, tmp_path: Path) -> Path:
    """A pack of its own for each test, with one tree in every ensemble."""
    place = shutil.copytree(small_pack, tmp_path / small_pack.name)
    three = {name: np.tile(values, 3) for name, values in ONE_TREE.items()}
    document = json.loads((place / "predictor.json").read_text())
    for entry in document["ensembles"].values():
        entry["sizes"] = [1, 1]
    put(place, "predictor.json", json.dumps(document).encode())
    put(place, "trees.npz", archive(three))
    put(place, "rules.json", json.dumps(rewriting()).encode())  # few, for they are compiled in every test
    return place


def put(pack: Path, name: str, data: bytes) -> None:
    """Write a file of a pack and a manifest that has its hash: what a maker of packs can do."""
    (pack / name).write_bytes(data)
    (pack / MANIFEST).unlink()
    write_manifest(pack)


def edit(pack: Path, name: str, change: Callable[[Any], object]) -> None:
    content = json.loads((pack / name).read_text())
    change(content)
    put(pack, name, json.dumps(content).encode())


def fault_of(pack: Path) -> str:
    with pytest.raises(NnmeterError) as caught:
        LatencyPredictor(load_pack(pack)).predict(make_small_model())
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "a remedy is missing"
    return message


def test_the_pack_of_these_tests_is_whole(pack: Path) -> None:
    assert LatencyPredictor(load_pack(pack)).predict(make_small_model()).latency_ms > 0


# --- trees.npz


def bomb() -> bytes:
    """Members that inflate to 2 GB, in some 2 MB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ARRAYS:
            with made.open(f"{name}.npy", "w", force_zip64=True) as member:
                for _ in range(10):
                    member.write(bytes(1 << 20))
    return stream.getvalue()


def claiming(shape: str, kind: str = "|u1") -> bytes:
    """An archive whose first member has a header that claims a shape."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive())) as old, zipfile.ZipFile(stream, "w") as made:
        for name in ARRAYS:
            data = old.read(f"{name}.npy")
            if name == "feature":
                header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
                data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\x01"
            made.writestr(f"{name}.npy", data)
    return stream.getvalue()


def with_member(name: str) -> bytes:
    stream = io.BytesIO(archive())
    with zipfile.ZipFile(stream, "a") as made:
        made.writestr(name, b"more")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bomb(), f"inflates to more than {MAX_TREES_INFLATED >> 20} MiB"),
        (claiming("(1000000000000,)"), "another length than it says"),
        (claiming("(1,)", "|O"), "not a vector of uint8"),
        (claiming("(1, 1)"), "not a vector of uint8"),
        (claiming("__import__('os').getpid(),"), "damaged header"),
        (archive(feature=np.array([None])), "not a vector of uint8"),
        (archive({k: v for k, v in ONE_TREE.items() if k != "end"}), "must hold"),
        (with_member("evil.py"), "must hold"),
        (with_member("../../evil.npy"), "must hold"),
        (b"", "no archive"),
        (archive()[:-30], "no archive"),
        (archive()[:60] + b"\xff\xff" + archive()[62:], "no archive"),
        (bytes(9 << 20), "more than 8 MiB"),
    ],
)
def test_an_archive_that_is_not_what_it_should_be_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_arrays(data)


def test_a_pack_with_a_bomb_is_refused_in_one_line(pack: Path) -> None:
    put(pack, "trees.npz", bomb())
    assert "inflates to more than" in fault_of(pack)


def test_an_archive_is_read_as_numpy_reads_it() -> None:
    data = archive()
    with np.load(io.BytesIO(data)) as stored:
        for name, array in read_arrays(data).items():
            assert array.dtype == ARRAYS[name]
            np.testing.assert_array_equal(array, stored[name])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("threshold", [math.nan], "not a finite number"),
        ("threshold", [math.inf], "not a finite number"),
        ("value", [math.nan, 0.0], "not a finite number"),
        ("feature", [255], "feature that does not exist"),
        ("first", [1], "range of leaves"),
        ("end", [2], "range of leaves"),
        ("end", [255], "range of leaves"),
        ("node_counts", [2], "do not fit"),
        ("node_counts", [0], "do not fit"),
        ("node_counts", [64], "do not fit"),
    ],
)
def test_trees_out_of_range_are_refused(pack: Path, name: str, values: list[float], words: str) -> None:
    trees = {key: np.tile(own, 3) for key, own in ONE_TREE.items()}
    trees[name] = np.concatenate([np.array(values), trees[name][len(values) :]])
    put(pack, "trees.npz", archive(trees))
    assert words in fault_of(pack)


# --- predictor.json


def scaled(document: dict[str, Any], *path: Any, value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


CORRECTION = {
    "terms": list(TERMS), "common": [0.0] * 6, "families": {}, "operators": {}, "family_sigma": {}, "sigma": 0.1,
    "foreign": False,
}  # fmt: skip
SAMPLED = [0, 1, 0.1, [0] * 5, [1] * 5]

PREDICTOR_CHANGES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("schema_version",), SCHEMA_VERSION + 1, "upgrade nnmeter"),
    (("schema_version",), "1", "schema '1'"),
    (("schema_version",), None, "schema None"),
    (("common_features",), ["anchor"], "other features"),
    (("features", "matmul"), ["anchor"], "other features (matmul)"),
    (("features", "unheard_of"), ["a"], "other features (unheard_of)"),
    (("features",), 3, "damaged"),
    (("ensembles",), [], "damaged"),
    (("ensembles", "fallback", "sizes"), [10**30, 1], "damaged"),
    (("ensembles", "fallback", "sizes"), [-1, -1], "damaged"),
    (("ensembles", "fallback", "bias"), math.nan, "damaged"),
    (("ensembles", "fallback", "bias"), "none", "damaged"),
    (("anchors",), {"a": 1}, "damaged"),
    (("anchors",), {"Gemm": {"matmul": SAMPLED}}, "no operator and element type"),
    (("anchors",), {"Gemm|float32": SAMPLED}, "no JSON object"),
    (("anchors",), {"Gemm|float32": {"unheard_of": SAMPLED}}, "no kernel family"),
    (("anchors",), {"Gemm|float32": {"pooling": SAMPLED}}, "ensemble is missing"),
    (("anchors",), {"Gemm|float32": {"matmul": [["matmul"], *SAMPLED[1:]]}}, "damaged"),
    (("anchors",), {"Gemm|float32": {"matmul": [0, 1, 1e308, *SAMPLED[3:]]}}, "not from 0 to 100"),
    (("anchors",), {"Gemm|float32": {"matmul": [0, 1, 0, [-1e300] * 5, [1] * 5]}}, "damaged"),
    (("anchors",), {"Gemm|float32": {"matmul": [0, 1, 0, [1024] * 5, [2048] * 5]}}, "not from -256 to 256"),
    (("anchors",), {"Gemm|float32": {"matmul": [0, 1, 0, [0] * 3, [1] * 5]}}, "wrong length"),
    (("anchors",), {"Gemm|float32": {"matmul": [0, 1.5, *SAMPLED[2:]]}}, "no whole number"),
    (("anchors",), {"Gemm|float32": {"matmul": [*SAMPLED, [1, 1]]}}, "wrong length"),
    (("fallback_sigma",), 1e200, "not from 0 to 100"),
    (("scale",), math.inf, "not finite"),
    (("scale",), -1.0, "not from 0"),
    (("overhead_ms",), 1e300, "damaged"),
    (("roofline", "bandwidth_gbs"), 1e-300, "absurd"),
    (("roofline", "launch_ms"), 1e300, "absurd"),
    (("roofline",), [], "damaged"),
    (("intervals", "multipliers"), {"0.9": -1}, "damaged"),
    (("intervals", "networks"), math.inf, "damaged"),
    (("corrections",), [{}] * 17, "more than 16 times"),
    (("corrections",), [1], "damaged"),
    (("corrections",), [CORRECTION | {"operators": {"Gemm|float32": {"matmul": [0, -1, 0, ""]}}}], "not from 0"),
    (("corrections",), [CORRECTION | {"operators": {"Gemm|float32": {"matmul": [0, 1, 0, "a"]}}}], "no operator and"),
    (("corrections",), [CORRECTION | {"common": [0.0]}], "wrong length"),
    (("corrections",), [CORRECTION | {"foreign": "yes"}], "neither true nor false"),
    (("scale",), True, "no number"),
    (("scale",), 10**400, "too many digits"),
    (("intervals", "multipliers"), {"often": 1.0}, "confidence 'often'"),
    (("baselines", "flops"), -1, "damaged"),
]


@pytest.mark.parametrize(("path", "value", "words"), PREDICTOR_CHANGES)
def test_a_predictor_that_says_something_else_is_refused(
    pack: Path, path: tuple[Any, ...], value: Any, words: str
) -> None:
    edit(pack, "predictor.json", lambda document: scaled(document, *path, value=value))
    assert words in fault_of(pack)


def test_multipliers_of_any_size_give_an_interval_that_is_one(pack: Path) -> None:
    edit(pack, "predictor.json", lambda d: d["intervals"].update(base=1e300, multipliers={"0.9": 1e8}))
    low, high = LatencyPredictor(load_pack(pack)).predict(make_small_model()).interval_ms
    assert 0 < low < high < math.inf


# --- JSON files


@pytest.mark.parametrize("name", ["card.json", "rules.json", "predictor.json", "scorecard.json"])
@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"1", b'"/etc/passwd"', b"\xff\xfe", b"[1,2", b"{}x"])
def test_a_json_file_that_is_none_is_refused(pack: Path, name: str, data: bytes) -> None:
    if not (pack / name).exists():
        (pack / name).touch()
    put(pack, name, data)
    assert name.partition(".")[0] in fault_of(pack)


def test_json_of_millions_of_values_is_refused_before_it_is_parsed(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(pack, "rules.json", b"[" + b"[]," * 20_000 + b"[]]")
    monkeypatch.setattr("nnmeter.files.MAX_JSON_VALUES", 20_000)
    monkeypatch.setattr(
        "json.loads", lambda data, **how: pytest.fail("was parsed") if data[:4] == b"[[]," else _loads(data, **how)
    )
    assert "more than 20000 values" in fault_of(pack)


_loads = json.loads


def test_a_file_that_is_too_large_is_not_read(pack: Path) -> None:
    with open(pack / "scorecard.json", "wb") as stream:
        stream.truncate(1 << 40)  # a hole: it has no bytes on the disk
    assert "scorecard.json" in fault_of(pack)


def test_a_file_that_changes_after_the_pack_was_read_is_refused(pack: Path) -> None:
    loaded = load_pack(pack)
    (pack / "rules.json").write_text("{}")
    (pack / "trees.npz").write_bytes(b"other")
    with pytest.raises(DeviceError, match=r"rules\.json: does not have the SHA-256"):
        _ = loaded.rules
    with pytest.raises(DeviceError, match=r"trees\.npz: does not have the SHA-256"):
        _ = loaded.predictor


def test_a_manifest_that_names_thousands_of_files_is_refused(pack: Path) -> None:
    manifest = json.loads((pack / MANIFEST).read_text())
    manifest["files"].update({f"f{i}.json": {"sha256": "0" * 64} for i in range(1000)})
    (pack / MANIFEST).write_text(json.dumps(manifest))
    assert "more than 32" in fault_of(pack)


# --- rules.json


def rewriting(**changes: Any) -> dict[str, Any]:
    rule = {
        "name": "hostile",
        "match": [{"id": "n", "op": "Relu", "inputs": ["x"], "outputs": ["y"]}],
        "replace": [{"op": "Abs", "inputs": ["x"], "outputs": ["y"]}],
        **changes,
    }
    return {
        "schema_version": 1,
        "name": "hostile",
        "runtime": "none",
        "stages": [{"name": "s", "passes": [{"name": "p", "kind": "rewrite", "rules": [rule]}]}],
    }


def growing() -> dict[str, Any]:
    """One operator becomes forty, a thousand times."""
    names = ["x", *(f"t{i}" for i in range(39)), "y"]
    return rewriting(
        replace=[{"op": "Relu", "inputs": [a], "outputs": [b]} for a, b in pairwise(names)],
        tensors={f"t{i}": {"like": "x"} for i in range(39)},
    )


def flipping() -> dict[str, Any]:
    content = rewriting()
    back = copy.deepcopy(content["stages"][0]["passes"][0]["rules"][0])
    back["match"][0]["op"], back["replace"][0]["op"] = "Abs", "Relu"
    back["name"] = "back"
    content["stages"][0]["passes"][0]["rules"].append(back)
    return content


def repeated(content: dict[str, Any], times: int = 1000) -> dict[str, Any]:
    content["stages"][0]["repeat"] = times
    content["stages"][0]["passes"][0]["repeat"] = times
    return content


def deep(levels: int) -> Any:
    expression: Any = 1
    for _ in range(levels):
        expression = ["neg", expression]
    return expression


HOSTILE_RULES: dict[str, tuple[dict[str, Any], str]] = {
    "growing": (repeated(growing()), "do not come to an end"),
    "flipping": (repeated(flipping()), "do not come to an end"),
    "repeating": (repeated(rewriting(), 10**9), "from 1 to 1000"),
    "long list": (rewriting(where=[["len", ["range", 10**12]]]), "rule 'hostile' does not work"),
    "long text": (rewriting(where=[["mod", "%1000000000d", 3]]), "rule 'hostile': 'mod' takes a number"),
    "repeated list": (rewriting(where=[["repeat", ["shape", "x"], 10**9]]), "rule 'hostile': 'repeat' takes a number"),
    "product of lists": (rewriting(where=[["mul", ["shape", "x"], 10**10]]), "rule 'hostile': 'mul' takes a number"),
    "wrong type": (rewriting(where=[["lt", ["shape", "x"], 3]]), "rule 'hostile': 'lt' takes a number"),
    "tensor for node": (rewriting(where=[["kind", "x"]]), "rule 'hostile': 'kind' takes a node"),
    "deep": (rewriting(where=[deep(100)]), "more than 64 deep"),
    "long pattern": (
        rewriting(match=[{"id": f"n{i}", "op": "Relu", "inputs": ["x"], "outputs": [f"y{i}"]} for i in range(65)]),
        "more than 64",
    ),
    "impossible tensor": (
        rewriting(
            replace=[{"op": "Abs", "inputs": ["w"], "outputs": ["y"]}],
            tensors={"w": {"dtype": "float33", "shape": ["list", 1]}},
        ),
        "rule 'hostile' does not work",
    ),
    "include": (
        {**rewriting(), "stages": [{"include": "../../../etc/passwd"}]},
        "there is no rule set",
    ),
    "stages of numbers": ({**rewriting(), "stages": [1, 2]}, "rules.json"),
    "where is a number": (rewriting(where=5), "rule 'hostile': 'where' is 5, not a list"),
    "attributes are a list": (
        rewriting(replace=[{"op": "Abs", "inputs": ["x"], "outputs": ["y"], "attributes": [1]}]),
        "rule 'hostile': 'attributes' is [1], not an object",
    ),
    "circle": (
        rewriting(replace=[{"op": "Abs", "inputs": ["y"], "outputs": ["y"]}]),
        "'y' goes away, so that no new node can read it",
    ),
    "circle of new tensors": (
        rewriting(
            replace=[
                {"op": "Abs", "inputs": ["t"], "outputs": ["y"]},
                {"op": "Abs", "inputs": ["t"], "outputs": ["t"]},
            ],
            tensors={"t": {"like": "x"}},
        ),
        "wait for each other",
    ),
    "newer": ({**rewriting(), "schema_version": 2}, "update nnmeter"),
    "fields": (
        {**rewriting(), "stages": [{"name": "s", "passes": [{"name": "p", "kind": "layout", "operators": 3}]}]},
        "pass 'p': unknown field 'operators'",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_RULES)
def test_rules_that_are_wrong_or_never_end_are_refused(pack: Path, name: str) -> None:
    rules, words = HOSTILE_RULES[name]
    put(pack, "rules.json", json.dumps(rules).encode())
    assert words in fault_of(pack)
