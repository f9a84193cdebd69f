"""Runs: directories that hold a study and its results, opened for reading or laid out to be executed."""

from __future__ import annotations

import contextlib
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from membrane_dask.config import BaseStudy
from membrane_dask.digests import digests_computed_once
from membrane_dask.engine import durability, late_files, layout, layout_record, records, run_status, store, verification
from membrane_dask.engine.cluster.driver_series import lost_driver, queued_drivers, require_no_queued_driver
from membrane_dask.engine.data_frames import to_dataframe
from membrane_dask.engine.differing_settings import ABSENT, differing_settings, setting_texts
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.opened_result import OpenedResult
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.provenance import Provenance, software_record, source_run_digests
from membrane_dask.engine.records import SCHEMA
from membrane_dask.engine.software import software_of
from membrane_dask.engine.unit_addresses import task_identities
from membrane_dask.errors import DataLossError, Problem, StudyError, UnreadableRunError, nearest
from membrane_dask.files import disk_errors, is_url, sync_folder, url_text, write_atomically, write_json
from membrane_dask.notebook_html import bar, links, table
from membrane_dask.plain_text import natural_order, printable_line
from membrane_dask.studies import registry
from membrane_dask.study_file import load_study, to_yaml

if TYPE_CHECKING:
    import xarray as xr

#: Folders of a run directory.
FOLDERS = ("journal", "failures", "logs", "volumes", "inputs")


class RunNotFoundError(FileNotFoundError):
    """There is no such run."""


