"""Export of a volume, velocity or network of a run to a file that other programs read."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.engine.run import Run
from membrane_dask.errors import ExportError, nearest
from membrane_dask.files import disk_errors, is_url
from membrane_dask.io.exported_items import GridItem, Item, NetworkItem, PoreNetworkItem
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.studies.registry import find_kind, kinds

#: Ending of the file that stands for the four files of Statoil.
_STATOIL = "_link1.dat"
#: Items that a message lists.
_LISTED = 20


def export_item(run: Run, to: str | Path, item: str, *, overwrite: bool = False) -> Path:
    """Write a volume, velocity or network of a run to a file; see :func:`membrane_dask.export`."""
    if is_url(to):
        raise ExportError(
            f"a single item is written to a file of this machine (got {str(to)!r}); export the whole run there"
        )
    path = Path(to)
    items = exportable_items(run)
    if item not in items:
        problem = f"no item {item!r}; {nearest(item, list(items))}" if item else f"items: {_listed(list(items))}"
        raise ExportError(f"{run.name}: {problem}; for example --item {next(iter(items), 'volume_0')}")
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists; choose another name, or replace it with --overwrite (overwrite=True)")
    content = items[item]()
    if isinstance(content, PoreNetworkItem):
        return _export_pore_network(content, path, overwrite)
    write = _writer(content, path.name)
    temporary = path.with_name(f".{socket.gethostname()}.{os.getpid()}.{path.name}")
    with disk_errors(path):
        try:
            write(temporary)
            temporary.replace(path)
        except ValueError as error:
            raise ExportError(f"{item} cannot be written to {path.name}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    return path


def pore_network(group: Any, **selection: Any) -> Any:
    """Convert a network of a result.

    Parameters
    ----------
    group : xarray.Dataset or DataTree
        The group ``network_0``, ``network_1``, ... or ``reference_network`` of a characterize run, or the group
        ``graded`` of a graded one.
    **selection
        ``bands``, the number of bands of equal thickness over which the lengths of the throats of a characterize run
        are divided (default 4); ``l_max``, ``gradient`` and ``realization`` of the network of a graded run, each
        needed if there are several.

    Returns
    -------
    PoreNetwork
        Of a characterize run in metres: its junctions are the pores of the table, its pores the throats, with the
        radius of a circle of the throat's area. Of a graded run in membrane thicknesses: the network that was
        simulated, to the last bit.

    Raises
    ------
    ValueError
        If the group has no network, or there is none of this selection.

    Examples
    --------
    >>> network = md.pore_network(run.result["network_0"])  # doctest: +SKIP
    >>> graph = network.to_networkx()  # doctest: +SKIP
    >>> md.pore_network(run.result["graded"], l_max=0.2, gradient=2e-3, realization=0)  # doctest: +SKIP
    """
    for kind in kinds().values():
        reader = kind.network_reader(group)
        if reader is not None:
            return reader(**selection)
    raise ValueError("group: must be one such as run.result['network_0'], ['reference_network'] or ['graded']")


def _listed(names: Sequence[str]) -> str:
    """Names in a message, the first ones of many."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "") or "none"


