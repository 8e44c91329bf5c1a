"""Notes: what a user should know of a graph or a prediction, a sentence each, with a code for programs."""

from __future__ import annotations

from typing import Any, Literal

# bounded     the data decide the shape of a tensor; a rule of its operator or the file gives a bound
# assumed     the shape of such a tensor, as the user assumes it
# estimated   how often a body runs, or what of an operator counts, is estimated
# empty       a tensor has no elements
# unknown     an operator that nothing declares
# followed    the size of a dimension that was not given follows from the graph
# declared    the file declares another shape for a tensor than its operators give
# runtime     the device's runtime does otherwise, or does not run it
# session     what the runtime is taken to know of dimensions that the model leaves free
# unused      a size or a trip count was given that the model has no use for
# fallback    kernels of types that the device's training did not have
# precision   the model computes in an element type that the device's training did not have at all
# unlike      the network is unlike those that the device's pack was trained on
# outside     kernels larger or smaller than what the device's training had
# rules       the fusion rules are not those that the device pack was seen to work with
# rescaled    times were brought to the present state of the machine
# memory      what is not known of the memory that the model takes
NoteCode = Literal[
    "bounded", "assumed", "estimated", "empty", "unknown", "followed", "declared", "runtime", "session", "unused",
    "fallback", "outside", "precision", "unlike", "rules", "rescaled", "memory",
]  # fmt: skip


class Note(str):
    """A sentence that says what the reader should know; it is a text, and code tells notes apart by `code`.

    Attributes:
        code: what kind of note it is.
        about: the tensor, operator or dimension that it is about; "" where it is about several.
    """

    __slots__ = ("about", "code")

    code: NoteCode
    about: str

    def __new__(cls, text: str, code: NoteCode, about: str = "") -> Note:
        """Make a note; see the attributes."""
        note = super().__new__(cls, text)
        object.__setattr__(note, "code", code)
        object.__setattr__(note, "about", about)
        return note

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a note is frozen; {name} cannot be changed")

    def __reduce__(self) -> tuple[type[Note], tuple[str, NoteCode, str]]:
        return Note, (str(self), self.code, self.about)