class Run:
    """One run, opened for reading; it may be empty, at work, or finished.

    Parameters
    ----------
    path : Path
        The run directory.

    Raises
    ------
    RunNotFoundError
        If the directory holds no run.
    UnreadableRunError
        If it holds a run that is damaged, or that a later version has made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        metadata = records.read_run(self.path)
        if metadata is None:
            raise RunNotFoundError(f"{self.path} holds no run; see the runs here with: membrane-dask list")
        self._metadata = metadata
        self._opened = OpenedResult(self.path / "result.zarr")

    @property
    def name(self) -> str:
        """Name of the run's directory."""
        return self.path.resolve().name

    @property
    def kind(self) -> str:
        """Kind of its study."""
        return self._metadata["kind"]

    @property
    def identity(self) -> str:
        """Digest of all that decides the result."""
        return self._metadata["identity"]

    @property
    def seed(self) -> int:
        """Seed of its study."""
        return self._metadata["seed"]

    @property
    def recorded_settings(self) -> dict[str, Any] | None:
        """All settings that decide the result, as the run recorded them; None of a run of an earlier version."""
        recorded = self._metadata.get("settings")
        return None if recorded is None else dict(recorded)

    @property
    def decisive_settings(self) -> dict[str, Any]:
        """All settings that decide the result; files and sources are digests of their content."""
        recorded = self.recorded_settings
        return self.study.decisive_settings() if recorded is None else recorded

    @property
    def task_identities(self) -> dict[str, str]:
        """Digests of what decides the values of units that later runs may import, by task; see Program."""
        return dict(self._metadata.get("task_identities", {}))

    def require_present_layout(self, action: str) -> None:
        """Refuse to change or replay a run of an earlier layout, which can be opened only.

        Raises
        ------
        StudyError
            If the run has the layout of an earlier version.
        """
        if self._metadata["schema"] < SCHEMA:
            message = (
                f"{self.path} was made by version 0.1, whose units have other names: its result and report can be "
                f"opened, but it cannot be {action}; run its study again: membrane-dask run {self.path / 'study.yaml'}"
            )
            raise StudyError([Problem((), message)])

    @property
    def batch(self) -> dict[str, int]:
        """Units in a chunk, by table, as the result was laid out."""
        return dict(self._metadata["batch"])

    @property
    def counts(self) -> dict[str, int]:
        """Number of units, by task."""
        return dict(self._metadata["units"])

    @property
    def study(self) -> BaseStudy:
        """The study, with every default written out."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # former names of a run's own study are no fault of the user
            return load_study(self.path / "study.yaml")

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, machine, inputs, and every start and stop."""
        return Provenance(self.path).read()

    @property
    def journal(self) -> Journal:
        """Records of all finished batches."""
        return Journal(self.path / "journal")

    def update_study(self, study: BaseStudy) -> None:
        """Store the same study with other settings of cluster and execution.

        Raises
        ------
        StudyError
            If it is another study.
        """
        self.require_present_layout("resumed")
        self.require_same_study(study)
        path, text = self.path / "study.yaml", _portable_yaml(study)
        if not path.is_file() or text.encode() != path.read_bytes():
            write_atomically(path, text)

    def require_intact_layout(self, plan: Plan) -> None:
        """Refuse to work on a run whose directory does not have the layout that its study leads to.

        Missing folders are made again; what was in them is computed again.

        Raises
        ------
        UnreadableRunError
            If a folder or the lock is something else, or if ``run.json`` has other tables or numbers of units.
        """
        for name in (*FOLDERS, ".lock", "cancel"):
            path = self.path / name
            if (path.exists() or path.is_symlink()) and path.is_dir() != (name in FOLDERS):
                kind = "a directory" if name in FOLDERS else "a file"
                raise UnreadableRunError(f"{path} is not {kind}; remove it and run again")
            if name in FOLDERS:
                path.mkdir(exist_ok=True)
        remedy = f"the file was changed; restore it, or move the run away with --fresh ({self.path / 'run.json'})"
        for name, there, here in (("units", self.counts, plan.counts), ("batch", self.batch, plan.batch)):
            if set(there) != set(here):
                raise UnreadableRunError(
                    f"{name!r} names {sorted(there)}, the study has {sorted(here)}: either the run was made by another "
                    f"version of the code, so that its result can be read but is not continued, or {remedy}"
                )
        if self.counts != plan.counts and not plan.program.adaptive:
            raise UnreadableRunError(f"'units' is {self.counts}, the study has {dict(plan.counts)}: {remedy}")

    def require_same_study(self, study: BaseStudy) -> None:
        """Refuse a study that is not the one of this run.

        Raises
        ------
        StudyError
            If it is another study, or if this version of the package computes other numbers of the same study.
        """
        identity = study.identity()
        if identity == self.identity:
            return
        digests = f"digest {self.identity[:8]}, this one is {identity[:8]}"
        advice = "choose another --out, or move it away with --fresh"
        there, here, same = dict[str, Any](), dict[str, Any](), False
        with contextlib.suppress(StudyError, OSError):  # an earlier version recorded no settings, and files are gone
            there, here = differing_settings([self.decisive_settings, study.decisive_settings()])
            same = self.study.identity() == identity
        if same:
            package = registry.package_of(self.kind).partition(" ")[0] or "membrane-dask"
            added = [name for name, value in there.items() if value is ABSENT]
            reason = f"lacks the settings {', '.join(added)} of the present one" if added else "computes other numbers"
            message = (
                f"holds a run of this study by a version of {package} that {reason} ({digests}): its result and report "
                f"can be opened, but it cannot be resumed; {advice}"
            )
        else:
            texts = [(name, *setting_texts([there[name], here[name]])) for name in there]
            changes = "; ".join(f"{name} is {former} there and {present} here" for name, former, present in texts)
            message = f"holds the run of another study{': ' if changes else ''}{changes} ({digests}); {advice}"
        raise StudyError([Problem((), f"{self.path} {message}")])

    @property
    def result(self) -> xr.DataTree:
        """The result as an ``xarray.DataTree``, read when values are asked for.

        It can be opened while the run is active: values of unfinished units are NaN, and ``status`` is their state.

        Raises
        ------
        DataLossError
            If a file that the run has written is missing or empty; or, for metadata and labels, altered.
        """
        self._require_intact("result.zarr")
        kind = registry.kinds().get(self.kind)  # None: a run of a plug-in that is not installed here
        return self._opened.tree(kind.schemas if kind else ())

    def to_dataframe(self, table: str, variables: Sequence[str] | None = None) -> Any:
        """Variables of a table as a pandas DataFrame; see :func:`~membrane_dask.engine.data_frames.to_dataframe`."""
        return to_dataframe(self.result, table, variables)

    @property
    def volumes(self) -> list[str]:
        """Names of the volumes."""
        names = (path.name.removesuffix(".ome.zarr") for path in self.path.glob("volumes/*.ome.zarr"))
        return sorted(names, key=natural_order)

    def volume(self, name: str, level: int = 0) -> Any:
        """A volume as a lazy ``(z, y, x)`` DataArray: pore 0, solid 255.

        Parameters
        ----------
        name : str
            One of :attr:`volumes`.
        level : int
            Level of the pyramid; each halves the resolution. 0 is the full one.

        Raises
        ------
        KeyError
            If there is no such volume.
        DataLossError
            If a file of the volume that the run has written is missing or empty.
        """
        from membrane_dask.io import ome_zarr as ome

        if name not in self.volumes:
            raise KeyError(f"no volume {name!r}; {nearest(name, self.volumes)}")
        self._require_intact(f"volumes/{name}.ome.zarr")
        return ome.open_volume(layout.volume_path(self.path, name), level)

    def _require_intact(self, component: str) -> None:

        def check() -> list[verification.Fault]:
            return verification.opening_faults(self.path, self.journal, component)

        faults = check()
        if faults and late_files.recent_elsewhere(self.journal):
            faults = late_files.check_until_visible(check)
        if faults:
            raise DataLossError(verification.summary(faults, self.path))

    @property
    def failed_keys(self) -> tuple[str, ...]:
        """Keys of the units that failed."""
        return self.journal.summary().failed

    @property
    def failures(self) -> list[Mapping[str, Any]]:
        """Units that failed: parameters, seed, traceback, and the command that replays each."""
        return [records.read_failure(self.path, key) for key in self.failed_keys]

    def is_active(self) -> bool:
        """Whether a driver works on the run, or is in the queue."""
        return DriverLock.active_driver(self.path) is not None or bool(queued_drivers(self.path))

    def lost_driver(self) -> str:
        """Job of a driver that never started, or ended without a message, and why; empty if there is none."""
        if DriverLock.active_driver(self.path) or self.journal.collected():
            return ""
        return printable_line(lost_driver(self.path))

    def status(self) -> dict[str, Any]:
        """State of the run: ``empty``, ``queued``, ``measuring``, ``running``, ``partial``, ``failed`` or ``complete``.

        Returns
        -------
        dict
            ``run, kind, state, done, running, failed, left, percent``: the four numbers of units add up to all units;
            to the most there can be, until it is known that no more follow. ``percent`` is the fraction of finished
            units, without those that failed.
        """
        return run_status.unit_status(self, self.journal.summary())

    def usage(self) -> dict[str, Any]:
        """Times and cost of the run; None stands for what is not known.

        Returns
        -------
        dict
            ``started``: date and time at which the run was laid out, in UTC; ``wall_seconds``: time during which
            drivers worked on it; ``cpu_seconds``: CPU time of its units, those included that were computed again;
            ``remaining_seconds``: the shortest and the longest time until its end that its driver expects, as a pair;
            ``host``: that of its last driver.
        """
        journal = self.journal.summary()
        return run_status.usage(self, journal, run_status.unit_status(self, journal))

    def software_notes(self) -> list[str]:
        """Lines that say if the run was made by several codes, or by workers with other versions than their driver."""
        return run_status.software_notes(self)

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the printed summary: name and text."""
        return run_status.summary_rows(self)

    def __repr__(self) -> str:
        status = self.status()
        units = f"{status['done']} of {run_status.total_units(status)} units"
        return f"<Run {printable_line(self.name)}: {status['state']}, {units}>"

    def __str__(self) -> str:
        return "\n".join([f"Run {printable_line(self.path)}", *(f"  {name:<8} {text}" for name, text in self.rows())])

    def _repr_html_(self) -> str:
        status = self.status()
        total = run_status.total_units(status)
        return table(f"Run {self.name}", self.rows(), bar(status["done"], status["failed"], total) + self._links())

    def _links(self) -> str:
        """Links to the report, the dashboard of an active driver, and the folder."""
        report = self.path / "report.html"
        driver = DriverLock.active_driver(self.path)
        dashboard = driver.get("dashboard") if driver else None
        return links([
            *([("report", report)] if report.is_file() else []),
            *([("dashboard", dashboard)] if dashboard and dashboard.startswith(("http://", "https://")) else []),
            ("folder", self.path),
        ])  # fmt: skip


def require_local(out: Path | None) -> None:
    """Refuse a URL as the directory of a run.

    Raises
    ------
    StudyError
        With the command that copies a run there.
    """
    if out is not None and is_url(out):
        message = (
            f"a run needs a directory of a file system (got {url_text(out)!r}): run it in one, and when it is complete "
            "copy it there with: membrane-dask export RUN URL"
        )
        raise StudyError([Problem(("out",), message)])


def prepare(plan: Plan, out: Path | None, *, fresh: bool = False) -> Run:
    """The run of a plan: the one that is there, to be resumed, or a new one, laid out whole.

    Parameters
    ----------
    plan : Plan
        What will be run.
    out : Path, optional
        Its directory; default ``runs/<name>``.
    fresh : bool
        Move an existing run away and start anew, without units of earlier runs.

    Raises
    ------
    StudyError
        If the directory holds something else, or ``out`` is a URL.
    """
    require_local(out)
    if fresh:
        plan = plan.without_imports()
    root = out or Path("runs") / plan.name
    if (root / "run.json").is_file():
        if not fresh:
            run = Run(root)
            run.require_present_layout("resumed")
            run.require_same_study(plan.study)
            return run
        with DriverLock(root) as driver:  # not while a driver is active on it
            require_no_queued_driver(root)
            driver.root = root.with_name(f"{root.name}.old-{int(time.time())}")
            root.rename(driver.root)
        plan = _with_moved_inputs(plan, root, driver.root)
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise StudyError([Problem((), f"{root} exists and is not a run; choose another --out")])
    return _create(plan, root)


def _with_moved_inputs(plan: Plan, root: Path, moved: Path) -> Plan:
    """The plan with the present paths of those inputs that are copies in a run that was moved."""
    former, inputs = root.resolve(), plan.study.inputs()
    paths = {
        name: moved.resolve() / path.relative_to(former) if path.is_relative_to(former) else path
        for name, path in inputs.items()
    }
    return plan if paths == inputs else replace(plan, study=plan.study.with_inputs(paths))


def _remove_unfinished(folder: Path) -> None:
    """Remove a folder, in which threads of Zarr may still be writing for a moment after an error of one of them."""
    for pause in (0.0, 0.1, 0.5, 2.0):
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _create(plan: Plan, root: Path) -> Run:
    """Lay out a run in a temporary directory, then move it to its own: it exists whole or not at all."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        building = root.with_name(f".{root.name}.{time.time_ns()}.partial")
        building.mkdir()
    except OSError as error:
        raise StudyError([Problem((), f"cannot write to {root.parent}: {error}")]) from error
    try:
        with digests_computed_once():
            _lay_out(plan, building)
        durability.sync_tree(building)
        building.rename(root)
        sync_folder(root.parent)
    except BaseException as error:
        _remove_unfinished(building)
        if isinstance(error, OSError) and (root / "run.json").is_file():
            return prepare(plan, root)  # another process was faster
        with disk_errors(root):
            raise
    return Run(root)


