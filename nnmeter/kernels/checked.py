"""Errors of a model that show only when its kernels are described."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nnmeter.errors import ModelError, NnmeterError, brief


@contextmanager
def checked_model(what: str) -> Iterator[None]:
    """Name the kernel where a model's attributes are not what its operator has: types, lengths, ranks.

    Rules of shapes check what they need; others are looked at only when a kernel is described.

    Raises:
        ModelError: in place of what the block raised.
    """
    try:
        yield
    except NnmeterError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise ModelError(
            f"kernel '{brief(what, 200)}' has inputs or attributes that do not fit its operator "
            f"({brief(repr(fault), 200)}); check the model"
        ) from fault
