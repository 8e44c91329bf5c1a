"""How many models can be read and priced: every tensor's shape static, every kernel's price above zero.

    python benchmarks/zoo_coverage.py [FOLDER] [--device ID_OR_PATH]

Prints one line for each model that fails, with the reason, and a summary; exits with 1 if any failed.
"""

from __future__ import annotations

from pathlib import Path

import click

import nnmeter


def check_model(path: Path, predictor: nnmeter.LatencyPredictor) -> tuple[int, int, float]:
    """Operators, kernels and fallback share of one model.

    Raises:
        NnmeterError: it cannot be read, or a kernel costs nothing, or a tensor has no static type.
    """
    graph = nnmeter.load_model(path)
    for node in graph.nodes:
        untyped = [name for name in (*node.inputs, *node.outputs) if name and name not in graph.types]
        if untyped:
            raise nnmeter.ModelError(f"{path.name}: tensor '{untyped[0]}' of node '{node.name}' has no type")
    prediction = predictor.predict(graph)
    free = [kernel.name for kernel in prediction.kernels if not kernel.latency_ms > 0]
    if free:
        raise nnmeter.ModelError(f"{path.name}: kernel '{free[0]}' is priced at zero")
    return len(graph.nodes), len(prediction.kernels), prediction.coverage["fallback"]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="data/zoo")
@click.option("--device", help="Device pack, by id or directory. Default: the one nearest to this machine.")
def main(folder: Path, device: str | None) -> None:
    """Read and price every model of FOLDER."""
    predictor = nnmeter.load_predictor(device)
    paths = sorted(folder.glob("*.onnx"))
    operators = kernels = good = 0
    fallback = 0.0
    for path in paths:
        try:
            counts = check_model(path, predictor)
        except nnmeter.NnmeterError as error:
            click.echo(f"FAILED {error}")
            continue
        good += 1
        operators += counts[0]
        kernels += counts[1]
        fallback = max(fallback, counts[2])
    click.echo(
        f"{good} of {len(paths)} models read with every shape static and priced with no kernel at zero: "
        f"{operators} operators, {kernels} kernels; largest share priced by the fallback {100 * fallback:.1f} %"
    )
    if good < len(paths):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
