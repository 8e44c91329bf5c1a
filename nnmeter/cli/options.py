"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import click

from nnmeter.errors import ModelError, brief

F = TypeVar("F", bound=Callable[..., Any])

_LARGEST_DIMENSION = 2**40
_MOST_DIGITS = 20  # Python refuses to read a number of some thousands
_MOST_THREADS = 4096


class FiniteRange(click.FloatRange):
    """Numbers of a range; click would take NaN for a member of any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r:.40} is no number.", param, ctx)
        return number


def dims_and_shapes(function: F) -> F:
    """Add `--dim` (as `dims`) and `--shape` (as `shapes`), each a dict."""
    dim = click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME=N",
        callback=_parse_dims,
        help="Value of a dimension that the model leaves free, for instance batch=1. Repeatable.",
    )
    return dim(_shapes(function))


def input_sizes(several: bool = False) -> Callable[[F], F]:
    """Add `--dim`, `--shape`, `--assume`, `--value` and `--trips`, all as one `sizes`.

    Args:
        several: take several sizes for a dimension (`--dim batch=1,2,4`).
    """

    def add(function: F) -> F:
        @wraps(function)
        def command(*arguments: Any, **options: Any) -> Any:
            from nnmeter.graph.input_sizes import InputSizes

            given = {name: options.pop(name) for name in ("dims", "shapes", "assume", "values", "trips")}
            zipped = options.pop("zipped", False)
            kind = options.pop("session_kind")
            return function(*arguments, sizes=InputSizes(**given, zipped=zipped, session=kind), **options)

        dim = _several_dims if several else dims_and_shapes
        return dim(session(assume(values_and_trips(command))))  # type: ignore[return-value]

    return add


def _several_dims(function: F) -> F:
    """Add `--dim` (as `dims`, a size or a tuple of sizes by name), `--zip` and `--shape` (as `shapes`)."""
    dim = click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME=N,...",
        callback=_parse_sizes,
        help="Value of a dimension that the model leaves free, or several: batch=1,2,4. Repeatable; all combinations.",
    )
    zipped = click.option(
        "--zip",
        "zipped",
        is_flag=True,
        help="Of several dimensions with several values take the first of each together, then the second, and so on.",
    )
    return dim(zipped(_shapes(function)))


def _shapes(function: F) -> F:
    return click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="INPUT=AxBxC",
        callback=_parse_shapes,
        help="Shape of an input, for instance input=1x3x224x224. Repeatable.",
    )(function)


def session(function: F) -> F:
    """Add `--session` (as `session_kind`; None where not given)."""
    return click.option(
        "--session",
        "session_kind",
        type=click.Choice(["free", "bound"]),
        help="Whether ONNX Runtime learns the sizes of free dimensions from each input (free), as with "
        "InferenceSession(model), or knows them when it loads the model (bound).",
    )(function)


def assume(function: F) -> F:
    """Add `--assume`, a dict of shapes by tensor."""
    return click.option(
        "--assume",
        multiple=True,
        metavar="TENSOR=AxBxC",
        callback=_parse_shapes,
        help="Shape of an inner tensor that depends on data, in place of its bound. Repeatable.",
    )(function)


def values_and_trips(function: F) -> F:
    """Add `--value` (as `values`, lists of numbers by input) and `--trips` (as `trips`, numbers by node)."""
    value = click.option(
        "--value",
        "values",
        multiple=True,
        metavar="INPUT=V,...",
        callback=_parse_values,
        help="Value of an input that shapes depend on, for instance size=640,480. Repeatable.",
    )
    trips = click.option(
        "--trips",
        multiple=True,
        metavar="NODE=N",
        callback=_parse_dims,
        help="Trip count of a Loop that only the run decides, by the name of its node. Repeatable.",
    )
    return value(trips(function))


def _complete_devices(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids that a shell offers behind `--device`; it offers the last of several with commas between."""
    from nnmeter.devices import list_devices

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{device.id}" for device in list_devices(public=True) if device.id.startswith(last)]


def device(function: F) -> F:
    """Add `--device` (None where not given)."""
    return click.option(
        "--device",
        metavar="ID_OR_PATH",
        shell_complete=_complete_devices,
        help="Device pack, by id or directory. Default: the one nearest to this machine.",
    )(function)


def devices(function: F) -> F:
    """Add `--device` for several devices (as `devices`, ids, patterns and paths; empty where not given)."""
    return click.option(
        "--device",
        "devices",
        multiple=True,
        metavar="ID_OR_PATH,...",
        shell_complete=_complete_devices,
        callback=_parse_devices,
        help="Device pack, by id or directory; or several, 'adreno*', 'all'. Repeatable. Default: the nearest to this "
        "machine.",
    )(function)


