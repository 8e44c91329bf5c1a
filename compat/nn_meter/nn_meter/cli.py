"""The command `nn-meter`, with the verbs of nn-Meter 2.0.

`predict` (or `lat_pred`) and `get_ir` do what they did. The verbs of its builder are nnmeter's own now, and say so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from nn_meter.models import model_file_to_graph
from nn_meter.predictor import list_latency_predictors, load_latency_predictor
from nnmeter import NnmeterError

_SUFFIXES = {"onnx": ".onnx", "nnmeter-ir": ".json", "pb": ".pb"}
_MOVED = {
    "create": "nnmeter profile --budget 20m --out campaign",
    "connect": "nnmeter setup",
    "build": "nnmeter train campaign --out my-cpu --id my-cpu",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code: 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _MOVED:
        sys.exit(_moved(words[0], _MOVED[words[0]]))
    given = _parser().parse_args(words)
    try:
        code = given.run(given)
    except (NnmeterError, OSError) as fault:
        print(f"nn-meter: {fault}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("nn-meter", description="Predict latencies with nn-Meter's commands, by nnmeter.")
    parser.add_argument("-v", "--verbose", action="store_true", help="accepted; nothing more is printed")
    parser.add_argument("--list-predictors", action="store_true", help="list the predictors")
    parser.set_defaults(run=lambda given: _list() if given.list_predictors else _help(parser))
    verbs = parser.add_subparsers(metavar="VERB")

    predict = verbs.add_parser("predict", aliases=["lat_pred"], help="predict how long models take")
    predict.add_argument("--predictor", required=True, help="name of a predictor: `nn-meter --list-predictors`")
    predict.add_argument("--predictor-version", type=float, help="its version; the latest if not given")
    models = predict.add_mutually_exclusive_group(required=True)
    models.add_argument("--tensorflow", metavar="PATH", help="frozen TensorFlow graph (.pb), or a folder of them")
    models.add_argument("--onnx", metavar="PATH", help="ONNX model, or a folder of them")
    models.add_argument("--nn-meter-ir", metavar="PATH", help="graph of nn-Meter (.json), or a folder of them")
    models.add_argument("--torchvision", nargs="+", metavar="NAME", help="models of torchvision, by name")
    predict.set_defaults(run=_predict)

    get_ir = verbs.add_parser("get_ir", help="write the graph of a model in nn-Meter's form")
    source = get_ir.add_mutually_exclusive_group(required=True)
    source.add_argument("--tensorflow", metavar="FILE", help="frozen TensorFlow graph (.pb)")
    source.add_argument("--onnx", metavar="FILE", help="ONNX model")
    get_ir.add_argument("-o", "--output", metavar="FILE", help="where to write it; beside the model if not given")
    get_ir.set_defaults(run=_get_ir)

    for verb, instead in _MOVED.items():
        verbs.add_parser(verb, help=f"moved: {instead}")
    return parser


def _list() -> int:
    for predictor in list_latency_predictors():
        print(f"[Predictor] {predictor['name']}: version={predictor['version']}")
    return 0


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _predict(given: argparse.Namespace) -> int:
    predictor = load_latency_predictor(given.predictor, given.predictor_version)
    if given.torchvision:
        models, kind = given.torchvision, "torch"
    else:
        path = given.onnx or given.nn_meter_ir or given.tensorflow
        kind = "onnx" if given.onnx else "nnmeter-ir" if given.nn_meter_ir else "pb"
        models = _files(path, _SUFFIXES[kind])
    for model in models:
        print(
            f"[RESULT] predict latency for {os.path.basename(model)}: {predictor.predict(model, kind)} ms", flush=True
        )
    return 0


def _files(path: str, suffix: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found = sorted(name for name in os.listdir(path) if name.endswith(suffix))
    if not found:
        raise NnmeterError(f"{path}: a folder without {suffix} files; give model files or another folder")
    return [os.path.join(path, name) for name in found]


def _get_ir(given: argparse.Namespace) -> int:
    path, kind = (given.onnx, "onnx") if given.onnx else (given.tensorflow, "pb")
    graph = model_file_to_graph(path, kind)
    place = given.output or f"{os.path.splitext(path)[0]}_{kind}_ir.json"
    if not place.endswith(".json"):
        place += ".json"
    with open(place, "w", encoding="utf-8") as stream:
        json.dump(graph, stream, indent=4, sort_keys=True)
        stream.write("\n")
    print(f"The nn-meter ir graph has been saved. Saved path: {os.path.abspath(place)}")
    return 0


def _moved(verb: str, instead: str) -> int:
    print(f"nn-meter: {verb} was of nn-Meter's builder; with nnmeter it is: {instead}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
