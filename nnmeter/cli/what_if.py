"""`nnmeter what-if`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import check_directory, choose_packs, layout_for, write_report
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.transforms import Transform

_KEY = "nnmeter.transforms"


def _collected(make: Callable[[str], Transform]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Add the transform of each value to those of the command, in the order in which options were given."""

    def callback(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> None:
        found = context.meta.setdefault(_KEY, [])
        for value in values:
            try:
                found.append(make(str(value)))
            except ValueError as fault:
                raise click.BadParameter(str(fault), context, parameter) from None

    return callback


def _quantize(text: str) -> Transform:
    from nnmeter.transforms import Quantize

    return Quantize(text)


def _batch(text: str) -> Transform:
    from nnmeter.transforms import Batch

    return Batch(_whole(text))


def _resolution(text: str) -> Transform:
    from nnmeter.transforms import Resolution

    height, _, width = text.partition("x")
    return Resolution(_whole(height), _whole(width or height))


def _sequence(text: str) -> Transform:
    from nnmeter.transforms import SequenceLength

    return SequenceLength(_whole(text))


def _channels(text: str) -> Transform:
    from nnmeter.transforms import Channels

    layer, width = _pair(text, "LAYER=N")
    return Channels(layer, _whole(width))


def _activation(text: str) -> Transform:
    from nnmeter.transforms import ReplaceActivation

    return ReplaceActivation(*_pair(text, "OLD=NEW"))


def _rewrite(text: str) -> Transform:
    from nnmeter.transforms import Rewrite

    return Rewrite(text)


def _drop(text: str) -> Transform:
    from nnmeter.transforms import DropBlock

    return DropBlock(text)


def _repeat(text: str) -> Transform:
    from nnmeter.transforms import RepeatBlock

    block, times = _pair(text, "BLOCK=N")
    return RepeatBlock(block, _whole(times))


def _pair(text: str, form: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    if not (name and sign and value):
        raise ValueError(f"{text[:80]!r} is not {form}")
    return name, value


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 13 and int(text) > 0):
        raise ValueError(f"{text[:80]!r} is no whole number from 1 on")
    return int(text)


def _transform(name: str, metavar: str, make: Callable[[str], Transform], text: str) -> Callable[[Any], Any]:
    return click.option(
        name, multiple=True, metavar=metavar, callback=_collected(make), expose_value=False, help=f"{text} Repeatable."
    )


@click.command("what-if")
@click.argument("model")
@options.devices
@options.input_sizes()
@_transform("--quantize", "HOW", _quantize,
            "Another precision, as ONNX Runtime's tools write it: qdq, qdq-s8s8-channel, qoperator, dynamic, fp16, "
            "fp16-io, int4-b32-zp-a4, int8-b32. docs/what-if.md has all words.")  # fmt: skip
@_transform("--batch", "N", _batch, "Another batch.")
@_transform("--resolution", "N or HxW", _resolution, "Another size of picture.")
@_transform("--sequence", "N", _sequence, "Another length of sequence.")
@_transform("--channels", "LAYER=N", _channels,
            "N channels in a layer, with all that depends on them: fewer than it has, or more.")  # fmt: skip
@_transform("--activation", "OLD=NEW", _activation, "One activation in the place of another: silu=relu, all=relu.")
@_transform("--rewrite", "NAME", _rewrite,
            "The same in other operators: layer-normalization, pool-floor, softmax-last.")  # fmt: skip
@_transform("--drop", "BLOCK", _drop, "A block left out: a module, or FIRST..LAST operator.")
@_transform("--repeat", "BLOCK=N", _repeat, "A block N times in a row.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the changed model as ONNX, without weights.")  # fmt: skip
@options.output_format(*CORE.formats("whatif"))
@options.output_file
@click.pass_context
@timeout
def command(
    context: click.Context,
    model: str,
    devices: tuple[str, ...],
    sizes: InputSizes,
    save: Path | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Predict MODEL before and after it is changed, without its weights: what would it gain?

    Changes are made in the order in which the options are given, each to what the one before it made.
    """
    from nnmeter.advice.what_if import what_if
    from nnmeter.prediction.predict import LatencyPredictor

    transforms: list[Transform] = context.meta.get(_KEY, [])
    if not transforms:
        raise click.UsageError("nothing is to be changed; give for instance --quantize qdq or --batch 8")
    if save is not None:
        check_directory(save, "--save")
    chosen = choose_packs(devices)
    found = what_if(model, transforms, [LatencyPredictor(c.pack, c.machine) for c in chosen], sizes)
    if save is not None:
        _save(model, transforms, sizes, save)
    text = CORE.render("whatif", found, report_format, layout_for(output, len(found) > 1))
    write_report(text, output, chosen[0].notice)


def _save(model: str, transforms: Sequence[Transform], sizes: InputSizes, place: Path) -> None:
    from nnmeter.advice.what_if import single_sizes
    from nnmeter.files import write_output
    from nnmeter.formats.onnx_writer import write_onnx
    from nnmeter.transforms import apply

    write_output(place, write_onnx(apply(model, transforms, single_sizes(sizes))).SerializeToString())