def runtime(function: F) -> F:
    """Add `--runtime` and `--threads`."""
    threads = click.option(
        "--threads",
        type=click.IntRange(1, _MOST_THREADS),
        default=1,
        show_default=True,
        help="Threads that execute one model.",
    )
    name = click.option(
        "--runtime", default="onnxruntime", show_default=True, metavar="NAME", help="Runtime that executes the models."
    )
    return name(threads(function))


def output_format(*formats: str) -> Callable[[F], F]:
    """Add `--format`; the first of `formats` is the default."""
    return click.option(
        "--format",
        "report_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Format of the report.",
    )


def output_file(function: F) -> F:
    """Add `--output` (None for stdout)."""
    return click.option(
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the report to FILE instead of stdout: whole, or not at all.",
    )(function)


def sort(orders: Sequence[str]) -> Callable[[F], F]:
    """Add `--sort` (None where not given)."""
    return click.option("--sort", type=click.Choice(tuple(orders)),
                        help="What rows are sorted by. Default: kernels by time, models as given.")  # fmt: skip


def top(text: str) -> Callable[[F], F]:
    """Add `--top` (None where not given); `text` says what it shows."""
    return click.option("--top", type=click.IntRange(1), metavar="N", help=f"{text} Default: 10.")


def kernels_from(function: F) -> F:
    """Add `--kernels-from`."""
    return click.option(
        "--kernels-from",
        type=click.Choice(["rules", "runtime"]),
        default="rules",
        show_default=True,
        help="Where kernels come from: the device's fusion rules, or the runtime on this machine (exact, slower).",
    )(function)


def expand_models(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The model files that the arguments name, and whether they are to be reported as several.

    A folder stands for the `.onnx` files in it, by name; a folder is several models even when it holds one.
    """
    models: list[str] = []
    several = len(arguments) > 1
    for argument in arguments:
        if not os.path.isdir(argument):
            models.append(argument)
            continue
        several = True
        names = sorted(name for name in os.listdir(argument) if name.endswith(".onnx"))
        if not names:
            raise ModelError(f"{argument}: a folder without .onnx files; give model files or another folder")
        models += [os.path.join(argument, name) for name in names]
    return models, several


def _parse_dims(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for value in values:
        name, _, size = value.rpartition("=")
        if not name or not (size == "0" or _is_size(size)):
            raise click.BadParameter(
                f"{brief(repr(value), 80)} is not NAME=N with a whole number N", context, parameter
            )
        if dims.setdefault(name, int(size)) != int(size):
            raise click.BadParameter(f"{name!r} is given twice with different values", context, parameter)
    return dims


def _parse_sizes(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, int | tuple[int, ...]]:
    dims: dict[str, int | tuple[int, ...]] = {}
    for value in values:
        name, _, text = value.rpartition("=")
        sizes = text.split(",")
        if not name or not all(size == "0" or _is_size(size) for size in sizes):
            raise click.BadParameter(
                f"{brief(repr(value), 80)} is not NAME=N, or NAME=N,N,..., with whole numbers N from 0 on",
                context,
                parameter,
            )
        several = tuple(map(int, sizes))
        found = several if len(several) > 1 else several[0]
        if dims.setdefault(name, found) != found:
            raise click.BadParameter(f"{name!r} is given twice; give its values in one list", context, parameter)
    return dims


def _parse_values(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, list[float] | list[int]]:
    found: dict[str, list[float] | list[int]] = {}
    for value in values:
        name, _, text = value.rpartition("=")
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if not name or not numbers or not all(map(isfinite, numbers)) or name in found:
            raise click.BadParameter(
                f"{brief(repr(value), 80)} is not INPUT=V, or INPUT=V,V,..., with numbers V, once for each input",
                context,
                parameter,
            )
        found[name] = [int(n) for n in numbers] if all(n.is_integer() for n in numbers) else numbers
    return found


def _parse_devices(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Values as they are where they are paths, else split at commas."""
    parts = [[value] if os.path.exists(value) else value.split(",") for value in values]
    found = [part.strip() for value in parts for part in value]
    if not all(found):
        raise click.BadParameter("a device has no name; give ids with commas between", context, parameter)
    return tuple(dict.fromkeys(found))


def _parse_shapes(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, _, text = value.rpartition("=")
        sizes = text.replace(",", "x").split("x")
        if not name or not all(map(_is_size, sizes)):
            raise click.BadParameter(
                f"{brief(repr(value), 80)} is not {parameter.metavar} with positive integers", context, parameter
            )
        shape = tuple(map(int, sizes))
        if shapes.setdefault(name, shape) != shape:
            raise click.BadParameter(f"{name!r} is given twice with different shapes", context, parameter)
    return shapes


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 0 < int(text) <= _LARGEST_DIMENSION
