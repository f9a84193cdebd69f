"""Pore networks of a run in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from membrane_dask.engine.run import Run
from membrane_dask.errors import ExportError
from membrane_dask.io.exported_items import GridItem, NetworkItem
from membrane_dask.item_export import exportable_items

#: Most networks of a copy.
MAX_NETWORKS = 100


def write_networks(run: Run, folder: Path, progress: Callable[[float], None] = lambda fraction: None) -> None:
    """Write every network of a run as ``.npz`` (OpenPNM, PoreSpy), ``.graphml`` and ``.vtu``.

    Parameters
    ----------
    run : Run
        A run; without networks nothing is written.
    folder : Path
        Receives the files.
    progress : callable
        Receives the fraction of the networks that are written.

    Raises
    ------
    ExportError
        If there are more than ``MAX_NETWORKS`` networks.
    """
    from membrane_dask.io.network_exchange import write_graphml, write_vtu
    from membrane_dask.io.openpnm_files import write_openpnm

    number = 0
    items = {
        name: open_item
        for name, open_item in exportable_items(run).items()
        # without a look at the inputs, which may have been removed
        if name not in run.volumes and not name.removeprefix("reference_").startswith(("volume", "velocity"))
    }
    for k, (name, open_item) in enumerate(items.items()):
        progress(k / len(items))
        item = open_item()
        if isinstance(item, GridItem):
            continue
        number += 1
        if number > MAX_NETWORKS:
            raise ExportError(
                f"networks: {run.name} has more than {MAX_NETWORKS}; export single ones with --item, or leave them out "
                "with --format"
            )
        folder.mkdir(exist_ok=True)
        write_openpnm(item.network, folder / f"{name}.npz")
        unit = "m" if isinstance(item, NetworkItem) else "membrane thickness"
        write_graphml(item.network, folder / f"{name}.graphml", length_unit=unit)
        write_vtu(item.network, folder / f"{name}.vtu")
