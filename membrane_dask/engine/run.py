"""Runs: directories that hold a study and its results, opened for reading or laid out to be executed."""

from __future__ import annotations

import re
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from membrane_dask.config import BaseStudy
from membrane_dask.engine import store
from membrane_dask.engine.cluster.driver_series import queued_drivers
from membrane_dask.engine.html import bar, grid, table
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.plan import Plan, as_seconds
from membrane_dask.engine.provenance import Provenance
from membrane_dask.errors import Problem, StudyError, nearest
from membrane_dask.files import disk_errors, read_json, write_atomically, write_json
from membrane_dask.schema import STATUS, TableSchema, find_table, renamed_group
from membrane_dask.studies import registry
from membrane_dask.study_file import load_study, to_yaml

#: Version of the layout of run directories; 1 is that of version 0.1.
SCHEMA = 2


def under_present_names(tree: Any, tables: Sequence[TableSchema]) -> Any:
    """A result tree with the present names of groups and variables, variables in the order of their declaration.

    Parameters
    ----------
    tree : xarray.DataTree
        As stored, perhaps by an earlier version.
    tables : sequence of TableSchema
        Declarations of the study kind.
    """
    import xarray as xr

    datasets = {"/": tree.to_dataset()}
    for node in tree.descendants:
        _, group, *path = node.path.split("/")
        dataset, table = node.to_dataset(inherit=False), find_table(tables, group)
        if table is not None:
            group = renamed_group(table, group)
            variables = [variable for variable in table.variables if variable.group == "/".join(path)]
            dataset = dataset.rename({v.formerly: v.name for v in variables if v.formerly in dataset.variables})
            declared = [variable.name for variable in (*variables, STATUS)]
            dataset = dataset[[*(name for name in declared if name in dataset.data_vars),
                               *(name for name in dataset.data_vars if name not in declared)]]  # fmt: skip
        datasets["/".join(["", group, *path])] = dataset
    return xr.DataTree.from_dict(datasets)


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
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        metadata = read_json(self.path / "run.json")
        if metadata is None:
            raise RunNotFoundError(f"{self.path} holds no run; see the runs here with: membrane-dask list")
        self._metadata: dict[str, Any] = metadata

    @property
    def name(self) -> str:
        """Name of the run's directory."""
        return self.path.resolve().name

    @property
    def kind(self) -> str:
        """Kind of its study."""
        return str(self._metadata["kind"])

    @property
    def identity(self) -> str:
        """Digest of all that decides the result."""
        return str(self._metadata["identity"])

    def require_present_layout(self, action: str) -> None:
        """Refuse to change or replay a run of an earlier layout, which can be opened only.

        Raises
        ------
        StudyError
            If the run has the layout of an earlier version.
        """
        if int(self._metadata.get("schema", 1)) < SCHEMA:
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
        ValueError
            If it is another study.
        """
        self.require_present_layout("resumed")
        if study.identity() != self.identity:
            raise ValueError(f"{self.path} is the run of another study")
        text = _portable_yaml(study)
        if text != (self.path / "study.yaml").read_text(encoding="utf-8"):
            write_atomically(self.path / "study.yaml", text)

    @property
    def result(self) -> Any:
        """The result as an ``xarray.DataTree``, read when values are asked for.

        It can be opened while the run is active: values of unfinished units are NaN, and ``status`` is their state.
        """
        import xarray as xr

        tree = xr.open_datatree(self.path / "result.zarr", engine="zarr", consolidated=False, chunks=None)
        kind = registry.kinds().get(self.kind)  # None: a run of a plug-in that is not installed here
        return under_present_names(tree, kind.schemas) if kind else tree

    @property
    def volumes(self) -> list[str]:
        """Names of the volumes."""
        return [name.removesuffix(".ome.zarr") for name in sorted(p.name for p in self.path.glob("volumes/*.ome.zarr"))]

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
        """
        from membrane_dask.io import ome_zarr as ome

        if name not in self.volumes:
            raise KeyError(f"no volume {name!r}; {nearest(name, self.volumes)}")
        return ome.open_volume(store.volume_path(self.path, name), level)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Units that failed: parameters, seed, traceback, and the command that replays each."""
        failed = {key for key, outcome in self.journal.history().items() if outcome.status == "failed"}
        records = [read_json(path) for path in sorted((self.path / "failures").glob("*.json"))]
        return [failure for failure in records if failure and failure["key"] in failed]

    def status(self) -> dict[str, Any]:
        """State of the run: ``empty``, ``queued``, ``running``, ``partial``, ``failed`` or ``complete``.

        Returns
        -------
        dict
            ``run, kind, state, done, running, failed, left``: the last four add up to all units; to the
            most there can be, until it is known that no more follow.
        """
        history = self.journal.history()
        collected = self.journal.collected()
        failed = sum(outcome.status == "failed" for outcome in history.values())
        done = len(history) - failed
        left = 0 if collected else sum(self.counts.values()) - len(history)
        driver = DriverLock.active_driver(self.path)
        running = min(left, int(driver["in_flight"])) if driver else 0
        if driver:
            state = "running"
        elif not collected and queued_drivers(self.path):
            state = "queued"
        elif not collected:
            state = "partial" if history else "empty"
        else:
            state = "failed" if failed else "complete"
        return {
            "run": self.name,
            "kind": self.kind,
            "state": state,
            "done": done,
            "running": running,
            "failed": failed,
            "left": left - running,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the printed summary: name and text."""
        status = self.status()
        rows = [
            ("study", f"{self.kind}, seed {self._metadata['seed']}"),
            ("state", status["state"]),
            ("units", f"{status['done']} of {_total(status)} done, {status['failed']} failed, {status['left']} left"),
            *(("driver", f"job {number}: {state}") for number, state in queued_drivers(self.path).items()),
            ("groups", ", ".join(sorted(p.name for p in self.path.glob("result.zarr/*") if p.is_dir()))),
        ]
        if self.volumes:
            rows.append(("volumes", ", ".join(self.volumes)))
        seconds = sum(sum(record.get("seconds", ())) for record in self.journal.records())
        if seconds:
            rows.append(("work", f"{as_seconds(seconds)} of one core"))
        rows += [("failure", f"{f['key']}: {f['error'].splitlines()[0][:120]}") for f in self.failures[:5]]
        if status["state"] in ("empty", "partial"):
            rows.append(("next", f"membrane-dask run {self.path / 'study.yaml'} --out {self.path}"))
        elif status["failed"]:
            rows.append(("next", f"membrane-dask retry {self.path}"))
        return rows

    def __repr__(self) -> str:
        status = self.status()
        return f"<Run {self.name}: {status['state']}, {status['done']} of {_total(status)} units>"

    def __str__(self) -> str:
        return "\n".join([f"Run {self.path}", *(f"  {name:<8} {text}" for name, text in self.rows())])

    def _repr_html_(self) -> str:
        status = self.status()
        return table(f"Run {self.name}", self.rows(), bar(status["done"], status["failed"], _total(status)))


