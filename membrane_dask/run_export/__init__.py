"""Export of a run: a closed, portable copy, or one volume, velocity or network in a file that other programs read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from membrane_dask.engine.events import Listener
from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import find_run
from membrane_dask.item_export import export_item, is_item_file


def export(
    run: Run | str | Path,
    to: str | Path,
    item: str | None = None,
    *,
    formats: Sequence[str] | None = None,
    overwrite: bool = False,
    notify: Callable[[str], None] | None = None,
    listener: Listener | None = None,
) -> str | Path:
    """Write a closed copy of a run, or one volume, velocity or network of it.

    Parameters
    ----------
    run : Run, str or Path
        A run, its directory or its name.
    to : str or Path
        Of a whole run: a folder, a file ``.zip``, or a URL of either, such as ``s3://bucket/name``.

        Of an item: the file. Its ending decides the format: ``.vti``, ``.vtk``, ``.tif`` (or ``.tiff``), ``.nii``,
        ``.nii.gz`` or ``.stl`` for a volume, the same without ``.stl`` for a velocity; ``.vtk``, ``.vtu``, ``.npz``
        (OpenPNM and PoreSpy) or ``.graphml`` for a network. A network of a graded run also as ``.csv`` (pores, with the
        junctions in a second file) or ``_link1.dat`` (the four files of Statoil); its key ``input`` reads these and
        ``.npz``.
    item : str, optional
        For example ``structure-0`` of a reconstruction; ``volume_0``, ``velocity_0``, ``network_0`` or
        ``reference_network`` of a characterization; ``graded,l_max=0.2,gradient=0,realization=3`` of a graded run.
        Default: the whole run.
    formats : sequence of str, optional
        Parts of a whole run: ``zarr``, ``ozx``, ``netcdf``, ``csv``, ``networks``, ``report``. Default: all that the
        run has and whose libraries are installed.
    overwrite : bool
        Replace a file or an exported run that exists.
    notify : callable
        Receives a message for each part of a whole run that is left out; default: a warning.
    listener : callable, optional
        Receives an event for each stage of the export of a whole run, with its percentage where that is known.

    Returns
    -------
    Path or str
        The destination. The same item has the same bytes in every export. Lengths are in nm; in NIfTI in micrometres;
        in ``.vtu``, ``.npz`` and ``.graphml`` in metres, of networks of graded runs in membrane thicknesses.

    Raises
    ------
    TypeError
        If ``formats`` is text.
    ExportError
        If there is no such item or format, the run is not finished, or the destination exists or cannot be written.
    DataLossError
        If a file of the run is missing or altered.

    Notes
    -----
    Pores of a volume are 0, the solid is 255. Volumes and velocities are read and written slab by slab, so that they
    need not fit into memory. :func:`membrane_dask.open_run` reads an exported run.

    Examples
    --------
    >>> md.export("runs/membrane", "membrane.zip")  # doctest: +SKIP
    >>> md.export("runs/membrane", "velocity.vti", "velocity_0")  # doctest: +SKIP
    """
    if isinstance(formats, str):
        raise TypeError(f"formats: must be a list of formats, such as [{formats!r}] (got {formats!r})")
    if not isinstance(run, Run):
        run = find_run(run)
    if item is not None or is_item_file(to):
        return export_item(run, to, item or "", overwrite=overwrite)
    from membrane_dask.run_export.archive import export_run

    export_run(
        run, to, formats, overwrite=overwrite, notify=notify or partial(warnings.warn, stacklevel=2),
        listener=listener or (lambda event: None),
    )  # fmt: skip
    return to
