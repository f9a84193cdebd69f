"""The error of a model that has no solution for its input."""

from __future__ import annotations


class PhysicsError(RuntimeError):
    """A model has no solution for its input: the structure cannot be generated, or it does not conduct."""
