"""What a user says of a model's sizes: one type for all that a file may leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Shape = Sequence[int]
Session = Literal["free", "bound"]


@dataclass(frozen=True, slots=True)
class InputSizes:
    """The sizes that a model's file leaves open, and the values and counts that shapes depend on.

    One object serves several models: what a model does not have is passed over with a warning where it is a dimension
    or a trip count, and refused where it is an input or a tensor.

    Attributes:
        dims: the size of each free dimension, by its name; several sizes for a sweep (`predict_each`, `predict_many`).
        shapes: whole shapes of inputs, by input name; of a sequence, a shape for each of its elements.
        assume: shapes of inner tensors that depend on data, by tensor name, in place of the bounds that rules give.
        values: values of inputs that shapes depend on, by input name: numbers, lists of them, or arrays.
        trips: how often a Loop repeats whose trip count the run decides, by the name of its node.
        zipped: of several dimensions with several sizes, take the first of each together, then the second, and so on,
            in place of all combinations.
        session: what the runtime knows of free dimensions when it prepares the model: "free" nothing, as
            `InferenceSession(model)` of ONNX Runtime; "bound" the sizes given, as by
            `SessionOptions.add_free_dimension_override_by_name`. Where it is not said, predictions are of a free
            session, and measurements of a bound one.
    """

    dims: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    shapes: Mapping[str, Shape | Sequence[Shape]] = field(default_factory=dict)
    assume: Mapping[str, Shape] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    trips: Mapping[str, int] = field(default_factory=dict)
    zipped: bool = False
    session: Session | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether no size is given, nor a session."""
        return not (self.dims or self.shapes or self.assume or self.values or self.trips or self.session)

    def updated(
        self,
        dims: Mapping[str, int | Sequence[int]] | None = None,
        shapes: Mapping[str, Shape | Sequence[Shape]] | None = None,
        assume: Mapping[str, Shape] | None = None,
        values: Mapping[str, Any] | None = None,
        trips: Mapping[str, int] | None = None,
    ) -> InputSizes:
        """These sizes with others added, or in the place of those of the same name."""
        if not (dims or shapes or assume or values or trips):
            return self
        return InputSizes(
            {**self.dims, **(dims or {})},
            {**self.shapes, **(shapes or {})},
            {**self.assume, **(assume or {})},
            {**self.values, **(values or {})},
            {**self.trips, **(trips or {})},
            self.zipped,
            self.session,
        )


AS_DECLARED = InputSizes()  # nothing is given: the model's file must state every size
