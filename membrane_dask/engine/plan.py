"""Plan of a run: its units of work, their batches, memory and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from membrane_dask.config import BaseStudy
from membrane_dask.engine.cluster.profiles import Profile, resolve
from membrane_dask.engine.control_groups import cpu_limit, memory_limit
from membrane_dask.errors import Problem, StudyError
from membrane_dask.program import Costs, Image, Program, Scratch, Table, task_stem

#: Target for the work in a batch, in seconds: long compared with the overhead of a task, short enough that a lost
#: worker costs little.
BATCH_SECONDS = 10.0
#: Above this number of batches they become longer, up to a minute, as such a study pays on thousands of workers only
#: and one driver handles some 160 batches in a second (benchmarks/saturation.py).
MANY_BATCHES = 10_000
LONGEST_BATCH_SECONDS = 60.0
#: Short studies are divided into 64 batches, none shorter than this: writing one takes tens of milliseconds.
SHORTEST_BATCH_SECONDS = 1.0
#: Memory of a worker's interpreter and libraries before any unit runs, in bytes (measured, rounded up).
WORKER_BYTES = 400_000_000
#: Time in which workers start and load compiled code, in seconds (measured).
START_SECONDS = 4.0
#: Units that take this factor longer than their CPU time wait, for example for processes or files.
_WAITING = 1.5
#: Wall time of pilots over that on an idle machine from which a plan names it.
_BUSY = 1.5
#: Memory of the driver, and of the scheduler in its process, when workers are local, in bytes (measured, rounded up).
DRIVER_BYTES = 250_000_000


def default_workers(profile: Profile, worker_bytes: int = WORKER_BYTES) -> int:
    """Number of workers: simulations that run at the same time.

    Parameters
    ----------
    profile : Profile
        Resolved cluster profile.
    worker_bytes : int
        Memory that a worker needs: without a number in the profile, all local workers have it.
    """
    if profile.scheduler == "sync":
        return 1
    if profile.is_batch and not (profile.single_allocation and profile.scheduler != "slurm"):
        return (profile.jobs or 1) * (profile.workers or 1)
    if profile.workers:
        return profile.workers
    each = profile.memory * 1e6 if profile.memory else worker_bytes
    return max(1, min(cpu_limit().value // (profile.threads or 1), int(local_memory(profile) // each)))


def local_memory(profile: Profile) -> int:
    """Memory of this machine, or of this container or job, that workers on it may use together, in bytes."""
    limit = memory_limit().value
    return limit - max(limit // 10, 0 if profile.scheduler == "sync" else DRIVER_BYTES)


def worker_memory(profile: Profile) -> int:
    """Memory that one worker may use, in bytes."""
    if profile.memory is not None:
        return int(profile.memory * 1e6)
    return max(0, local_memory(profile) // default_workers(profile))


def run_name(study: BaseStudy) -> str:
    """Name of the run of a study, whose sources are files and runs."""
    return f"{study.name or study.kind}-{study.identity()[:8]}"


@dataclass(frozen=True)
class ImportSource:
    """An earlier run that holds units of a study.

    Parameters
    ----------
    path : Path
        Its directory.
    identity : str
        Digest of all that decides its result.
    units : mapping of str to int
        Number of units of the study that it holds, by task.
    changes : str
        What of the software has changed since, in words, so that its units are computed again; empty if they are
        imported.
    """

    path: Path
    identity: str
    units: Mapping[str, int]
    changes: str = ""

    def record(self) -> dict[str, Any]:
        """What the run of the study stores of it, before any unit is imported."""
        return {"run": str(self.path.resolve()), "identity": self.identity, "units": 0}


@dataclass(frozen=True)
class Plan:
    """What a run will do, decided before it starts.

    Parameters
    ----------
    study : BaseStudy
        The checked study.
    program : Program
        The study made ready to run.
    cluster : Profile
        The cluster on which it will run.
    batch : mapping of str to int
        Units in a batch, which is a chunk of the result, by table.
    seconds : mapping of str to float
        Measured time of a pilot, by task without its number; empty until :meth:`measured`.
    costs : Costs, optional
        Predicted work of all units, those included that are imported; None until :meth:`measured`.
    slowdown : float, optional
        Wall time of the pilots over that on an idle machine; None until :meth:`measured`.
    imports : tuple of ImportSource
        Earlier runs that hold units of the study.
    """

    study: BaseStudy
    program: Program
    cluster: Profile
    batch: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict)
    costs: Costs | None = None
    slowdown: float | None = None
    imports: tuple[ImportSource, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run: that of the study, and eight digits of its identity."""
        return run_name(self.study)

    @property
    def counts(self) -> dict[str, int]:
        """Number of units, by task."""
        program = self.program
        targets: list[Table | Image | Scratch] = [*program.tables, *program.images, *program.scratch]
        return {target.name: math.prod(target.unit_shape) for target in targets}

    @property
    def total(self) -> int:
        """Number of units."""
        return sum(self.counts.values())

    @property
    def result_bytes(self) -> int:
        """Size of the result before compression, in bytes."""
        targets: list[Table | Image] = [*self.program.tables, *self.program.images]
        return sum(target.nbytes for target in targets)

    @property
    def n_imported(self) -> dict[str, int]:
        """Number of units that are imported from earlier runs, by task."""
        numbers: dict[str, int] = {}
        for source in self.imports:
            for task, number in source.units.items() if not source.changes else ():
                numbers[task] = numbers.get(task, 0) + number
        return numbers

    @property
    def work(self) -> dict[str, float] | None:
        """Predicted CPU time of the units that are computed in seconds, by task, if it was measured."""
        return None if self.costs is None else self._computed(self.costs.cpu_work)

    def _computed(self, work: Mapping[str, float]) -> dict[str, float]:
        """Work by task without that of the units that are imported."""
        counts, imported = self.counts, self.n_imported
        return {
            task: seconds * (1 - imported.get(task, 0) / counts[task] if counts.get(task) else 1)
            for task, seconds in work.items()
        }

    @property
    def cost(self) -> float | None:
        """Predicted CPU time of the units that are computed in seconds, if it was measured."""
        return None if (work := self.work) is None else sum(work.values())

    @property
    def worker_time(self) -> float:
        """Predicted seconds that workers spend on the units that are computed; 0 if it was not measured."""
        return sum(self._computed(self.costs.work).values()) if self.costs else 0.0

    @property
    def time(self) -> float | None:
        """Predicted time of the run in seconds, if its cost was measured."""
        if self.costs is None:
            return None
        spent = self.worker_time
        return self._start_seconds + max(spent / default_workers(self.cluster), min(self.costs.longest, spent))

    @property
    def _start_seconds(self) -> float:
        return 0.0 if self.cluster.scheduler == "sync" else START_SECONDS

    @property
    def time_scope(self) -> str:
        """What the predicted time includes and what not, and how busy the machine was when it was measured."""
        start = f"with {as_seconds(self._start_seconds)} to start workers, " if self._start_seconds else ""
        text = f"{start}without compiling, on an idle machine"
        is_here = self.cluster.scheduler in ("local", "sync")
        if is_here and self.slowdown is not None and self.slowdown > _BUSY:
            text += f"; other processes now make it {self.slowdown:.2g} times as long"
        return text

    def without_imports(self) -> Plan:
        """The same plan, by which all units are computed."""
        return replace(self, imports=())

    def measured(self) -> Plan:
        """The same plan with its predicted cost, from a few pilot units that are run here and now."""
        from membrane_dask.engine.costs import measure

        costs, seconds, slowdown = measure(self.program)
        seconds = {task_stem(task): value for task, value in seconds.items()}
        return replace(self, costs=costs, seconds=seconds, slowdown=slowdown)

    def comparison(self, work: float, time: float | None) -> str:
        """A sentence that compares the predicted cost with the actual one.

        Parameters
        ----------
        work : float
            CPU time of the units, in seconds.
        time : float or None
            Seconds that the run has taken; None if several drivers have worked on it, with pauses between them.
        """
        actual, predicted = (f"{as_seconds(value)} of CPU time" for value in (work, self.cost or 0.0))
        if time is not None:
            actual = f"{actual} and {as_seconds(time)} of wall time"
            predicted = f"{predicted} and {as_seconds(self.time or 0.0)} of wall time"
        return f"the run took {actual}; predicted were {predicted}"

    def driver_count(self) -> int:
        """Number of drivers of a series to submit at once: more than one where nodes may not submit jobs."""
        profile = self.cluster
        if not profile.single_allocation or not profile.walltime:
            return 1
        work = self.worker_time / default_workers(profile)
        return min(100, 1 + math.ceil(work / (0.8 * profile.walltime)))

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the printed plan: name and text."""
        cluster = self.cluster
        workers = default_workers(cluster)
        kinds: dict[str, int] = {}
        for task, count in self.counts.items():
            kinds[task_stem(task)] = kinds.get(task_stem(task), 0) + count
        units = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        batches = ", ".join(f"{n} {task}" for task, n in self.batch.items())
        limit = self._memory_limit()
        rows = [
            ("study", f"{self.study.name} ({self.study.kind})"),
            ("run", self.name),
            ("units", f"{'at most ' if self.program.adaptive else ''}{self.total} ({units})"),
            *([("batches", f"of {batches}")] if batches else []),
            *self._import_rows(),
            ("seed", str(self.study.seed)),
            *self.program.summary,
            *([("result", self._result())] if self.result_bytes else []),
            ("memory", f"{as_bytes(self.needed_memory())} for each worker" + (f"; there are {limit}" if limit else "")),
        ]
        rows.append(("cluster", self._cluster()))
        if self.cost is not None and self.time is not None:
            work: dict[str, float] = {}
            for task, seconds in (self.work or {}).items():
                work[task_stem(task)] = work.get(task_stem(task), 0.0) + seconds
            each = ", ".join(f"{kind} {as_seconds(work[kind])}" for kind in kinds if kind in work)
            waiting = self.worker_time > _WAITING * self.cost
            longer = f"; its units take {as_seconds(self.worker_time)}, as they wait" if waiting else ""
            rows.append(("cost", f"about {as_seconds(self.cost)} of CPU time ({each}; from pilots){longer}"))
            number = f"{workers} worker{'s' * (workers > 1)}"
            rows.append(("time", f"about {as_seconds(self.time)} on {number}, {self.time_scope}"))
        return rows

    def _import_rows(self) -> Iterator[tuple[str, str]]:
        """What of the study is in earlier runs."""
        yield from (("note", text) for text in self.refused_imports())
        for source in self.imports:
            if not source.changes:
                yield "imports", f"{self._units_in(source)} and are imported from there"

    def refused_imports(self) -> Iterator[str]:
        """Sentences on units of earlier runs that are computed again, as the software has changed."""
        for source in self.imports:
            if source.changes:
                yield f"{self._units_in(source)}, but are computed again: {source.changes}"

    def _units_in(self, source: ImportSource) -> str:
        return f"{sum(source.units.values())} of {self.total} units are in {source.path}"

    def _result(self) -> str:
        from membrane_dask.engine.file_counts import result_files

        files = result_files(self.program, self.batch)
        return f"{as_bytes(self.result_bytes)} before compression, in {files} files"

    def _cluster(self) -> str:
        profile = self.cluster
        workers = default_workers(profile)
        if profile.scheduler == "address":
            return profile.name
        if not profile.is_batch:
            return f"{profile.name}, {workers} worker{'s' * (workers > 1)}"
        jobs, each = profile.jobs or 1, profile.workers or 1
        text = f"{profile.name}, up to {jobs} job{'s' * (jobs > 1)} of {each} worker{'s' * (each > 1)}"
        if profile.walltime:
            text += f" for {as_seconds(profile.walltime)}"
        options = (("queue", profile.queue), ("account", profile.account))
        return text + "".join(f", {name} {value}" for name, value in options if value)

    def _memory_limit(self) -> str:
        """The limit of a container, which surprises more than the memory of a machine."""
        limit = memory_limit()
        is_local = self.cluster.scheduler in ("local", "sync")
        return f"{as_bytes(limit.value)}, {limit.source}" if limit.is_group and is_local else ""

    def worker_memory(self) -> str:
        """Memory at which a worker is ended, with its source, for messages; empty if workers are never ended."""
        if self.cluster.scheduler in ("address", "sync"):
            return ""
        limit = self._memory_limit()
        return as_bytes(worker_memory(self.cluster)) + (f" (of {limit})" if limit else "")

    def needed_memory(self) -> int:
        """Bytes a worker needs: its interpreter and the largest unit."""
        return WORKER_BYTES + max(self.program.memory().values(), default=0)

    def __str__(self) -> str:
        return "\n".join(f"{name:<8} {text}" for name, text in self.rows())

    def __repr__(self) -> str:
        return f"<Plan {self.name}: {self.total} units>"

    def _repr_html_(self) -> str:
        from membrane_dask.notebook_html import links, table

        folder = Path("runs") / self.name
        return table("Plan", self.rows(), links([("run", folder)] if (folder / "run.json").is_file() else []))


def make_plan(study: BaseStudy, program: Program) -> Plan:
    """Decide batches and the number of local workers, and refuse what cannot work.

    Raises
    ------
    StudyError
        If a unit needs more memory than a worker has, or the workers more than there is.
    """
    plan = Plan(
        study,
        program,
        resolve(study.cluster),
        {t.name: choose_batch(t, study.execution.batch) for t in program.tables},
    )
    if plan.cluster.scheduler == "local":
        workers = default_workers(plan.cluster, plan.needed_memory())
        plan = replace(plan, cluster=plan.cluster.model_copy(update={"workers": workers}))
    if plan.cluster.scheduler != "address":
        _require_memory(plan)
    return plan


def _require_memory(plan: Plan) -> None:
    cluster, workers, limit = plan.cluster, default_workers(plan.cluster), memory_limit()
    available, needed = worker_memory(cluster), plan.needed_memory()
    there = f"{as_bytes(limit.value)}, {limit.source}"
    if needed > available:
        task, size = max(plan.program.memory().items(), key=lambda item: item[1], default=("any task", 0))
        message = f"a unit of {task} needs {as_bytes(size)} and its worker {as_bytes(WORKER_BYTES)}, but a worker has "
        message += as_bytes(available)
        if cluster.memory is None:
            message += f" of {there}"
        fewer = f"use fewer than {workers} workers" if workers > 1 and not cluster.is_batch else ""
        message += "; " + ", or ".join(filter(None, ["give it more", fewer, plan.program.memory_advice(task)]))
    elif cluster.is_batch:  # its workers run elsewhere
        return
    elif available > limit.value:
        message = f"must be at most the memory that there is: {there} (got {cluster.memory:g} MB for each worker)"
    elif workers * needed > local_memory(cluster):
        fitting = local_memory(cluster) // needed
        advice = f"use at most {fitting} workers" if fitting else "they need more memory"
        message = f"{workers} workers need {as_bytes(needed)} each and the driver {as_bytes(DRIVER_BYTES)}, but there "
        message += f"are {there}; {advice}"
    else:
        return
    raise StudyError([Problem(("cluster", "memory"), message)])


def choose_batch(table: Table, requested: int | None) -> int:
    """Units in a batch, which is a chunk of the result: as requested, or about ten seconds' work.

    The study alone decides, not the cluster, so that a run is the same to the last byte wherever it
    was made. Short studies are cut finer, to keep workers busy.
    """
    longest = table.unit_shape[-1]
    if table.seconds <= 0:
        return 1
    total = math.prod(table.unit_shape)
    seconds = min(max(BATCH_SECONDS, total * table.seconds / MANY_BATCHES), LONGEST_BATCH_SECONDS)
    shortest = math.ceil(SHORTEST_BATCH_SECONDS / table.seconds)
    units = requested or min(math.ceil(seconds / table.seconds), max(math.ceil(total / 64), shortest), 1000)
    return max(1, min(units, longest))


def as_bytes(size: float) -> str:
    """Size in the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # which three digits would show as 1e+03
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def as_seconds(seconds: float) -> str:
    """Duration in the unit that reads best."""
    if seconds < 99.5:  # rounded to two digits, 100 would be 1e+02
        return f"{seconds:.2g} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.2g} min"
    return f"{seconds / 3600:.3g} h"


def as_seconds_range(shortest: float, longest: float) -> str:
    """A range of times, such as ``2 to 4 min``, or ``about 3 min`` where its ends differ little."""
    if longest < 1.5 * shortest:
        return f"about {as_seconds(max((shortest + longest) / 2, 1.0))}"
    first, last = as_seconds(max(shortest, 1.0)), as_seconds(max(longest, 1.0))
    if first == last:
        return f"about {last}"
    number, unit = first.split()
    return f"{number if last.endswith(f' {unit}') else first} to {last}"


def environment(threads: int = 1) -> dict[str, Any]:
    """Environment of a worker process: one thread, as parallelism is over units.

    The limits of the allocator are the largest that glibc chooses by itself. By the default of Dask's nannies, memory
    goes back to the operating system after every array, and a unit of small arrays spends a third of its time on that.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    limits = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
    return dict.fromkeys(names, str(threads)) | limits
