"""Import of units from earlier runs, which :mod:`.import_sources` has found and the run has recorded.

The driver copies the values of open units: verified by the digest in the journal of the earlier run, written like
computed ones, and recorded in the journal as imported. What is missing or altered there is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from membrane_dask.engine import durability, store
from membrane_dask.engine.import_sources import RecordedUnit, recorded_units, software_changes
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.late_files import wait_until_visible
from membrane_dask.engine.layout import ResultError
from membrane_dask.engine.layout_record import LayoutRecord
from membrane_dask.engine.logs import logger
from membrane_dask.engine.provenance import Provenance
from membrane_dask.engine.run import Run
from membrane_dask.engine.software import Software
from membrane_dask.engine.source_runs import is_complete
from membrane_dask.engine.unit_addresses import Addresses
from membrane_dask.engine.worker import BatchResult, process_name
from membrane_dask.errors import UnreadableRunError
from membrane_dask.program import Outcome, Program, Unit

#: Units whose values are in memory at a time.
_UNITS_READ = 100


@dataclass(frozen=True, slots=True)
class _Copy:
    """A unit of this run, and where its values are."""

    unit: Unit
    recorded: RecordedUnit


@dataclass
class _OpenSource:
    """An earlier run that is read."""

    path: Path
    identity: str
    sinks: Mapping[str, store.Sink]
    units: Mapping[str, RecordedUnit]
    n_imported: int = 0
    lost: list[str] = field(default_factory=list)


class UnitImports:
    """Units that the run of a study takes from earlier runs.

    Parameters
    ----------
    run : Run
        The run that receives them.
    program : Program
        Its program.
    software : Software
        Software of this process; only runs of the same software are read.
    sync : bool
        Whether values are recorded only once they are on disk.
    notify : callable
        Receives messages for the user.
    """

    def __init__(
        self, run: Run, program: Program, software: Software, *, sync: bool, notify: Callable[[str], None]
    ) -> None:
        self.addresses = Addresses(run.task_identities)
        self._root, self._program, self._software = run.path.resolve(), program, software
        self._sync, self._notify = sync, notify
        self._provenance = Provenance(run.path)
        self._records = self._provenance.imports() if self.addresses.identities else []
        self._opened: list[_OpenSource] | None = None

    def may_have(self, unit: Unit) -> bool:
        """Whether an earlier run may hold a unit."""
        return bool(self._records) and unit.task in self.addresses.identities

    def take(
        self, units: Sequence[Unit], sinks: Mapping[str, store.Sink], journal: Journal, proceed: Callable[[], bool]
    ) -> dict[str, Outcome]:
        """Copy the values of units from the runs that hold them, and record them.

        Parameters
        ----------
        units : sequence of Unit
            Open units, of chunks that nobody else writes.
        sinks : mapping of str to Sink
            Storage of the run.
        journal : Journal
            Journal of the run.
        proceed : callable
            Called before every group of units; False ends the import, and the units that are left stay open.

        Returns
        -------
        dict of str to Outcome
            Outcomes of the units that were imported, by key.
        """
        sources = self._sources()
        chunks: dict[tuple[int, str, tuple[int, ...]], list[_Copy]] = {}
        for unit in units:
            address = self.addresses(unit)
            number = next((k for k, source in enumerate(sources) if address in source.units), None)
            if number is not None:
                chunk = number, unit.task, sinks[unit.task].chunk(unit)
                chunks.setdefault(chunk, []).append(_Copy(unit, sources[number].units[address]))
        outcomes: dict[str, Outcome] = {}
        for (number, task, _), copies in chunks.items():
            for start in range(0, len(copies), _UNITS_READ):
                if not proceed():
                    break
                outcomes |= self._copy(sources[number], sinks[task], copies[start : start + _UNITS_READ], journal)
        self._report(sources, journal)
        return outcomes

    def _copy(
        self, source: _OpenSource, sink: store.Sink, copies: Sequence[_Copy], journal: Journal
    ) -> dict[str, Outcome]:
        """Copy units of one chunk of the run."""
        intact = self._intact_values(source, sink, copies)
        units = [copy.unit for copy in copies if copy.unit.key in intact]
        source.lost += [copy.unit.key for copy in copies if copy.unit.key not in intact]
        if not units:
            return {}
        values = [intact[unit.key] for unit in units]
        wait_until_visible(lambda: sink.write(units, values), sink.path)  # another host may have laid it out
        if self._sync:
            durability.sync_files(sink.chunk_files(sink.chunk(units[0])), self._root)
        recorded = {copy.unit.key: copy.recorded for copy in copies if copy.unit.key in intact}
        result = BatchResult(
            seconds={key: unit.seconds for key, unit in recorded.items()},
            cpu_seconds={key: unit.cpu_seconds for key, unit in recorded.items()},
            memory={key: unit.memory for key, unit in recorded.items()},
            sha256={key: store.digest(values) for key, values in intact.items()},
            feedback={key: dict(unit.feedback) for key, unit in recorded.items()},
            worker=process_name(),
        )
        former = [recorded[unit.key].sha256 for unit in units]
        origin = {"run": str(source.path), "identity": source.identity, "sha256": former}
        addresses = [self.addresses(unit) for unit in units]
        journal.append({**result.record(units), "address": addresses, "imported": origin})
        source.n_imported += len(units)
        return {unit.key: Outcome("done", result.feedback[unit.key]) for unit in units}

    def _intact_values(
        self, source: _OpenSource, sink: store.Sink, copies: Sequence[_Copy]
    ) -> dict[str, dict[str, np.ndarray]]:
        """Values that are those which the earlier run has recorded, in the form of this run, by key."""
        by_key = {copy.recorded.unit.key: copy for copy in copies}
        intact: dict[str, dict[str, np.ndarray]] = {}
        try:
            for stored, values in source.sinks[copies[0].unit.task].values([copy.recorded.unit for copy in copies]):
                copy = by_key[stored.key]
                if values is not None and store.digest(values) == copy.recorded.sha256:
                    padded = _padded(sink, values, self._program.padded_dims)
                    intact[copy.unit.key] = sink.check(copy.unit, padded)
        except Exception as error:  # whatever is wrong with the earlier run, its units are computed
            logger.warning("%s cannot be read: %s: %s", source.path, type(error).__name__, error)
        return intact

    def _sources(self) -> list[_OpenSource]:
        """The earlier runs, opened; those that cannot be used are named once."""
        if self._opened is None:
            self._opened = []
            for record in self._records:
                try:
                    self._opened.append(self._open(Path(record["run"]), record["identity"]))
                except (OSError, ValueError, UnreadableRunError) as error:
                    self._notify(f"no units are imported from {record['run']}: {error}")
        return self._opened

    def _open(self, path: Path, identity: str) -> _OpenSource:
        run = Run(path)
        layout = LayoutRecord.read(path)
        if run.identity != identity or layout is None or not is_complete(path):
            raise ValueError("it is another run now, or not complete")
        if changes := software_changes(self._software, path):
            raise ValueError(changes)
        sinks = store.described(layout.storage, path.resolve())
        return _OpenSource(path, identity, sinks, recorded_units(run.journal))

    def _report(self, sources: Sequence[_OpenSource], journal: Journal) -> None:
        """Say what was imported and what was lost since the last call, and record the numbers of imported units."""
        if any(source.n_imported for source in sources):
            numbers = journal.imported()
            self._provenance.record_imports([{**r, "units": numbers[r["identity"]]} for r in self._records])
        for source in sources:
            if source.n_imported:
                self._notify(f"{source.n_imported} units are imported from {source.path}")
            if source.lost:
                text = f"{len(source.lost)} units of {source.path} are missing or altered there"
                self._notify(f"{text}, such as {source.lost[0]}; they are computed")
            source.n_imported, source.lost = 0, []


def _padded(sink: store.Sink, values: Mapping[str, np.ndarray], dims: frozenset[str]) -> dict[str, np.ndarray]:
    """Values with the lengths of this run along dimensions that end in NaN.

    Raises
    ------
    ResultError
        If values other than NaN would be lost.
    """
    if not isinstance(sink, store.TableSink):
        return dict(values)
    padded = dict(values)
    for variable in sink.variables:
        for axis, dim in enumerate(variable.dims):
            if dim not in dims or variable.path not in padded:
                continue
            value, length = padded[variable.path], sink.sizes[dim]
            cropped, rest = np.split(value, [length], axis=axis)
            if not np.isnan(rest).all():
                raise ResultError(f"{variable.path} has values beyond the end of {dim}")
            widths = [(0, length - cropped.shape[axis] if k == axis else 0) for k in range(cropped.ndim)]
            padded[variable.path] = np.pad(cropped, widths, constant_values=np.nan)
    return padded
