import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import onnx
import pytest

from tests.comparison.conftest import make_chain
from tests.conftest import REPOSITORY, make_small_model

SCHEMA = json.loads((REPOSITORY / "docs" / "schema" / "comparison.schema.json").read_text(encoding="utf-8"))
PREDICTION = json.loads((REPOSITORY / "docs" / "schema" / "prediction.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    made = {
        "small": make_chain((16, 16)),
        "wide": make_chain((64, 64)),
        "deep": make_chain((16, 16, 16, 16)),
        "free": make_small_model("batch"),
    }
    paths = {name: tmp_path / f"{name}.onnx" for name in made}
    for name, model in made.items():
        onnx.save(model, paths[name])
    return paths


def test_two_models_as_a_table(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    outcome = cli("compare", models["small"], models["wide"], "--device", small_pack, "--by", "module")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith("small.onnx -> wide.onnx on test-onnxruntime-1t\nwide.onnx is slower, with a ")
    assert "\nresized " in outcome.out
    assert "\nlayer1 " in outcome.out
    assert "weights 16x16x3x3 -> 64x64x3x3" in outcome.out


def test_markdown_for_a_pull_request(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    outcome = cli("compare", models["wide"], models["small"], "--device", small_pack, "--format", "md", "--top", 1)
    assert outcome.out.startswith("## wide.onnx -> small.onnx on test-onnxruntime-1t\n\n**small.onnx is faster, with")
    assert outcome.out.count("| `/layer") == 1


def test_json_is_what_the_schema_says(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    one = json.loads(cli("compare", models["small"], models["wide"], "--device", small_pack, "--format", "json").out)
    jsonschema.validate(one, SCHEMA)
    assert one["verdict"] == "slower"
    assert one["difference_ms"] == pytest.approx(one["after"]["latency_ms"] - one["before"]["latency_ms"])
    summed = sum(change["difference_ms"] for change in one["changes"]) + one["overhead_difference_ms"]
    assert summed == pytest.approx(one["difference_ms"])
    names = ("small", "wide", "deep")
    several = cli("compare", *(models[n] for n in names), "--device", small_pack, "--format", "json").out
    jsonschema.validate(json.loads(several), SCHEMA)
    assert [entry["after"]["model"] for entry in json.loads(several)] == [str(models["wide"]), str(models["deep"])]


def test_several_models_have_a_row_each(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    for report_format in ("table", "md"):
        names = ("small", "wide", "deep")
        arguments = ("--device", small_pack, "--format", report_format)
        out = cli("compare", *(models[name] for name in names), *arguments).out
        assert out.lower().startswith("compared with small.onnx on test-onnxruntime-1t")
        assert "wide.onnx is slower" in out
        assert "deep.onnx is slower" in out
        assert out.count("what became of kernels") == (2 if report_format == "md" else 0)
        detailed = cli("compare", *(models[name] for name in names), *arguments, "--by", "module", "--top", 1).out
        assert detailed.count("what became of kernels") == 2
        assert detailed.count("small.onnx -> ") == 2
        assert "layer3" in detailed


def test_rows_on_several_devices_name_them(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    devices = f"{small_pack},epyc-genoa-onnxruntime1.32-1t"
    for report_format in ("table", "md"):
        out = cli("compare", models["small"], models["wide"], "--device", devices, "--format", report_format).out
        rows = [line for line in out.splitlines() if "wide.onnx" in line and "slower" in line and "+" in line]
        assert ["test-onnxruntime-1t" in row for row in rows[:2]] == [True, False]
        assert ["epyc-genoa" in row for row in rows[:2]] == [False, True]


def test_one_model_at_two_sizes_and_on_two_devices(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    out = cli("compare", models["free"], "--dim", "batch=1,8", "--device", small_pack).out
    assert out.startswith(
        "free.onnx batch=1 -> free.onnx batch=8 on test-onnxruntime-1t\nfree.onnx batch=8 is slower, with a probability"
    )
    pack = "epyc-genoa-onnxruntime1.32-1t"
    out = cli("compare", models["small"], "--device", small_pack, "--device", pack).out
    assert out.startswith(f"small.onnx on test-onnxruntime-1t -> small.onnx on {pack}\n")
    assert "priced otherwise" in out


def test_sizes_that_a_file_fixes_are_compared(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    arguments = ("compare", models["small"], "--device", small_pack, "--format", "json")
    batches = json.loads(cli(*arguments, "--dim", "batch=1,4").out)
    assert (batches["before"]["dims"], batches["after"]["dims"]) == ({"batch": 1}, {"batch": 4})
    pictures = json.loads(cli(*arguments, "--dim", "resolution=8,16", "--dim", "batch=2").out)
    assert pictures["after"]["dims"] == {"resolution": 16, "batch": 2}
    swept = json.loads(
        cli("sweep", models["small"], "--over", "batch=4", "--device", small_pack, "--format", "json").out
    )
    assert batches["after"]["latency_ms"] == swept["points"][0]["latency_ms"]
    refused = cli(*arguments, "--dim", "sequence=8,9")
    assert refused.code == 2
    assert "no input is a sequence" in refused.error_line


def test_a_saved_prediction_is_compared_with(
    cli: Callable, models: dict[str, Path], small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the device, and gives what the model itself would give."""
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))
    saved = Path("saved.json")
    cli("predict", models["small"], "--device", small_pack, "--format", "json", "--output", saved)
    jsonschema.validate(json.loads(saved.read_text()), PREDICTION)
    direct = cli("compare", models["small"], models["wide"], "--device", small_pack, "--format", "json")
    outcome = cli("compare", saved, models["wide"], "--format", "json")
    assert outcome.err == ""
    found, expected = json.loads(outcome.out), json.loads(direct.out)
    assert found["changes"] == expected["changes"]
    assert found["difference_interval_ms"] == pytest.approx(expected["difference_interval_ms"])
    assert cli("compare", saved, saved).out.splitlines()[1].startswith("both execute the same kernels")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("errors"), "'errors' is missing in this saved prediction; write it again"),
        (lambda d: d.update(latency_ms="much"), "'latency_ms' is not a number from 0 on"),
        (lambda d: d.update(schema_version=9), "schema 9 is of another version; write it again"),
        (lambda d: d["kernels"][0].update(signature="[]"), "signature or kind of a kernel is damaged"),
        (
            lambda d: d["kernels"][0].update(signature='["Conv","Conv","",[],[],[],{"a":[[1]]}]'),
            "of a kernel is damaged",
        ),
        (lambda d: d["kernels"][0].update(flops=10**400), "'flops' is not a number from 0 on"),
        (lambda d: d["kernels"][0].pop("nodes"), "'nodes' is missing"),
        (lambda d: d.update(interval_ms=[1]), "'interval_ms' is not a list"),
        (lambda d: d.update(device="no-such-device"), "unknown device"),
    ],
)
def test_a_damaged_saved_prediction_is_one_line(
    cli: Callable, models: dict[str, Path], small_pack: Path, change: Callable, message: str
) -> None:
    saved = Path("saved.json")
    document = json.loads(cli("predict", models["small"], "--device", small_pack, "--format", "json").out)
    change(document)
    saved.write_text(json.dumps(document))
    outcome = cli("compare", saved, models["wide"])
    assert outcome.code == 2
    assert message in outcome.error_line


def test_a_saved_prediction_names_the_sizes_too(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    arguments = ("--device", small_pack, "--format", "json")
    cli("predict", models["free"], "--dim", "batch=4", *arguments, "--output", "saved.json")
    assert json.loads(cli("compare", "saved.json", models["free"], *arguments).out)["verdict"] == "equal"


def test_nothing_that_runs_is_nothing_to_compare(cli: Callable, models: dict[str, Path], small_pack: Path) -> None:
    constant = onnx.helper.make_node("Constant", [], ["y"], value_float=1.0)
    value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([constant], "g", [], [value])), "constant.onnx")
    outcome = cli("compare", models["small"], "constant.onnx", "--device", small_pack)
    assert outcome.code == 2
    assert "nothing of it is left to run" in outcome.error_line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("small",), "one model on one device at one size is nothing to compare"),
        (("small", "wide", "--depth", "2"), "--depth is of --by module"),
        (("small", "nothing.onnx"), "nothing.onnx"),
        (("small", "wide", "--top", "0"), "--top"),
    ],
)
def test_bad_input_is_one_line(
    cli: Callable, models: dict[str, Path], small_pack: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [models.get(argument, argument) for argument in arguments]
    outcome = cli("compare", *given, "--device", small_pack)
    assert outcome.code == 2
    assert message in outcome.error_line
