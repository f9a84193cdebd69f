"""The contract of a study kind and the engine: which units of work there are, and what their results are.

A study kind hands the engine a :class:`Program`. The engine runs units on a cluster and writes files, and does not
know what a unit computes; the program does not know clusters or files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from membrane_dask.schema import TableSchema, Variable


@dataclass(frozen=True)
class Unit:
    """One unit of work: a pure function of its parameters and its seed.

    Parameters
    ----------
    key : str
        Name of the unit in the journal, the logs and on the command line; safe as a file name.
    task : str
        Name of the table, image or scratch data that its result belongs to.
    index : tuple of int
        Position along the unit dimensions there.
    params : mapping
        All that distinguishes it, as plain JSON values.
    seed : tuple of int
        Entropy, then the spawn key, of the unit's own ``numpy.random.SeedSequence``.
    """

    key: str
    task: str
    index: tuple[int, ...]
    params: Mapping[str, Any]
    seed: tuple[int, ...]

    def seed_sequence(self) -> np.random.SeedSequence:
        """Independent random stream of this unit: the same wherever and whenever it runs."""
        return np.random.SeedSequence(entropy=self.seed[0], spawn_key=self.seed[1:])


#: ``work(context, unit) -> (arrays, feedback)``
Work = Callable[[Mapping[str, Any], Unit], tuple[dict[str, np.ndarray], dict[str, float]]]


@dataclass(frozen=True)
class Outcome:
    """Record of a finished unit in the journal."""

    status: Literal["done", "failed"]
    feedback: Mapping[str, float] = field(default_factory=dict)


History = Mapping[str, Outcome]


# ---------------------------------------------------------------------------------------------
# Rounds: which units follow from the outcomes of earlier ones


class UnitFailed(Exception):
    """Units that a round waited for have failed.

    Parameters
    ----------
    keys : sequence of str
        The units that failed.
    outcomes : sequence
        What the round would have received: outcomes of units, results of branches (None for a branch that ended by
        this exception).
    """

    def __init__(self, keys: Sequence[str], outcomes: Sequence[Any] = ()) -> None:
        self.keys, self.outcomes = tuple(keys), list(outcomes)
        super().__init__(f"{', '.join(self.keys)} failed")


@dataclass(frozen=True)
class Submit:
    """Request of a round to start units without waiting for them; yield the units later to wait."""

    units: Sequence[Unit]


@dataclass(frozen=True)
class Recall:
    """Request of a round for the outcome of a unit that an earlier driver of this run has finished; None without.

    For units whose parameters are expensive to decide: their feedback holds the parameters, so that a resumed run asks
    for the same unit without deciding again.
    """

    key: str


#: Generator that decides which units there are. It yields units and further generators, which run concurrently, and
#: receives the list of their outcomes and return values once all have ended; :class:`UnitFailed` is raised in it when
#: one of them failed. What it yields may depend on what it received and on nothing else, so that a resumed run, which
#: drives it again with the outcomes in the journal, asks for the same units.
Rounds = Generator[Any, Any, Any]


def settle(items: Sequence[Any]) -> Generator[Sequence[Any], Any, list[Any]]:
    """Wait for units or branches whether they fail or not; use as ``outcomes = yield from settle(units)``.

    The outcome of a branch is its return value, None where it has failed.
    """
    try:
        outcomes: list[Any] = yield items
    except UnitFailed as failure:
        return failure.outcomes
    return outcomes


# ---------------------------------------------------------------------------------------------
# Where the results of units are stored


@dataclass(frozen=True)
class Table:
    """A table of the result with an entry for every unit.

    Parameters
    ----------
    schema : TableSchema
        Its declaration.
    unit_dims : tuple of str
        Dimensions that number the units; batches run along the last.
    labels : mapping of str to (N,) array
        Labels of every dimension, units' own included.
    attrs : mapping
        Attributes of the group.
    seconds : float
        Rough time of a unit, to choose batches; 0 makes each unit a batch of its own.
    name : str
        Group in ``result.zarr``, also the task of the units that fill it; default the schema's name.
    """

    schema: TableSchema
    unit_dims: tuple[str, ...]
    labels: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.schema.name)
        _check_declared(self.schema, self.name, self.unit_dims, self.labels)

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Number of units along each unit dimension."""
        return tuple(len(self.labels[dim]) for dim in self.unit_dims)

    @property
    def nbytes(self) -> int:
        """Bytes before compression."""
        sizes = {dim: len(values) for dim, values in self.labels.items()}
        unit = sum(
            int(np.prod([sizes[dim] for dim in v.dims])) * np.dtype(v.dtype).itemsize for v in self.schema.variables
        )
        return unit * int(np.prod(self.unit_shape))


