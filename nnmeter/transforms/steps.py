"""Transforms as values: what is to be done to a model, with a name, to be applied one after another.

>>> from nnmeter.transforms import Batch, Channels, Quantize, apply
>>> apply("model.onnx", [Channels("conv1", 48), Batch(8), Quantize("qdq")])

Each takes a model and gives another; weights are never needed, for a graph that is made without them takes the time of
one that is made with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, Protocol, runtime_checkable

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.unbound import UnboundModel


@runtime_checkable
class Transform(Protocol):
    """A change of a model."""

    @property
    def label(self) -> str:
        """What is done, in a few words."""
        ...

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        ...

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """The changed model; the one given stays as it is.

        Args:
            model: the model.
            sizes: what it leaves open.

        Raises:
            TransformError: it cannot be done; the message says why.
        """
        ...


def apply(
    model: Any, transforms: Sequence[Transform], sizes: InputSizes = AS_DECLARED, name: str | None = None
) -> UnboundModel:
    """A model with transforms applied, one after another.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        transforms: what is to be done, in order.
        sizes: what the model leaves open; a transform may fix some of it.
        name: what to call the model.

    Returns:
        The new model, to be predicted, bound or transformed further.

    Raises:
        TransformError: one of them cannot be done; the message says why.
        ModelError: the model cannot be read, or dimensions remain free.
    """
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model

    changed = read_model(model, name)
    if sizes.dims or sizes.shapes:
        bind_shapes(changed, sizes)  # what is given must fit the model as it is
    for transform in transforms:
        changed = transform(changed, sizes)
    return changed


@dataclass(frozen=True)
class Batch:
    """Another batch."""

    size: int

    @property
    def label(self) -> str:
        """What is done."""
        return f"batch {self.size}"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--batch {self.size}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.sizes.set_batch`."""
        from nnmeter.transforms.sizes import set_batch

        return set_batch(model, self.size, sizes)


@dataclass(frozen=True)
class Resolution:
    """Another size of picture."""

    height: int
    width: int

    @property
    def label(self) -> str:
        """What is done."""
        return f"resolution {self.height}x{self.width}"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--resolution {self.height}x{self.width}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.sizes.set_resolution`."""
        from nnmeter.transforms.sizes import set_resolution

        return set_resolution(model, self.height, self.width, sizes)


@dataclass(frozen=True)
class SequenceLength:
    """Another length of sequence."""

    length: int

    @property
    def label(self) -> str:
        """What is done."""
        return f"sequence {self.length}"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--sequence {self.length}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.sizes.set_sequence`."""
        from nnmeter.transforms.sizes import set_sequence

        return set_sequence(model, self.length, sizes)


@dataclass(frozen=True)
class Dimensions:
    """Sizes of free dimensions, by name."""

    dims: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What is done."""
        return " ".join(f"{name}={size}" for name, size in self.dims.items())

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return " ".join(f"--dim {quote(name)}={size}" for name, size in self.dims.items())

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.sizes.set_dimensions`."""
        from nnmeter.transforms.sizes import set_dimensions

        return set_dimensions(model, self.dims)


@dataclass(frozen=True)
class Channels:
    """Another number of channels in a layer, with everything that depends on them.

    Attributes:
        layer: name of a convolution, or of a product with a weight.
        width: how many channels it has then: fewer, or up to twice as many.
    """

    layer: str
    width: int

    @property
    def label(self) -> str:
        """What is done."""
        return f"{self.layer} at {self.width} channels"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--channels {quote(self.layer)}={self.width}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.channels.resizing`."""
        from nnmeter.transforms.channels.resizing import set_channels

        return set_channels(model, self.layer, self.width, sizes)


@dataclass(frozen=True)
class Quantize:
    """Another precision, as ONNX Runtime's own tools write it.

    Attributes:
        variant: how, as `nnmeter.transforms.quantization.variants` reads it: `qdq`, `qdq-s8s8-channel`, `dynamic`,
            `fp16`, `int4-b32`.
    """

    variant: str

    @property
    def label(self) -> str:
        """What is done."""
        return self.variant

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--quantize {self.variant}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.quantization.variants`."""
        from nnmeter.transforms.quantization.variants import quantize

        return quantize(model, self.variant, sizes)


@dataclass(frozen=True)
class ReplaceActivation:
    """One kind of activation in the place of another, `all` for any."""

    old: str
    new: str

    @property
    def label(self) -> str:
        """What is done."""
        return f"{self.new} for {self.old}" if self.new != self.old else f"{self.new} in its usual form"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--activation {self.old}={self.new}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.activations`."""
        from nnmeter.transforms.activations import replace_activation

        return replace_activation(model, self.old, self.new, sizes)


@dataclass(frozen=True)
class DropBlock:
    """A block left out: a module, or `FIRST..LAST` operator."""

    block: str

    @property
    def label(self) -> str:
        """What is done."""
        return f"without {self.block}"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--drop {quote(self.block)}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.blocks`."""
        from nnmeter.transforms.blocks import drop_block

        return drop_block(model, self.block, sizes)


@dataclass(frozen=True)
class RepeatBlock:
    """A block several times in a row: a module, or `FIRST..LAST` operator."""

    block: str
    times: int

    @property
    def label(self) -> str:
        """What is done."""
        return f"{self.block} {self.times} times"

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--repeat {quote(self.block)}={self.times}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.blocks`."""
        from nnmeter.transforms.blocks import repeat_block

        return repeat_block(model, self.block, self.times, sizes)


@dataclass(frozen=True)
class Rewrite:
    """Another way to write the same: a key of `nnmeter.transforms.rewrites.REWRITES`."""

    name: str

    @property
    def label(self) -> str:
        """What is done."""
        return self.name

    @property
    def option(self) -> str:
        """How `nnmeter what-if` is told."""
        return f"--rewrite {self.name}"

    def __call__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
        """See `nnmeter.transforms.rewrites`."""
        from nnmeter.transforms.rewrites import rewrite

        return rewrite(model, self.name, sizes)
