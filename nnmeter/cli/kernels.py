"""`nnmeter kernels`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_pack, layout_for, write_report
from nnmeter.lab_door import from_lab
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes


@click.command("kernels")
@click.argument("model")
@options.device
@options.input_sizes()
@options.output_format(*CORE.formats("kernels"))
@options.kernels_from
@click.option("--trace", "traced", is_flag=True, help="Say which fusion rules changed the graph where, in order.")
@click.option(
    "--rule",
    metavar="NAME",
    help="Trace, and say of this rule why it did not apply where it could begin: "
    "a name, a part of one, or a pattern with *.",
)
@options.output_file
@timeout
def command(
    model: str,
    device: str | None,
    sizes: InputSizes,
    report_format: str,
    kernels_from: str,
    traced: bool,
    rule: str | None,
    output: Path | None,
) -> None:
    """List the kernels that a device executes for MODEL, with the source nodes, shapes and cost of each.

    With --trace, say instead how they came about. JSON has both.
    """
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model
    from nnmeter.fusion.detect import detect_kernels
    from nnmeter.prediction.session import session_notes, session_of, with_session
    from nnmeter.report.kernels import kernels_to_dict

    traced = traced or rule is not None
    if traced and kernels_from == "runtime":
        raise click.UsageError("--trace shows what the fusion rules of the pack do, not what the runtime did")
    if traced and report_format not in CORE.formats("trace"):
        raise click.UsageError(f"--trace is written as {' or '.join(CORE.formats('trace'))}, not as {report_format}")
    chosen = choose_pack(device)
    pack = chosen.pack
    sizes = with_session(sizes, [pack.card.runtime])
    unbound = read_model(model)
    graph = bind_shapes(unbound, sizes)
    graph.warnings.extend(session_notes(session_of(unbound, graph, pack.card.runtime)))
    if kernels_from == "runtime":
        ask = from_lab("ask_runtime")
        kernels = ask(model, pack.card.runtime, pack.card.threads, sizes.dims, sizes.shapes, sizes.session)(graph)
    else:
        kernels = detect_kernels(graph, pack.rules)
    document = kernels_to_dict(model, pack.id, kernels, graph.warnings, chosen.machine)
    name = "kernels"
    if traced:
        from nnmeter.fusion.trace import trace_kernels
        from nnmeter.report.trace import trace_to_dict

        name, document["trace"] = "trace", trace_to_dict(trace_kernels(graph, pack.rules, rule))
    write_report(CORE.render(name, document, report_format, layout_for(output)), output, chosen.notice)