@dataclass(frozen=True)
class Image:
    """An image filled slab by slab along one axis, a unit a slab.

    Parameters
    ----------
    schema : TableSchema
        Its declaration, of one variable, whose dimensions are the axes of the image.
    labels : mapping of str to (N,) array
        Labels of every axis.
    axis : str
        The axis along which slabs follow one another.
    thickness : int
        Planes of a slab; the last one may be thinner.
    voxel_size_nm : float, optional
        Edge of a voxel in nanometres, > 0. Where it is given, the image is written as an OME-Zarr volume with a
        resolution pyramid; otherwise as a group of ``result.zarr``.
    attrs : mapping
        Attributes of the group.
    name : str
        Name of the image, also the task of the units that fill it; default the schema's name.
    """

    schema: TableSchema
    labels: Mapping[str, np.ndarray]
    axis: str
    thickness: int
    voxel_size_nm: float | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.schema.name)
        _check_declared(self.schema, self.name, (), self.labels)
        if self.voxel_size_nm is not None and (self.variable.dims, self.variable.dtype) != (("z", "y", "x"), "u1"):
            form = f"{self.variable.dtype} {self.variable.dims}"
            raise ValueError(f"an OME-Zarr volume is u1 ('z', 'y', 'x'), {self.name!r} is {form}: omit voxel_size_nm")

    @property
    def variable(self) -> Variable:
        """What each unit returns: its planes of it."""
        return self.schema.variables[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(len(self.labels[dim]) for dim in self.variable.dims)

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Number of slabs."""
        return (-(-len(self.labels[self.axis]) // self.thickness),)

    @property
    def nbytes(self) -> int:
        """Bytes before compression."""
        return int(np.prod(self.shape)) * np.dtype(self.variable.dtype).itemsize


@dataclass(frozen=True)
class Scratch:
    """Arrays of any length that units leave for later units and for ``collect``: one file a unit.

    Parameters
    ----------
    name : str
        Folder below ``scratch/``; also the task of the units that fill it.
    unit_shape : tuple of int
        Number of units along each of their dimensions; the largest possible one in an adaptive program.
    temporary : bool
        Whether they are large intermediate steps: not compressed, and removed once the run is complete.
    """

    name: str
    unit_shape: tuple[int, ...]
    temporary: bool = False


@dataclass(frozen=True)
class Dataset:
    """A table written as a whole: an input that is known before the run starts, or what follows from finished units.

    Parameters
    ----------
    schema : TableSchema
        Its declaration.
    values : mapping of str to ndarray
        Variables by name; each has the dimensions ``dims`` and then those of its declaration.
    dims : tuple of str
        Leading dimensions of all variables.
    labels : mapping of str to (N,) array
        Labels of the dimensions; one that only counts may be left out, and is numbered from 0. A dimension that has a
        unit, or that a table of the program labels otherwise, needs them.
    attrs : mapping
        Attributes of the group. A list of sentences named ``summary`` is printed with the run, and stands in the first
        lines of its report, as warnings except those that ``outcomes`` lists too. ``inconclusive`` is 1 if the study
        has not found what it looks for; the command that ran it then ends with the exit code of an unfinished study.
    name : str
        Group in ``result.zarr``; default the schema's name.
    """

    schema: TableSchema
    values: Mapping[str, np.ndarray]
    dims: tuple[str, ...] = ()
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.schema.name)
        _check_declared(self.schema, self.name, self.dims, self.labels)
        for name in self.values:
            self.schema.variable(name)


@dataclass(frozen=True)
class TableFile:
    """A table for other programs, such as a CSV file, that follows from finished units.

    Parameters
    ----------
    name : str
        Name of the file, in the folder ``tables`` of the run.
    text : str
        Its content.
    """

    name: str
    text: str


def _check_declared(schema: TableSchema, name: str, dims: Sequence[str], labels: Mapping[str, np.ndarray]) -> None:
    """Refuse names and dimensions that the declaration of a table does not have."""
    if not schema.matches(name):
        raise ValueError(f"a table of the form {schema.name!r} cannot have the name {name!r}")
    for dim in (*dims, *labels):
        schema.coordinate(dim)


@dataclass(frozen=True)
class Costs:
    """Predicted work of a run.

    Parameters
    ----------
    work : mapping of str to float
        Seconds that workers spend on all units, on idle machines, by task.
    longest : float
        Seconds of units that must follow one another, however many workers there are.
    cpu_work : mapping of str to float, optional
        CPU time of all units in seconds, by task, which the engine measures: less than ``work`` where units wait.
        Default ``work``.
    """

    work: Mapping[str, float]
    longest: float = 0.0
    cpu_work: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cpu_work", self.cpu_work or self.work)

    @property
    def total(self) -> float:
        """Seconds that workers spend on all units."""
        return sum(self.work.values())


class ScratchReader(Protocol):
    """Reads what earlier units of the run have left; units receive it as ``context["scratch"]``."""

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays that one unit of ``name`` has left, or some of them."""


class Program:
    """A study made ready to run; a study kind derives its own and overrides what it has.

    Attributes
    ----------
    kind : str
        Name of the study kind.
    adaptive : bool
        Whether outcomes decide which units are needed; the number of units is then the largest possible one.
    tables, images, scratch : sequence
        Where the results of units are stored; the task of a unit is the name of one of them.
    inputs : sequence of Dataset
        Data that are known before the run starts.
    context : mapping
        Common data of all units; small, as it is sent with every batch. The engine adds ``scratch``, a
        :class:`ScratchReader`.
    attrs : mapping
        Attributes of the result.
    unread_settings : mapping of str to frozenset of str
        Settings of the study that the units of a task do not read, by task; those of a section with dotted names. They
        may decide which units there are, and enter a unit by its parameters and its seed. A study that differs in
        nothing else imports finished units of the task from an earlier run. Units of other tasks are never imported.
    padded_dims : frozenset of str
        Dimensions along which values of a unit end in NaN, as far as the study as a whole needs.
    summary : sequence of (str, str)
        Rows of the printed plan that describe the inputs.
    work : callable
        ``work(context, unit) -> (arrays, feedback)``: a function of a module, made a ``staticmethod``. ``arrays`` holds
        an array for every variable of the unit's table or image, or any arrays for scratch data; ``feedback`` the
        few numbers that later rounds read.
    """

    kind: ClassVar[str]
    adaptive: bool = False
    tables: Sequence[Table] = ()
    images: Sequence[Image] = ()
    scratch: Sequence[Scratch] = ()
    inputs: Sequence[Dataset] = ()
    context: Mapping[str, Any] = {}
    attrs: Mapping[str, Any] = {}
    unread_settings: Mapping[str, frozenset[str]] = {}
    padded_dims: frozenset[str] = frozenset()
    work: Work

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Rows of the printed plan that describe the inputs."""
        return ()

    def previews(self) -> Mapping[str, bytes]:
        """Pictures of the inputs by file name, which the command `plan` writes into the folder of the study."""
        return {}

    def rounds(self) -> Rounds:
        """A fresh generator of all units; see :data:`Rounds`."""
        raise NotImplementedError

    def pilots(self) -> Sequence[Unit]:
        """Few units that represent the rest, to measure the cost of a run."""
        return ()

    def pilot_programs(self) -> Sequence[Program]:
        """Small programs all of whose units are run, to measure the cost of units that need earlier ones.

        The last one is measured; those before it compile what it needs.
        """
        return ()

    def costs(self, pilots: Mapping[str, float], small: Mapping[str, float]) -> Costs:
        """Predict the work of all units; called with wall times, and once more with CPU times.

        Parameters
        ----------
        pilots : mapping of str to float
            Measured seconds of a unit of :meth:`pilots`, by task.
        small : mapping of str to float
            Measured seconds of all units of the last of :meth:`pilot_programs`, by task.

        Returns
        -------
        Costs
            By default, units take as long as the pilots of their task, whose name may end in another number.
        """
        seconds = {task_stem(task): value for task, value in pilots.items()}
        targets: list[Table | Image | Scratch] = [*self.tables, *self.images, *self.scratch]
        work = {
            target.name: seconds[task_stem(target.name)] * int(np.prod(target.unit_shape))
            for target in targets
            if task_stem(target.name) in seconds
        }
        return Costs(work, max(pilots.values(), default=0.0))

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of one unit's working memory, by task."""
        return {}

    def memory_advice(self, task: str) -> str:
        """What to set so that the units of a task need less memory, as "use ..."; empty where nothing helps."""
        return ""

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset | TableFile]:
        """Tables that follow from the finished units.

        Parameters
        ----------
        read : callable
            Takes the name of a table and returns a dataset, or that of scratch data and returns a mapping from the
            index of each finished unit to its arrays; only those that a second argument names, if there is one.
        history : mapping of str to Outcome
            All finished units.

        Raises
        ------
        StudyError
            If the finished units show that the input has no result; they are kept.
        """
        return ()


def task_stem(task: str) -> str:
    """Name of a task without the number of its volume: the slabs of all volumes are alike."""
    return task.rstrip("0123456789").rstrip("-_")
