"""What joins the kernel before it, as the rule sets of mobile runtimes state it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnmeter.fusion.rulesets.builder import Procedure

RECTIFIERS = ("Relu", "Clip")


def link(
    into: Sequence[str],
    operators: Sequence[str],
    *,
    only_if: str = "",
    most: int = 0,
    sums: bool = False,
    silent: bool = False,
) -> dict[str, Any]:
    """One link: `operators` join a kernel that one of `into` leads.

    Args:
        into: operators that lead a kernel.
        operators: what may join them.
        only_if: the parameter of the rule set without which the link does not hold.
        most: how many operators may have joined the kernel before, if any.
        sums: whether operators of two computed inputs join.
        silent: whether the kernel keeps its name.
    """
    found: dict[str, Any] = {"into": into, "operators": operators}
    if most:
        found["most"] = most
    if sums:
        found["sums"] = True
    if only_if:
        found["if"] = only_if
    if silent:
        found["silent"] = True
    return found


def joins(links: Sequence[dict[str, Any]], why: str, source: str) -> Procedure:
    """The pass of all links of a runtime."""
    return Procedure("operators that join a kernel", "link", fields={"links": links}, why=why, source=source)


def free_views(source: str) -> Procedure:
    """Views cost nothing, unless the parameter `free_views` says otherwise."""
    return Procedure(
        "views",
        "free_operators",
        only_if="free_views",
        fields={"operators": ("Reshape",)},
        why="A view only looks at memory in another way, and costs nothing.",
        source=source,
    )


def in_type(name: str, dtype: str, only_if: str, source: str) -> Procedure:
    """All tensors of single precision are of another type, where a parameter says so."""
    return Procedure(
        name,
        "retype",
        only_if=only_if,
        fields={"types": {"float32": dtype}, "cast": "Cast", "given": ()},
        why=f"With the parameter `{only_if}` the runtime computes in {dtype}, also what the model has in single "
        "precision.",
        source=source,
    )
