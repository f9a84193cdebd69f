"""Figures of the report of a reconstruction, without a run."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from membrane_dask.studies.reconstruct.report import micrograph_figure


# Images of electron microscopes, an almost square one, a tall one and a strip.
@pytest.mark.parametrize(("rows", "columns"), [(690, 1024), (700, 1024), (960, 1000), (200, 60), (16, 256)])
def test_the_figure_of_a_micrograph_is_complete(rows, columns):
    image = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    labels = {"z": 12.0 * (np.arange(rows) + 0.5), "x": 12.0 * (np.arange(columns) + 0.5)}
    micrograph = xr.Dataset({name: (("z", "x"), image) for name in ("image", "solid")}, labels)
    figure = micrograph_figure(micrograph)
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0
