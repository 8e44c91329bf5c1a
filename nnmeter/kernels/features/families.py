"""Kernel families: which kernels share one trained function.

A family is a group of operators that run the same kind of loop, so that samples of one teach the price of another.

Rules:

1. A module of this package declares its families in `FAMILIES`; every module that does is found by being here.
2. The table of operators (`nnmeter.operators.table`) names the family of every operator; families that share a row of
   it tell their kernels apart themselves. An operator that is not in that table, or of a domain that is not, belongs to
   `generic`, which is described by bytes, elements and FLOPs alone.
3. That is for kernels to be sampled. A trained pack knows by itself which family's function it has for an operator
   (`family_among`), so that a family which the table gains changes nothing that was trained.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from importlib import import_module

from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import COMMON_NAMES
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.table import GENERIC, KNOWN_DOMAINS, OPERATORS


def _declared() -> dict[str, Family]:
    """The families of all modules of this package, by name (rule 1)."""
    package = __name__.rpartition(".")[0]
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__):
        name = f"{package}.{module.name}"
        if name == __name__:
            continue
        for family in getattr(import_module(name), "FAMILIES", ()):
            if family.name in found:
                raise ValueError(f"kernel family '{family.name}' is declared twice")
            found[family.name] = family
    return found


FAMILIES: dict[str, Family] = _declared()

FEATURE_NAMES: dict[str, tuple[str, ...]] = {name: COMMON_NAMES + family.names for name, family in FAMILIES.items()}

_BY_ROW: dict[str, tuple[Family, ...]] = {
    row: tuple(family for family in FAMILIES.values() if (family.row or family.name) == row)
    for row in {family.row or family.name for family in FAMILIES.values()}
}


def kernel_family(signature: KernelSignature) -> str:
    """The family of a kernel by the table of operators: a key of `FAMILIES` (rule 2)."""
    operator = None if is_own(signature) else OPERATORS.get(signature.op_type)
    families = _BY_ROW[GENERIC if operator is None else operator.family]
    if len(families) == 1:
        return families[0].name
    return next(family.name for family in families if family.describes(signature))


def family_among(signature: KernelSignature, names: Collection[str]) -> str | None:
    """The first of the named families that describes a kernel, None if none does (rule 3).

    Somebody's own operator has attributes of its own, which only `generic` leaves alone.
    """
    if is_own(signature):
        return GENERIC if GENERIC in names else None
    return next((name for name in names if FAMILIES[name].describes(signature)), None)


def is_own(signature: KernelSignature) -> bool:
    """Whether a kernel is of somebody's own operator, which is named by its domain (`nnmeter.kernels.naming`).

    A kernel of a runtime that calls its domain otherwise, and its operators as the standard does, is not.
    """
    domain = signature.domain
    return domain not in KNOWN_DOMAINS and signature.type.startswith(f"{domain}.")
