"""Stokes flow through the throats of the volumes that the bench of a characterize run has computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from membrane_dask.io.run_tables import RunTable, read_run_table
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.input_volumes import pores_digest


def recorded_flow_table(study: FoulStudy, replicate: int, slab_edges: Sequence[int] | None) -> RunTable | None:
    """Table of ``flow_run`` with the flow of a replicate; None where the study needs another flow, or it has none.

    ``slab_edges`` are the slabs by which the study would compute it, None for one piece: both have the same bits.
    """
    run: Path | None = study.flow_run
    if run is None or study.hydraulics.conductance != "stokes":
        return None
    table = read_run_table(run, f"throat_flow_{replicate}")
    return table if table is not None and table.attrs["settings"] == study.throat_flow_settings(slab_edges) else None


def recorded_flow(
    study: FoulStudy, replicate: int, pores: np.ndarray, slab_edges: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Flow of the throats and pressure of the pores of a replicate, as `structure_hydraulics` computes them.

    Parameters
    ----------
    study : FoulStudy
    replicate : int
    pores : (z, y, x) ndarray of bool
        Its pore voxels.
    slab_edges : sequence of int or None
        Slabs by which the study would compute it, None for one piece.

    Returns
    -------
    tuple of ndarray or None
        None where ``flow_run`` has no flow with the settings of the study.

    Raises
    ------
    ValueError
        If the flow is that of other voxels.
    """
    table = recorded_flow_table(study, replicate, slab_edges)
    if table is None:
        return None
    if table.attrs["voxels_digest"] != pores_digest(pores).hex():
        message = f"flow_run: replicate {replicate} of {str(study.flow_run)!r} has other pore voxels than that of input"
        raise ValueError(f"{message}; leave it out, or give the run of a characterize study of input")
    return table.values["stokes_flow"], table.values["core_pressure"]