def _export_pore_network(item: PoreNetworkItem, path: Path, overwrite: bool) -> Path:
    """Write a network to one or several files, which replace others all at the end."""
    folder = path.with_name(f".{socket.gethostname()}.{os.getpid()}.{path.name}")
    with disk_errors(path):
        try:
            folder.mkdir()
            _write_pore_network(item, folder / path.name)
            files = sorted(folder.iterdir())
            existing = [file.name for file in files if path.with_name(file.name).exists()]
            if existing and not overwrite:
                raise ExportError(
                    f"{path.with_name(existing[0])} exists; choose another name, or replace it with --overwrite "
                    "(overwrite=True)"
                )
            for file in files:
                file.replace(path.with_name(file.name))
        except ValueError as error:
            raise ExportError(f"the network cannot be written to {path.name}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return path


def _write_pore_network(item: PoreNetworkItem, path: Path) -> None:
    """Write a network in the format of a file's ending."""
    from membrane_dask.io import network_files, network_tables

    network, ending = item.network, path.suffix.lower()
    if path.name.endswith(_STATOIL):
        network_files.write_statoil(network, path.with_name(path.name.removesuffix(_STATOIL)))
    elif ending == ".csv":
        network_tables.write_network_csv(network, path)
    elif ending == ".vtk":
        network_files.write_vtk(network, path)
    elif (write := _exchange_writer(network, ending, "membrane thickness")) is not None:
        write(path)
    else:
        raise ExportError(f"a network is written to .csv, .npz, {_STATOIL}, .vtk, .vtu or .graphml (got {path.name!r})")


def _exchange_writer(network: PoreNetwork, ending: str, length_unit: str) -> Callable[[Path], Any] | None:
    """Function that writes a network with the arrays of OpenPNM, None for another ending."""
    from membrane_dask.io import network_exchange, openpnm_files

    return {
        ".npz": partial(openpnm_files.write_openpnm, network),
        ".vtu": partial(network_exchange.write_vtu, network),
        ".graphml": partial(network_exchange.write_graphml, network, length_unit=length_unit),
    }.get(ending)


def exportable_items(run: Run) -> dict[str, Callable[[], Item]]:
    """Functions that open what of a run can be exported, by name."""
    items: dict[str, Callable[[], Item]] = {name: partial(_volume, run, name) for name in run.volumes}
    return items | find_kind(run.kind).export_items(run)


def _volume(run: Run, name: str) -> GridItem:
    """An OME-Zarr volume of a run."""
    volume = run.volume(name)
    edge = float(volume.attrs["voxel_size_nm"])

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(volume[start:stop].values)

    return GridItem(
        "phase", f"{name}: pores 0, solid 255", volume.shape, (edge, edge, edge), np.dtype(np.uint8), read,
        chunk=volume.data.chunksize[0],
    )  # fmt: skip


def _writer(item: GridItem | NetworkItem, name: str) -> Callable[[Path], Any]:
    """Function that writes an item to a path, by the ending of a file name."""
    from membrane_dask import __version__
    from membrane_dask.io import grid_files, network_files, surface_files

    ending = next((e for e in (".nii.gz", *_GRIDS) if name.lower().endswith(e)), Path(name).suffix.lower())
    if isinstance(item, NetworkItem):
        if (write := _exchange_writer(item.network, ending, "m")) is not None:
            return write
        if ending != ".vtk":
            raise ExportError(f"a network is written to .vtk, .vtu, .npz or .graphml (got {name!r})")
        title = f"{item.description}; lengths in nm"
        return lambda path: network_files.write_poly_data(
            path, title, item.position, item.throat_conns, item.pores, item.throats
        )
    writers: dict[str, Callable[[Path], None]] = {
        ".vti": partial(grid_files.write_vti, item),
        ".vtk": partial(grid_files.write_legacy_vtk, item),
        ".tif": partial(grid_files.write_tiff, item, software=f"membrane-dask {__version__}"),
        ".nii": partial(grid_files.write_nifti, item),
        ".stl": partial(surface_files.write_stl, item),
    }
    writers |= {".tiff": writers[".tif"], ".nii.gz": writers[".nii"]}
    valid = [e for e in _GRIDS if e != ".stl" or not item.is_vector]
    if ending not in valid:
        what = "a velocity" if item.is_vector else "a volume"
        raise ExportError(f"{what} is written to {', '.join(valid)} (got {name!r})")
    return writers[ending]


#: Endings of files of fields on voxels, and of networks.
_GRIDS = (".vti", ".vtk", ".tif", ".tiff", ".nii", ".nii.gz", ".stl")
_NETWORKS = (".csv", ".npz", ".dat", ".vtk", ".vtu", ".graphml")


def is_item_file(path: str | Path) -> bool:
    """Whether the ending of a path is one of those of single items."""
    return str(path).lower().endswith((*_GRIDS, *_NETWORKS))