def _total(status: dict[str, Any]) -> int:
    """Number of all units of a run, by its status."""
    return sum(status[name] for name in ("done", "running", "failed", "left"))


class RunList(Sequence[Run]):
    """Runs, printed as a table."""

    HEADER = ("run", "kind", "state", "done", "running", "failed", "left")

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = list(runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        return self._runs[index]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def rows(self) -> list[list[str]]:
        """One row of text for each run, in the order of ``HEADER``."""
        return [[str(status[name]) for name in self.HEADER] for status in (run.status() for run in self)]

    def __repr__(self) -> str:
        return "\n".join(["  ".join(self.HEADER), *("  ".join(row) for row in self.rows())])

    def _repr_html_(self) -> str:
        return grid(f"{len(self)} run{'s' * (len(self) != 1)}", self.HEADER, self.rows())


def find_runs(folder: Path) -> RunList:
    """All runs in a directory, oldest first."""
    paths = [path.parent for path in folder.glob("*/run.json")]
    return RunList([Run(path) for path in sorted(paths, key=lambda p: (p / "run.json").stat().st_mtime)])


def find_run(text: str | Path, folder: Path = Path("runs")) -> Run:
    """The run at a path, or with that name in ``folder``.

    Parameters
    ----------
    text : str or Path
        Directory of a run, its name, the name of its study, or the start of its name if only one run has it.
    folder : Path
        Directory that holds runs.

    Raises
    ------
    RunNotFoundError
        If there is none, or more than one.
    """
    path = Path(text)
    if (path / "run.json").is_file():
        return Run(path)
    names = [run.path.name for run in find_runs(folder)] if folder.is_dir() else []
    requested = path.name if path.parent == folder else str(text)
    study_name = re.compile(rf"{re.escape(requested)}-[0-9a-f]{{8}}")  # the name of a run adds a digest
    matching = (
        [name for name in names if name == requested]
        or [name for name in names if study_name.fullmatch(name)]
        or [name for name in names if name.startswith(requested)]
    )
    if len(matching) == 1:
        return Run(folder / matching[0])
    if matching:
        raise RunNotFoundError(f"{text!s} fits several runs: {', '.join(matching)}")
    raise RunNotFoundError(f"no run {text!s}; {nearest(str(text), names)} (list them with: membrane-dask list)")


def prepare(plan: Plan, out: Path | None, *, fresh: bool = False) -> Run:
    """The run of a plan: the one that is there, to be resumed, or a new one, laid out whole.

    Parameters
    ----------
    plan : Plan
        What will be run.
    out : Path, optional
        Its directory; default ``runs/<name>``.
    fresh : bool
        Move an existing run away and start anew.

    Raises
    ------
    StudyError
        If the directory holds something else.
    """
    root = out or Path("runs") / plan.name
    problem = None
    if (root / "run.json").is_file():
        run = Run(root)
        if not fresh:
            run.require_present_layout("resumed")
        if fresh:
            with DriverLock(root) as driver:  # not while a driver is active on it
                driver.root = root.with_name(f"{root.name}.old-{int(time.time())}")
                root.rename(driver.root)
        elif run.identity == plan.study.identity():
            return run
        else:
            problem = (
                f"{root} holds the run of another study (digest {run.identity[:8]}, this one is "
                f"{plan.study.identity()[:8]}); choose another --out, or move it away with --fresh"
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        problem = f"{root} exists and is not a run; choose another --out"
    if problem:
        raise StudyError([Problem((), problem)])
    return _create(plan, root)


def _create(plan: Plan, root: Path) -> Run:
    """Lay out a run in a temporary directory, then move it to its own: it exists whole or not at all."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        building = root.with_name(f".{root.name}.{time.time_ns()}.partial")
        building.mkdir()
    except OSError as error:
        raise StudyError([Problem((), f"cannot write to {root.parent}: {error}")]) from error
    try:
        for folder in ("journal", "failures", "logs", "volumes", "inputs"):
            (building / folder).mkdir()
        study = plan.study
        for path in study.inputs().values():
            shutil.copyfile(path, building / "inputs" / path.name)
        program = plan.program
        store.create_result(building, program, plan.batch)
        (building / "study.yaml").write_text(_portable_yaml(study), encoding="utf-8")
        Provenance(building).create(
            study=study.identity(),
            inputs={name: {"path": str(p), "sha256": _sha(p)} for name, p in study.inputs().items()},
        )
        write_json(
            building / "run.json",
            {
                "schema": SCHEMA,
                "kind": program.kind,
                "identity": study.identity(),
                "seed": study.seed,
                "units": plan.counts,
                "batch": dict(plan.batch),
            },
        )
        building.rename(root)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError) and (root / "run.json").is_file():
            return prepare(plan, root)  # another process was faster
        with disk_errors(root):
            raise
    return Run(root)


def _portable_yaml(study: BaseStudy) -> str:
    """The study with the copies of its inputs in the run, so that the run can be moved, resumed and replayed."""
    return to_yaml(study.with_inputs({name: Path("inputs") / path.name for name, path in study.inputs().items()}))


def _sha(path: Path) -> str:
    from membrane_dask.config import file_digest

    return file_digest(path)
