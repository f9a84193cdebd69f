"""Declarations of results: variables, coordinates and tables, each with its unit and meaning.

A study kind declares all tables that it writes. The layout of a result, the check of what a unit returns, the order of
variables in an opened run, the reports and the documentation read these declarations; the engine writes nothing that
is not declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

#: A unit's entry in the variable ``status`` of its table.
TODO, DONE, FAILED = 0, 1, 2

#: Attributes of a variable that is 0 for no and 1 for yes.
FLAG: Mapping[str, object] = {"flag_values": [0, 1], "flag_meanings": "no yes"}


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    Parameters
    ----------
    name : str
        Name in the dataset.
    dims : tuple of str
        Dimensions of one unit's value; the dimensions that number the units precede them.
    dtype : str
        NumPy type on disk; empty for data that keep the type of their file.
    units : str
        UDUNITS spelling; ``"1"`` is dimensionless.
    long_name : str
        Meaning, in words of the field.
    source : str
        Paper and equation.
    group : str
        Sub-group of the table it belongs to; empty for the table itself.
    nullable : bool
        Whether a finished unit may hold NaN here. Elsewhere a NaN fails the unit.
    attrs : mapping
        Further attributes, such as CF flags.
    formerly : str
        Name in results of earlier versions, which are opened under the present one.
    internal : bool
        Whether it describes the computation rather than what is studied, such as the residual of a solver or the
        number of simulated designs. Comparisons of runs leave it out by default.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    source: str = ""
    group: str = ""
    nullable: bool = False
    attrs: Mapping[str, object] = field(default_factory=dict)
    formerly: str = ""
    internal: bool = False

    @property
    def path(self) -> str:
        """Name preceded by the sub-group, e.g. ``history/flux``."""
        return f"{self.group}/{self.name}" if self.group else self.name

    def attributes(self) -> dict[str, object]:
        """Attributes of the variable in the result."""
        attrs: dict[str, object] = {"units": self.units, "long_name": self.long_name}
        if self.source:
            attrs["source"] = self.source
        return attrs | dict(self.attrs)


STATUS = Variable(
    "status",
    (),
    "u1",
    "1",
    "state of the unit of work",
    attrs={"flag_values": [TODO, DONE, FAILED], "flag_meanings": "todo done failed"},
)


@dataclass(frozen=True)
class Coordinate:
    """Attributes of the labels of one dimension.

    Parameters
    ----------
    name : str
        Name of the dimension.
    units : str
        UDUNITS spelling; ``"1"`` is dimensionless, empty for text.
    long_name : str
        Meaning, in words of the field.
    attrs : mapping
        Further attributes.
    """

    name: str
    units: str
    long_name: str
    attrs: Mapping[str, object] = field(default_factory=dict)

    def attributes(self) -> dict[str, object]:
        """Attributes of the coordinate in the result."""
        return {"units": self.units, "long_name": self.long_name} | dict(self.attrs)


@dataclass(frozen=True)
class TableSchema:
    """Declaration of one table of a result, or of several of one form.

    Parameters
    ----------
    name : str
        Name of the group in ``result.zarr``, or a pattern such as ``optimum_*``.
    variables : tuple of Variable
        In the order in which they are shown.
    coordinates : tuple of Coordinate
        Of all dimensions, those that number the units included.
    description : str
        Content, in one sentence.
    formerly : str
        Name (or pattern) in results of earlier versions.
    """

    name: str
    variables: tuple[Variable, ...]
    coordinates: tuple[Coordinate, ...] = ()
    description: str = ""
    formerly: str = ""

    def __post_init__(self) -> None:
        paths = [variable.path for variable in self.variables]
        repeated = sorted({path for path in paths if paths.count(path) > 1})
        if repeated:
            raise ValueError(f"table {self.name!r} declares {', '.join(repeated)} more than once")
        undeclared = {dim for variable in self.variables for dim in variable.dims} - {c.name for c in self.coordinates}
        if undeclared:
            raise ValueError(f"table {self.name!r} declares no coordinate for {', '.join(sorted(undeclared))}")

    def matches(self, group: str) -> bool:
        """Whether a group of this name, now or in an earlier version, has this form."""
        return fnmatchcase(group, self.name) or bool(self.formerly and fnmatchcase(group, self.formerly))

    def variable(self, path: str) -> Variable:
        """The variable of a path.

        Raises
        ------
        KeyError
            If none is declared.
        """
        for variable in self.variables:
            if variable.path == path:
                return variable
        raise KeyError(
            f"table {self.name!r} declares no variable {path!r}; declare it in the variables of its study kind"
        )

    def coordinate(self, dim: str) -> Coordinate:
        """The coordinate of a dimension.

        Raises
        ------
        KeyError
            If none is declared.
        """
        for coordinate in self.coordinates:
            if coordinate.name == dim:
                return coordinate
        raise KeyError(
            f"table {self.name!r} declares no coordinate {dim!r}; declare it in the variables of its study kind"
        )

    def with_coordinate(self, coordinate: Coordinate) -> TableSchema:
        """The same table with this coordinate in place of the declared one of its name."""
        coordinates = tuple(coordinate if c.name == coordinate.name else c for c in self.coordinates)
        return replace(self, coordinates=coordinates)


def find_table(tables: Iterable[TableSchema], group: str) -> TableSchema | None:
    """The declaration of a group's form; an exact name takes precedence over a pattern."""
    candidates = [table for table in tables if table.matches(group)]
    exact = [table for table in candidates if group in (table.name, table.formerly)]
    return next(iter(exact or candidates), None)


def renamed_group(table: TableSchema, group: str) -> str:
    """Present name of a group that has the former name of its table, or of its pattern; else its own."""
    former, present = table.formerly, table.name
    if not former or fnmatchcase(group, present) or not fnmatchcase(group, former):
        return group
    if "*" not in former:
        return present
    before, after = former.split("*", 1)
    return present.replace("*", group[len(before) : len(group) - len(after)], 1)