def _lay_out(plan: Plan, building: Path) -> None:
    """Write all that a run has before its first unit."""
    for folder in FOLDERS:
        (building / folder).mkdir()
    study = plan.study
    for path in study.inputs().values():
        shutil.copyfile(path, building / "inputs" / path.name)
    program = plan.program
    layout.create_result(building, program, plan.batch)
    (building / "study.yaml").write_text(_portable_yaml(study), encoding="utf-8")
    software = software_of(program, source_run_digests(study.sources()))
    Provenance(building).create(
        study=study.identity(),
        software=[software_record(software.record())],
        inputs={name: {"path": str(p), "sha256": _sha(p)} for name, p in study.inputs().items()},
        imports=[source.record() for source in plan.imports if not source.changes],
    )
    layout_record.record_layout(building, store.sinks(building, program, plan.batch))
    write_json(
        building / "run.json",
        {
            "schema": SCHEMA,
            "kind": program.kind,
            "identity": study.identity(),
            "seed": study.seed,
            "units": plan.counts,
            "batch": dict(plan.batch),
            "settings": study.decisive_settings(),
            "task_identities": task_identities(study, program),
        },
    )


def _portable_yaml(study: BaseStudy) -> str:
    """The study with the copies of its inputs in the run, so that the run can be moved, resumed and replayed."""
    return to_yaml(study.with_inputs({name: Path("inputs") / path.name for name, path in study.inputs().items()}))


def _sha(path: Path) -> str:
    from membrane_dask.digests import file_digest

    return file_digest(path)
