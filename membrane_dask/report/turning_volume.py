"""Volumes for the script of a page, which shows their solid from all sides."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.report.scene import AZIMUTH, CUT, ELEVATION, SOLID

#: Most bytes of a compressed volume; a page has a few of them.
_MAX_BYTES = 350_000
#: Steps in which the fraction of a cell in solid is stored.
_LEVELS = 4


def turning_volume(solid: np.ndarray, extent: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Encode the solid of a volume, in cells so large that it takes a few hundred kilobytes.

    Parameters
    ----------
    solid : (nz, ny, nx) ndarray
        Fraction of every cell in solid, 0 to 1.
    extent : (float, float, float)
        Lengths of the volume along ``z, y, x``, nm.

    Returns
    -------
    dict
        ``azimuth`` and ``elevation``, degrees, of the view of still pictures; colours of the ``solid`` and of its
        ``cut`` faces; ``extent``; ``shape``, numbers of cells; ``levels``, the value of a cell in solid; ``cells``, the
        values of all cells (uint8, ``x`` fastest), compressed by zlib, in base64.
    """
    fractions = np.asarray(solid, np.float32)
    while True:
        values = np.rint(_LEVELS * fractions).astype(np.uint8)
        compressed = zlib.compress(values.tobytes(), 9)
        if len(compressed) <= _MAX_BYTES:
            break
        fractions = _halved(fractions)
    return {
        "azimuth": AZIMUTH,
        "elevation": ELEVATION,
        "solid": SOLID,
        "cut": CUT,
        "extent": [float(length) for length in extent],
        "shape": list(values.shape),
        "levels": _LEVELS,
        "cells": base64.b64encode(compressed).decode(),
    }


def _halved(fractions: np.ndarray) -> np.ndarray:
    """Means over cubes of two cells along each axis; the last ones may be incomplete."""
    for axis, length in enumerate(fractions.shape):
        starts = np.arange(0, length, 2)
        counts = np.diff(np.append(starts, length)).astype(np.float32)
        shape = [-1 if k == axis else 1 for k in range(3)]
        fractions = np.add.reduceat(fractions, starts, axis=axis) / counts.reshape(shape)
    return fractions
