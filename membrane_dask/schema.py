"""Declarations of result variables: name, dimensions, type, unit, meaning and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: A unit's entry in the variable ``status`` of its table.
TODO, DONE, FAILED = 0, 1, 2


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    Parameters
    ----------
    name : str
        Name in the dataset.
    dims : tuple of str
        Dimensions of one unit's value; the dimensions that number the units stand before them.
    dtype : str
        NumPy type on disk.
    units : str
        UDUNITS spelling; ``"1"`` is dimensionless.
    long_name : str
        What it is, in words.
    source : str
        Paper and equation.
    group : str
        Sub-group of the table it belongs to; empty for the table itself.
    nullable : bool
        Whether a finished unit may hold NaN here. Elsewhere a NaN fails the unit.
    attrs : mapping
        Further attributes, such as CF flags.
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

    @property
    def path(self) -> str:
        """Name with the sub-group before it, e.g. ``history/flux``."""
        return f"{self.group}/{self.name}" if self.group else self.name

    def attributes(self) -> dict[str, object]:
        """Attributes as they stand on the variable in the result."""
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
_FLAG = {"flag_values": [0, 1], "flag_meanings": "no yes"}


@dataclass(frozen=True)
class Coordinate:
    """Attributes of one dimension's labels."""

    name: str
    units: str
    long_name: str

    def attributes(self) -> dict[str, object]:
        """Attributes as they stand on the coordinate in the result."""
        return {"units": self.units, "long_name": self.long_name}


COORDINATES: Mapping[str, Coordinate] = {
    c.name: c
    for c in (
        Coordinate("l_max", "1", "largest pore length, in membrane thicknesses"),
        Coordinate("gradient", "1", "pore-radius gradient: radius lost from a band to the next"),
        Coordinate("deposition", "1", "deposition coefficient"),
        Coordinate("realization", "1", "number of the random network; those of one number share their random numbers"),
        Coordinate("band", "1", "band, 1 at the feed side"),
        Coordinate("time", "1", "time since the filter was clean"),
        Coordinate("replicate", "1", "number of the reconstruction"),
        Coordinate("trial", "1", "number of the trial, in the order in which trials were proposed"),
        Coordinate("knot", "nm", "depth to which the value belongs; between them values change evenly"),
        Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
        Coordinate("z", "nm", "depth below the feed-side surface"),
        Coordinate("y", "nm", "position across the sections"),
        Coordinate("x", "nm", "position along the section"),
        Coordinate("component", "", "axis along which the velocity is"),
        Coordinate("axis", "1", "axis of the volume, 0 the depth z, 1 y, 2 x"),
        Coordinate("pore_radius", "nm", "radius of a ball"),
        Coordinate("particle_diameter", "nm", "diameter of a ball in the liquid"),
        Coordinate("pore", "1", "number of the pore"),
        Coordinate("throat", "1", "number of the throat"),
        Coordinate("section", "1", "part of the depth: 0 the skin, 1 the support"),
        Coordinate("phase", "1", "phase of the pixel"),
        Coordinate("distance", "nm", "lower edge of the bin of distance to the other phase"),
        Coordinate("membrane", "", "membrane, and the state it is in"),
        Coordinate("law", "", "law of the flux"),
        Coordinate("draw", "1", "number of the point; all have the same weight"),
        Coordinate("measurement", "", "what could be measured next; now: nothing further"),
        Coordinate("quantity", "", "one of the four unknowns"),
        Coordinate("batch", "1", "batch of repeated fits"),
        Coordinate("resample", "1", "number of the repeated fit in its batch"),
        Coordinate("pair", "", "membrane, and its two states"),
        Coordinate("state", "", "state of the membranes"),
        Coordinate("cell", "1", "number of the printed cell"),
    )
}
