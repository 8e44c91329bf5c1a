import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from nnmeter.graph.notes import Note
from nnmeter.prediction.prediction import Prediction
from nnmeter.report import CORE, Layout, render

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "prediction.schema.json").read_text())


@pytest.mark.parametrize("report_format", CORE.formats("predictions"))
@pytest.mark.parametrize("count", [1, 3])
def test_every_format_ends_with_one_newline_and_names_model_and_latency(
    prediction: Prediction, report_format: str, count: int
) -> None:
    text = render([prediction] * count, report_format)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "1.onnx" in text
    assert "110" in text


def test_json_of_one_model_is_an_object_of_the_schema(prediction: Prediction) -> None:
    document = json.loads(render([prediction], "json"))
    jsonschema.validate(document, SCHEMA)
    assert document["schema_version"] == 1
    assert document["kernels"][2] == {
        "name": "/layer3/Conv",
        "type": "Einsum",
        "operator": "Einsum",
        "module": "layer3",
        "latency_ms": 3.0,
        "source": "fallback",
        "nodes": ["/layer3/Conv", "/layer3/Relu"],
        "flops": 3000,
        "bytes": 300,
        "parameters": 0,
        "outside": [{"what": "operator", "operator": "Einsum", "family": "matmul", "element_type": "float32"}],
    }
    assert document["outside"] == {
        "kernels": 1,
        "share": pytest.approx(3 / 105),
        "advice": ["nnmeter profile --like 'models/net|1.onnx'"],
    }


def test_json_of_several_models_is_a_list_of_the_schema(prediction: Prediction) -> None:
    documents = json.loads(render([prediction] * 2, "json"))
    jsonschema.validate(documents, SCHEMA)
    assert len(documents) == 2


def test_a_folder_with_one_model_is_still_a_list(prediction: Prediction) -> None:
    assert isinstance(json.loads(render([prediction], "json", Layout(several=True))), list)


def test_the_schema_refuses_what_it_should(prediction: Prediction) -> None:
    document = prediction.to_dict()
    for change in ({"schema_version": 2}, {"latency_ms": 0}, {"interval_ms": [1]}, {"coverage": {"trained": 1}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**document, **change}, SCHEMA)


def test_csv_has_a_row_a_model(prediction: Prediction) -> None:
    rows = list(csv.DictReader(io.StringIO(render([prediction] * 2, "csv"))))
    assert len(rows) == 2
    assert float(rows[0]["latency_ms"]) == 110.0
    assert float(rows[0]["interval_high_ms"]) == 121.0
    assert rows[0]["kernels"] == "14"


def test_the_table_shows_total_interval_coverage_and_the_ten_most_expensive(prediction: Prediction) -> None:
    text = render([prediction], "table")
    assert "110 ms, 90 % interval 100 - 121 ms" in text
    assert "97.1 % of the time by trained predictors, 2.9 % by the fallback" in text
    shown = [line.split()[0] for line in text.splitlines() if "/layer" in line]
    assert shown == [f"/layer{i}/Conv" for i in range(14, 4, -1)]
    assert "12.7 %" in text, "share of the most expensive kernel"
    assert "4 more" in text
    assert "outside the trained range: 1 kernel, 2.9 % of the time; --explain says what is missing" in text
    assert "  Einsum x1 (3.00 ms): no such operator" in text
    assert "to train it:\n  nnmeter profile --like" in text
    assert "[bold]beware" in text, "markup in a name or message is text"


def test_shares_and_remainder_of_the_table_add_up(prediction: Prediction) -> None:
    lines = [line for line in render([prediction], "table").splitlines() if " % " in line + " " and "  " in line]
    shares = [
        float(line.split("%")[0].split()[-1]) for line in lines if "interval" not in line and "of the" not in line
    ]
    assert sum(shares) == pytest.approx(100, abs=0.6)


def test_the_table_of_several_has_a_row_a_model(prediction: Prediction) -> None:
    lines = render([prediction] * 3, "table").splitlines()
    assert sum("net|1.onnx" in line and "100 - 121" in line for line in lines) == 3


def test_only_a_terminal_gets_colour(prediction: Prediction) -> None:
    assert "\x1b" not in render([prediction], "table", Layout())
    assert "\x1b[" in render([prediction], "table", Layout(colour=True))


def test_long_names_do_not_break_the_layout(prediction: Prediction) -> None:
    text = render([prediction], "table", Layout(width=60))
    assert max(len(line) for line in text.splitlines() if "/layer" in line) <= 60


def test_markdown_escapes_bars(prediction: Prediction) -> None:
    assert "net\\|1.onnx" in render([prediction], "md")
    assert "| --- | ---: |" in render([prediction] * 2, "md")


def test_a_warning_of_many_models_is_said_once(prediction: Prediction) -> None:
    text = render([prediction] * 3, "table")
    assert text.count("beware") == 1
    assert "and 2 more" in text


def test_the_table_says_once_what_is_outside(prediction: Prediction) -> None:
    warned = replace(prediction, warnings=(Note("priced by the fallback, not measured: Einsum", "fallback"),))
    assert render([warned], "table").count("Einsum") == 1
    assert "not measured" in render([warned], "md")


def test_of_many_shapes_that_depend_on_data_the_table_tells_the_first(prediction: Prediction) -> None:
    bounds = tuple(Note(f"tensor 't{i}' (NonZero): counted as all", "bounded", f"t{i}") for i in range(100))
    text = render([replace(prediction, warnings=(*bounds, Note("beware", "unused")))], "table")
    assert text.count("counted as all") == 10
    assert "90 more tensors whose shapes depend on data" in text
    assert "beware" in text
    assert json.loads(render([replace(prediction, warnings=bounds)], "json"))["warnings"] == list(bounds)


def test_tables_are_sorted_and_cut_as_asked(prediction: Prediction) -> None:
    for report_format in ("table", "md"):
        text = CORE.render("predictions", [prediction], report_format, Layout(sort="order", top=2))
        assert [i for i in range(1, 15) if f"/layer{i}/Conv" in text] == [1, 2]
        assert "/layer14/Conv" in CORE.render("predictions", [prediction], report_format, Layout(top=1))
    several = [replace(prediction, model=f"m{ms}", latency_ms=float(ms)) for ms in (5, 7, 6)]
    text = CORE.render("predictions", several, "table", Layout(several=True, sort="time", top=2))
    assert text.index("m7") < text.index("m6")
    assert "m5" not in text


@pytest.mark.parametrize(
    ("latency_ms", "shown"), [(0.05, "50.0 µs"), (0.123, "0.123 ms"), (9999.0, "9999 ms"), (12_000.0, "12.0 s")]
)
def test_the_unit_suits_the_time(prediction: Prediction, latency_ms: float, shown: str) -> None:
    one = replace(prediction, latency_ms=latency_ms)
    for report_format in ("table", "md"):
        text = CORE.render("predictions", [one], report_format)
        assert shown in text
        assert f" {shown.split()[1]} " in text
