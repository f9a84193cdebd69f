"""Sources of a study: the studies whose results it reads, its own included, and their runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.config import BaseStudy, OwnStudy
from membrane_dask.engine import layout
from membrane_dask.engine.plan import Plan, run_name
from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import find_runs
from membrane_dask.engine.verification import opening_faults, summary
from membrane_dask.errors import Problem, Source, StudyError, Where
from membrane_dask.files import disk_errors, write_atomically
from membrane_dask.studies.registry import find_kind, kinds
from membrane_dask.study_file import load_study_with_source, parse_study, to_short_yaml

#: Folder of runs, and of the files of studies that other studies define.
RUNS = Path("runs")


@dataclass(frozen=True)
class SourceStudy:
    """A study whose run another study reads.

    Parameters
    ----------
    name : str
        Field of the reader, or name among its own studies.
    path : Path
        File of the study.
    study : BaseStudy
        The study, to be run where the reader runs.
    source : Source
        Positions of its entries, for the errors.
    own : OwnStudy, optional
        Its definition, if the reader defines it.
    reader_source : Source, optional
        Positions of the entries of the reader.
    """

    name: str
    path: Path
    study: BaseStudy
    source: Source
    own: OwnStudy | None
    reader_source: Source | None

    @property
    def where(self) -> Where:
        """Position of the study in its reader."""
        return self.own.where if self.own else (self.name,)

    @contextmanager
    def errors_of_reader(self) -> Iterator[None]:
        """Errors of a study that the reader defines are errors of the reader, at the position of the setting."""
        try:
            yield
        except StudyError as error:
            if self.own is None or error.source.name != self.source.name:
                raise
            raise _error_of_reader(error, self.own, self.reader_source) from error.__cause__


@dataclass(frozen=True)
class SourcePlan:
    """A study whose run another study reads, at any distance.

    Parameters
    ----------
    path : Path
        File of the study.
    plan : Plan or None
        None if its run is complete, while studies whose runs it reads itself are not finished, and where it was only
        checked.
    finished : bool
        Whether its run is complete.
    """

    path: Path
    plan: Plan | None
    finished: bool


def prepared_sources(
    study: BaseStudy, source: Source | None, prepare: Callable[[BaseStudy, Source], Plan | None]
) -> list[SourcePlan]:
    """Studies whose runs a study reads, and those that they read, in the order in which they run.

    Parameters
    ----------
    study : BaseStudy
        The reader.
    source : Source, optional
        Positions of its entries, for the errors.
    prepare : callable
        Plans a study that is not finished and whose own sources are, or only checks it.

    Raises
    ------
    StudyError
        If one of them cannot be run.
    """
    planned: dict[Path, SourcePlan] = {}
    _prepare_sources(study, source, prepare, planned)
    return list(planned.values())


def _prepare_sources(
    study: BaseStudy, source: Source | None, prepare: Callable[[BaseStudy, Source], Plan | None],
    planned: dict[Path, SourcePlan],
) -> bool:  # fmt: skip
    """Prepare the sources of a study that are not prepared yet; whether all of its own are finished."""
    study = through_sources(study, source)
    finished = True
    for item in source_studies(study, source):
        path = item.path.resolve()
        if path not in planned:
            with item.errors_of_reader():
                made, is_finished = None, False
                if _prepare_sources(item.study, item.source, prepare, planned):
                    ready = with_finished_sources(item.study, item.source)
                    is_finished = is_complete(run_directory(ready))
                    made = None if is_finished else prepare(ready, item.source)
            planned[path] = SourcePlan(item.path, made, is_finished)
        finished &= planned[path].finished
    return finished


def with_finished_sources(study: BaseStudy, source: Source | None) -> BaseStudy:
    """The study with finished runs in place of the studies that it reads from.

    Raises
    ------
    StudyError
        If one of them was not run, or does not provide what is read.
    """
    study = through_sources(study, source)
    runs: dict[str, Path] = {}
    own: dict[str, Where] = {}
    for item in source_studies(study, source):
        with item.errors_of_reader():
            root = run_directory(with_finished_sources(item.study, item.source))
        if not (root / "run.json").is_file():
            message = f"is a study that was not run yet; first: membrane-dask run {item.path} (got {str(item.path)!r})"
            raise StudyError([Problem(item.where, message)], source)
        runs[item.name], own[item.name] = root.resolve(), item.where
    runs = {name: path for name, path in (study.sources() | runs).items() if (path / "run.json").is_file()}
    for name, path in runs.items():
        require_source(path, study.content_of_source(name), own.get(name) or study.source_position(name), source)
    return with_sources(study, runs, source)


def with_sources(study: BaseStudy, runs: Mapping[str, Path], source: Source | None) -> BaseStudy:
    """The study that reads these runs, by name.

    Raises
    ------
    StudyError
        If the study does not fit them; at the positions of its entries.
    """
    try:
        return study.with_sources(runs) if runs else study
    except StudyError as error:
        raise StudyError(error.problems, source) from error.__cause__


def through_sources(study: BaseStudy, source: Source | None) -> BaseStudy:
    """The study with what its sources read, of the kinds that it reads through; these need not have been run.

    Raises
    ------
    StudyError
        If what a run has read is gone or has changed, or the settings of a source differ from those of the study.
    """
    for name, path in study.sources().items() if study.reads_through else ():
        where = study.source_position(name)
        other: BaseStudy | None = None
        if (path / "run.json").is_file():
            run = Run(path)
            other = _study_of_run(run, where, source) if run.kind in study.reads_through else None
        elif path.suffix.lower() in (".yaml", ".yml"):
            other, _ = load_study_with_source(path)
        if other is not None and other.kind in study.reads_through:
            try:
                study = study.through(name, other)
            except StudyError as error:
                raise StudyError(error.problems, source) from error.__cause__
    return study


def _study_of_run(run: Run, where: Where, source: Source | None) -> BaseStudy:
    """The study of a run, if it still reads what the run has read.

    Raises
    ------
    StudyError
        At the field ``where`` of the reader.
    """
    advice = f"give what it has read as the input itself (got {str(run.path)!r})"
    try:
        study = run.study
        identity = study.identity()
    except StudyError as error:
        message = f"is a run of {run.kind} whose own input cannot be read: {error.problems[0].message}; {advice}"
        raise StudyError([Problem(where, message)], source) from error
    if identity != run.identity:
        message = f"is a run of {run.kind}, of which the input or the version has changed since; {advice}"
        raise StudyError([Problem(where, message)], source)
    return study


def source_studies(study: BaseStudy, source: Source | None) -> list[SourceStudy]:
    """Studies whose runs a study reads, in the order in which they run; the files of its own ones are written.

    Parameters
    ----------
    study : BaseStudy
        The reader.
    source : Source, optional
        Positions of its entries, for the errors.

    Raises
    ------
    StudyError
        If one of them is not valid, or its kind does not provide what is read.
    """
    definitions = study.own_studies()
    items = []
    for name, path in (study.sources() | _write_own_studies(study, source)).items():
        if path.suffix.lower() not in (".yaml", ".yml"):
            continue
        own = definitions.get(name)
        loaded, own_source = load_study_with_source(path)
        update: dict[str, Any] = {"cluster": study.cluster}
        if own is None:
            require_kind(loaded.kind, study.content_of_source(name), (name,), path, source)
        else:
            update["execution"] = study.execution
        items.append(SourceStudy(name, path, loaded.model_copy(update=update), own_source, own, source))
    return items


def _write_own_studies(study: BaseStudy, source: Source | None) -> dict[str, Path]:
    """Check the studies that a study defines, and write their files; the same studies are the same files."""
    definitions = study.own_studies()
    if not definitions:
        return {}
    folder = RUNS / f"{study.name or study.kind}-studies-{_digest(definitions)[:8]}"
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for name, own in definitions.items():
        path = folder / f"{name}.yaml"
        runs = {field: str(paths[earlier].resolve()) for field, earlier in own.reads.items() if earlier in paths}
        try:
            checked = parse_study({**own.settings, **runs}, base=own.folder)
        except StudyError as error:
            unread = {field for field, earlier in own.reads.items() if earlier not in paths}  # is a problem already
            problems += [
                Problem(own.position(problem.where), problem.message)
                for problem in error.problems
                if not unread.intersection(problem.where[:1])
            ]
            continue
        # Relative to the folder, which can be moved, and the same wherever it is.
        text = to_short_yaml(checked, {field: f"{earlier}.yaml" for field, earlier in own.reads.items()})
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != text.encode():
            write_atomically(path, text)
        paths[name] = path
    if problems:
        raise StudyError(problems, source)
    return paths


def _digest(definitions: dict[str, OwnStudy]) -> str:
    content = [(name, own.settings, str(own.folder), own.reads) for name, own in definitions.items()]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _error_of_reader(error: StudyError, own: OwnStudy, source: Source | None) -> StudyError:
    return StudyError([Problem(own.position(problem.where), problem.message) for problem in error.problems], source)


def run_directory(study: BaseStudy) -> Path:
    """Directory of the run of a source: that of its name, or of another complete run of the same identity.

    Parameters
    ----------
    study : BaseStudy
        The source, whose own sources are files and finished runs.
    """
    named = RUNS / run_name(study)
    if not (named / "run.json").is_file():
        identity = study.identity()
        for run in find_runs(RUNS):
            if run.identity == identity and is_complete(run.path):
                return run.path
    return named


def is_complete(path: Path) -> bool:
    """Whether a directory holds a complete run."""
    return (path / "run.json").is_file() and Run(path).status()["state"] == "complete"


def require_kind(kind: str, content: str, where: Where, path: Path, source: Source | None) -> None:
    """Refuse a run, or a study, of a kind that does not provide the ``content`` that is read, such as ``volume``.

    Raises
    ------
    StudyError
        At the field ``where`` of the study that reads it.
    """
    if content != "tables" and content not in find_kind(kind).provides:
        providers = " or ".join(other.name for other in kinds().values() if content in other.provides)
        message = f"is of the kind {kind}, which provides no {content}; {providers} does (got {str(path)!r})"
        raise StudyError([Problem(where, message)], source)


def require_source(path: Path, content: str, where: Where, source: Source | None) -> None:
    """Refuse a run that does not provide the ``content`` that is read, is not complete, or has lost files of it.

    Raises
    ------
    StudyError
        At the field ``where`` of the study that reads it; with the command that finishes or repairs the run.
    """
    run = Run(path)
    require_kind(run.kind, content, where, path, source)
    state = run.status()["state"]
    if state != "complete":
        command = f"retry {path}" if state == "failed" else f"run {path / 'study.yaml'} --out {path}"
        message = f"is a run that is {state}; first: membrane-dask {command}"
        raise StudyError([Problem(where, f"{message} (got {str(path)!r})")], source)
    volumes = [f"volumes/{volume}.ome.zarr" for volume in run.volumes]
    components = volumes if content == "volume" else ["result.zarr", layout.TABLES]
    faults = [fault for component in components for fault in opening_faults(path, run.journal, component)]
    if faults:
        raise StudyError([Problem(where, f"is a damaged run; {summary(faults, path)}")], source)
