"""`nnmeter measure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.ending import INTERRUPTED
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli import wire
from nnmeter.lab.report import LAB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.graph.input_sizes import InputSizes, Session
    from nnmeter.lab.measuring.sitting import SittingResult


@click.command("measure")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.runtime
@options.dims_and_shapes
@options.session
@options.assume
@click.option("--on", metavar="DEVICE",
              help="Measure on this device: ssh://USER@BOARD[:PORT], adb://SERIAL, or its name in devices.toml. "
              "With --taken: the id or path of its pack.")  # fmt: skip
@click.option("--taken", "taken_ms", type=options.FiniteRange(0, min_open=True), metavar="MILLISECONDS",
              help="Record this time of MODEL, which you took on the device of --on.")  # fmt: skip
@click.option("--out", "output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Parquet file to write.")  # fmt: skip
@click.option("--append", is_flag=True, help="Add to the measurements of the same device in FILE.")
@click.option(
    "--families", type=click.Path(path_type=Path), metavar="CSV", help="CSV file with the columns model and family."
)
@click.option("--passes", type=click.IntRange(1), default=6, show_default=True, help="Passes over all models.")
@click.option("--seconds", type=options.FiniteRange(0, min_open=True), default=0.4, show_default=True,
              help="Time for one model in one pass.")  # fmt: skip
@click.option("--keep-going", is_flag=True, help="Leave out models that cannot be read. Default: measure none.")
@click.option("--report", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a page, predicted beside measured, kernel by kernel, to FILE, too.")  # fmt: skip
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a timeline of the kernels, predicted beside measured, to FILE, too, as Perfetto and Chrome "
              "read it.")  # fmt: skip
@click.option("--device", metavar="ID_OR_PATH",
              help="With --report or --trace: the pack that predicts. Default: nearest to this machine.")  # fmt: skip
@options.output_format(*LAB.formats("measurements"))
def command(
    models: tuple[str, ...],
    runtime: str,
    threads: int,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    session_kind: Session | None,
    assume: dict[str, tuple[int, ...]],
    on: str | None,
    taken_ms: float | None,
    output: Path,
    append: bool,
    families: Path | None,
    passes: int,
    seconds: float,
    keep_going: bool,
    page: Path | None,
    trace: Path | None,
    device: str | None,
    report_format: str,
) -> int:
    """Time each MODEL, whole and kernel by kernel, here or by wire; a folder stands for the .onnx files in it.

    A model that the runtime refuses is named and the others are measured; the exit code is then 1. After Ctrl-C or
    SIGTERM what was measured until then is written. Free dimensions are bound before a model is loaded, unless
    --session free is given.
    """
    from nnmeter.cli.failures import CheckFailed
    from nnmeter.devices.identity import describe_setting
    from nnmeter.errors import NnmeterError
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.lab.measuring.sitting import measure_sitting
    from nnmeter.lab.measuring.store import import_pyarrow
    from nnmeter.lab.report.measurements import Sitting
    from nnmeter.lab.wire.stands import open_stand

    import_pyarrow()
    check_directory(output, "--out")
    if output.exists() and not append:
        raise click.UsageError(f"--out {output}: exists already; add to it with --append, or give another file")
    paths, _ = options.expand_models(models)
    beside = {option: place for option, place in (("--report", page), ("--trace", trace)) if place is not None}
    if device is not None and not beside:
        raise click.UsageError("--device is of --report and --trace; give one of them, too")
    for option, place in beside.items():
        check_directory(place, option)
    if taken_ms is not None:
        if on is None:
            raise click.UsageError("--taken needs --on, the pack of the device on which the time was taken")
        for option in beside:
            raise click.UsageError(f"{option} is of what is measured; leave it out with --taken")
        return _take_down(paths, on, taken_ms, dims, shapes, assume, _families(families), output)
    if on is not None and device is None:
        for option in beside:
            raise click.UsageError(f"{option} of a device by wire needs --device, the pack that predicts it")
    if assume:
        raise click.UsageError("--assume is for --taken; what is measured here has the shapes of its data")
    refused: list[tuple[str, str]] = []

    def refuse(path: str, reason: NnmeterError) -> None:
        refused.append((path, str(reason)))

    board = None if on is None else wire.chosen_board(on)
    with StatusLine() as status, open_stand(board, runtime, threads, session_kind, output.exists()) as stand:
        done = measure_sitting(
            paths,
            stand,
            InputSizes(dims, shapes),
            output,
            append,
            families=_families(families),
            passes=passes,
            seconds_per_pass=seconds,
            progress=lambda text, at, total: status.show(f"[{at}/{total}] {text}"),
            refused=refuse,
            keep_going=keep_going,
        )
    if done.measurements:
        report = Sitting(
            str(output),
            describe_setting(done.fingerprint, "an unknown machine"),
            done.measurements[0].reference_ms,
            done.own_reference_ms,
            done.measurements,
            refused,
            done.interrupted,
        )
        if beside:
            _write_beside(page, trace, device, done, InputSizes(dims, shapes, session=session_kind or "bound"))
        write_report(LAB.render("measurements", report, report_format, layout_for(None)), None)
    if done.interrupted:
        return INTERRUPTED
    if refused:
        path, reason = refused[0]
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise CheckFailed(f"{path}{others} could not be measured, the others are in {output}: {reason}")
    return 0


def _write_beside(
    page: Path | None, trace: Path | None, device: str | None, done: SittingResult, sizes: InputSizes
) -> None:
    """A page and a trace of what was measured, each model beside its prediction."""
    from nnmeter.cli.output import choose_pack
    from nnmeter.files import write_output
    from nnmeter.lab.evaluation.beside import predicted_beside
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.report.page.content import Page
    from nnmeter.report.registry import CORE
    from nnmeter.report.timeline import Timeline

    chosen = choose_pack(device)
    subjects = predicted_beside(done, LatencyPredictor(chosen.pack, chosen.machine), sizes)
    if page is not None:
        write_output(page, CORE.render("page", Page(subjects), "html").encode("utf-8", "replace"))
    if trace is not None:
        timelines = [Timeline(subject.prediction, measured=subject.measured) for subject in subjects]
        write_output(trace, CORE.render("timeline", timelines, "json").encode("utf-8", "replace"))


def _take_down(
    paths: Sequence[str],
    device: str,
    taken_ms: float,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    assume: dict[str, tuple[int, ...]],
    families: dict[str, str],
    output: Path,
) -> int:
    """Records a time that the user took on another device."""
    from nnmeter.devices import load_pack
    from nnmeter.devices.identity import match_this_machine
    from nnmeter.lab.measuring.append import append_measurements
    from nnmeter.lab.measuring.taken import take_down

    if len(paths) != 1:
        raise click.UsageError("--taken is the time of one model; give the others with --append, one by one")
    pack = load_pack(device)
    family = families.get(Path(paths[0]).name, "")
    measurement, fingerprint = take_down(paths[0], pack, taken_ms, dims, shapes, assume, family)
    append_measurements(output, [measurement], fingerprint)
    verdict = match_this_machine(pack.card, named=True).verdict.words
    click.echo(
        f"{output}: {measurement.network} in {taken_ms:g} ms on {pack.id}, {verdict}; "
        f"{len(measurement.kernels)} kernels"
    )
    return 0


def _families(path: Path | None) -> dict[str, str]:
    """Families by file name; a name without `.onnx` stands for the file with it, as `nnmeter evaluate` takes it."""
    if path is None:
        return {}
    from nnmeter.lab.evaluation.evaluate import read_families

    families = read_families(path)
    return {f"{name}.onnx": family for name, family in families.items()} | families
