"""Closed, portable copy of a run: its result, volumes, tables and networks in the formats of other programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from membrane_dask.engine import layout
from membrane_dask.engine.confirmation import links_out_of
from membrane_dask.engine.events import Listener
from membrane_dask.engine.exported_run import INDEX, REPORT, RESULT, SCHEMA, VOLUMES
from membrane_dask.engine.run import Run
from membrane_dask.engine.run_status import is_driven
from membrane_dask.errors import ExportError, ReportError, StudyError, nearest
from membrane_dask.files import is_url, now, write_json
from membrane_dask.report import write_report
from membrane_dask.run_export import crate, networks, tables
from membrane_dask.run_export.destination import filled_folder, local_path
from membrane_dask.run_export.stages import Stages

#: Parts of an exported run that can be chosen.
FORMATS = ("zarr", "ozx", "netcdf", "csv", "networks", "report")
#: Descriptions of files and of the files in folders.
_DESCRIPTIONS = {
    "study.yaml": "the study with every default written out",
    "inputs": "input of the study",
    "provenance.json": "versions, machine, digests of inputs, every start and stop",
    REPORT: "figures, tables and conclusions on one page",
    INDEX: "name, kind, identity and state of the run, for membrane_dask.open_run",
    RESULT: "all tables and images of the result as Zarr 3 with consolidated metadata; xarray.open_datatree",
    VOLUMES: "volume as single-file OME-Zarr 0.5: pores 0, solid 255",
    "netcdf": "a table of the result as netCDF 4",
    "csv": "a table of the result; units and meanings of the columns are in csv/variables.csv",
    "tables": "table of a method of the virtual bench",
    "networks/*.npz": "arrays of a pore network for OpenPNM and PoreSpy: dict(numpy.load(file))",
    "networks/*.graphml": "a pore network as GraphML",
    "networks/*.vtu": "a pore network as an unstructured grid of VTK, for ParaView and meshio",
}


def export_run(
    run: Run,
    to: str | Path,
    formats: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    notify: Callable[[str], None],
    listener: Listener,
) -> None:
    """Write a closed copy of a run.

    Parameters
    ----------
    run : Run
        A run that is finished; units may have failed.
    to : str or Path
        A folder, a file ``.zip``, or a URL of either.
    formats : sequence of str, optional
        Some of ``FORMATS``; default all of them that the run has and whose libraries are installed.
    overwrite : bool
        Replace an exported run.
    notify : callable
        Receives a message for each part that is left out.
    listener : callable
        Receives the stages of the export.

    Raises
    ------
    ExportError
        If the run is not finished, has links that lead out of it, there is no such format, or the destination exists,
        is in the run, or cannot be written.
    DataLossError
        If a file of the run is missing or altered.
    """
    chosen = _chosen(formats)
    status = run.status()
    if is_driven(status):
        raise ExportError(f"{run.name} is running, and a copy is closed: export it when it is finished")
    if status["state"] not in ("complete", "failed"):
        raise ExportError(
            f"{run.name} is {status['state']}, and a copy is closed: finish it first with: membrane-dask run "
            f"{run.path / 'study.yaml'} --out {run.path}"
        )
    for link, target in links_out_of(run.path):
        raise ExportError(
            f"{run.name}: {link} leads to {target}, out of the run, and the copy would hold what is there; replace the "
            "link by the file, or remove it"
        )
    _require_outside(run, to)
    tree, stages = run.result, Stages(listener)
    with filled_folder(to, stages, overwrite=overwrite) as folder:
        stages.begin("copying the inputs")
        for name in ("study.yaml", "provenance.json"):
            shutil.copyfile(run.path / name, folder / name)
        for name in ("inputs", layout.TABLES):
            if (run.path / name).is_dir() and any((run.path / name).iterdir()):
                shutil.copytree(run.path / name, folder / name)
        if "zarr" in chosen:
            _copy_result(run, folder / RESULT, stages)
        if "ozx" in chosen and run.volumes:
            _copy_volumes(run, folder / VOLUMES, stages)
        if "netcdf" in chosen:
            if formats is None and not tables.has_netcdf():
                notify("netcdf: left out, as h5netcdf or h5py is not installed: pip install 'membrane-dask[netcdf]'")
            else:
                stages.begin("writing netCDF", len(tree.children))
                tables.write_netcdf(tree, folder / "netcdf", stages.advance)
        if "csv" in chosen:
            stages.begin("writing CSV", len(tree.descendants))
            tables.write_csv(tree, folder / "csv", notify, stages.advance)
        if "networks" in chosen:
            stages.begin("writing networks")
            try:
                networks.write_networks(run, folder / "networks", stages.at)
            except ExportError as error:
                if formats is not None:
                    raise
                shutil.rmtree(folder / "networks", ignore_errors=True)
                notify(f"left out: {error}")
        if "report" in chosen:
            stages.begin("drawing the report")
            try:
                write_report(run, folder / REPORT)
            except (ReportError, StudyError) as error:  # the latter where an input was removed
                if formats is not None:
                    raise
                notify(f"report: left out: {error}")
        index = {
            "schema": SCHEMA, "name": run.name, "kind": run.kind, "identity": run.identity, "status": status,
            "settings": run.recorded_settings or {},
            "volumes": run.volumes if "ozx" in chosen else [], "result": "zarr" in chosen, "exported": now(),
        }  # fmt: skip
        write_json(folder / INDEX, index)
        stages.begin("computing the digests of all files")
        crate.write_crate(
            folder,
            name=run.name,
            description=f"Result of a membrane-dask study of the kind {run.kind}",
            date=index["exported"],  # type: ignore[arg-type]
            provenance=run.provenance,
            descriptions=_DESCRIPTIONS,
        )


def _require_outside(run: Run, to: str | Path) -> None:
    """Refuse a destination in the run, which would be copied too, or around it, which would replace it."""
    if is_url(to := local_path(to)):
        return
    source, target = run.path.resolve(), Path(to).resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise ExportError(f"{to} is in the run {run.path}, or holds it; choose a folder elsewhere")


def _chosen(formats: Sequence[str] | None) -> Sequence[str]:
    """The formats, checked."""
    for name in formats or ():
        if name not in FORMATS:
            raise ExportError(f"no format {name!r}; {nearest(name, FORMATS)}")
    return FORMATS if formats is None else formats


def _copy_result(run: Run, target: Path, stages: Stages) -> None:
    import zarr

    from membrane_dask.io.sharded_zarr import copy_group, group_bytes

    group = zarr.open_group(str(run.path / "result.zarr"), mode="r", use_consolidated=False)
    stages.begin("copying the result", group_bytes(group))
    copy_group(group, target, progress=stages.advance)


def _copy_volumes(run: Run, folder: Path, stages: Stages) -> None:
    """Write every volume as one file, by way of a copy in shards."""
    import zarr

    from membrane_dask.io.sharded_zarr import copy_group, group_bytes, zip_ome_zarr

    folder.mkdir()
    for name in run.volumes:
        sharded = folder / f"{name}.ome.zarr"
        group = zarr.open_group(str(layout.volume_path(run.path, name)), mode="r")
        stages.begin(f"copying {name}", group_bytes(group))
        copy_group(group, sharded, shard_all=True, progress=stages.advance)
        stages.begin(f"writing {name}.ozx")
        zip_ome_zarr(sharded, folder / f"{name}.ozx")
        shutil.rmtree(sharded)
