"""The contract between a study and the engine: what is to be done, and where each answer goes.

A study knows its physics and hands the engine a :class:`Program`; the engine knows clusters and
files and never learns what a unit computes. Neither imports the other; both import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from membrane_dask.schema import Variable


@dataclass(frozen=True)
class Unit:
    """One unit of work: a pure function of its parameters and its seed.

    Parameters
    ----------
    key : str
        Names the unit in the journal, the logs and on the command line; safe as a file name.
    task : str
        What kind of unit it is; also names where its answer goes.
    index : tuple of int
        Its place along the unit dimensions of that table or volume.
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
        """Independent stream of this unit: the same wherever and whenever it runs."""
        return np.random.SeedSequence(entropy=self.seed[0], spawn_key=self.seed[1:])


#: ``work(context, unit) -> (arrays, feedback)``
Work = Callable[[Mapping[str, Any], Unit], tuple[dict[str, np.ndarray], dict[str, float]]]


@dataclass(frozen=True)
class Outcome:
    """What the journal knows of a unit that is finished."""

    status: Literal["done", "failed"]
    feedback: Mapping[str, float] = field(default_factory=dict)


History = Mapping[str, Outcome]
#: Units that the history newly allows. Called first with what the journal holds, then after every
#: finished batch; each unit is returned once, finished or not (the engine leaves out what is
#: finished). The answers depend on the history alone, so a resumed run proposes what the first would.
Proposer = Callable[[History], Sequence[Unit]]


@dataclass(frozen=True)
class Table:
    """One labelled table of the result, with a place for every unit.

    Parameters
    ----------
    name : str
        Group in ``result.zarr``; also the task of the units that fill it.
    unit_dims : tuple of str
        Dimensions that number the units; batches run along the last.
    variables : tuple of Variable
        What each unit returns.
    coords : mapping of str to (N,) array
        Labels of every dimension, units' own included.
    attrs : mapping
        Attributes of the group.
    seconds : float
        Rough time of a unit, to choose batches; 0 stands for "each unit is a batch of its own".
    sparse : bool
        Whether the program decides on the way which places are filled, and may leave some empty.
    """

    name: str
    unit_dims: tuple[str, ...]
    variables: tuple[Variable, ...]
    coords: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    sparse: bool = False

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Number of units along each unit dimension."""
        return tuple(len(self.coords[dim]) for dim in self.unit_dims)


@dataclass(frozen=True)
class Volume:
    """One three-dimensional image ``(z, y, x)``, filled slab by slab along ``y``.

    Parameters
    ----------
    name : str
        Name of the image; also the task of the units that fill it.
    shape : tuple of int
        Voxels along ``z, y, x``.
    block : int
        Planes of ``y`` in a slab; the last slab may be thinner.
    voxel_size_nm : float
        Edge of a voxel in nanometres, > 0.
    """

    name: str
    shape: tuple[int, int, int]
    block: int
    voxel_size_nm: float

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Number of slabs."""
        return (-(-self.shape[1] // self.block),)


@dataclass(frozen=True)
class Field:
    """Numbers in all voxels of a volume, ``(component, z, y, x)``, filled slab by slab along ``z``.

    Parameters
    ----------
    name : str
        Group in ``result.zarr``; also the task of the units that fill it.
    variable : Variable
        What each unit returns: its planes of it.
    coords : mapping of str to (N,) array
        Labels of every dimension.
    planes : int
        Planes of ``z`` in a slab; the last slab may be thinner.
    attrs : mapping
        Attributes of the group.
    """

    name: str
    variable: Variable
    coords: Mapping[str, np.ndarray]
    planes: int
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Components, and voxels along ``z, y, x``."""
        return tuple(len(self.coords[dim]) for dim in self.variable.dims)

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Number of slabs."""
        return (-(-self.shape[1] // self.planes),)


@dataclass(frozen=True)
class Parts:
    """Arrays of any length, one file for every unit: what units leave for later ones and for ``collect``.

    Parameters
    ----------
    name : str
        Folder below ``parts/``; also the task of the units that fill it.
    unit_shape : tuple of int
        Number of units along each of their dimensions.
    sparse : bool
        Whether the program decides on the way which units there are; ``unit_shape`` is then the most.
    passing : bool
        Whether they are steps on a way, large and soon of no more use: not compressed, and removed once the run is
        complete.
    """

    name: str
    unit_shape: tuple[int, ...]
    sparse: bool = False
    passing: bool = False


class PartReader(Protocol):
    """Finds what earlier units of the run have left; units get it as ``context["parts"]``."""

    def read(self, name: str, index: tuple[int, ...], only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays that one unit of ``name`` has left, or some of them."""


@dataclass(frozen=True)
class Dataset:
    """Data that are known before the run starts, kept with the result: an input, its features."""

    name: str
    variables: Mapping[str, tuple[tuple[str, ...], np.ndarray, Mapping[str, Any]]]
    coords: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any] = field(default_factory=dict)


class Program(Protocol):
    """A study made ready to run.

    Attributes
    ----------
    work : callable
        ``work(context, unit) -> (arrays, feedback)``: a module-level function. ``arrays`` holds one
        array for every variable of the unit's table (or ``{"volume": block}``, or any for parts), ``feedback``
        the few numbers that later proposals read.
    context : mapping
        What every unit shares; small, sent with every batch. The engine adds ``parts``, a :class:`PartReader`.
    """

    kind: str
    tables: Sequence[Table]
    volumes: Sequence[Volume]
    fields: Sequence[Field]
    parts: Sequence[Parts]
    static: Sequence[Dataset]
    context: Mapping[str, Any]
    attrs: Mapping[str, Any]

    @property
    def about(self) -> Sequence[tuple[str, str]]:
        """What a plan says of the inputs, as pairs of words."""

    @property
    def work(self) -> Work: ...  # noqa: D102

    def proposer(self) -> Proposer:
        """A fresh proposer, which has proposed nothing yet."""

    def pilots(self) -> Sequence[Unit]:
        """Few units that stand for the rest, to measure what a run will cost."""

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of one unit's working memory, by task."""

    def collect(
        self, read: Callable[[str], Any], history: History
    ) -> Mapping[str, tuple[tuple[Variable, ...], tuple[str, ...], Mapping[str, np.ndarray]]]:
        """Tables that follow from the finished ones: name -> (variables, dims, values by name, labels by dimension).

        ``read`` gives a table as a dataset, and parts as a mapping from the index of each unit to its arrays.
        """
