"""Settings of a porometry study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
)

from membrane_dask.config import (
    BaseStudy,
    InputFile,
    Line,
    Model,
    parameter,
)
from membrane_dask.errors import Problem
from membrane_dask.quantities import (
    Number,
    PriorFraction,
    PriorLength,
    PriorNumber,
    WaterTemperature,
    Whole,
    list_as_tuple,
    quantity,
)


class KnownSettings(Model):
    """What is known of every membrane apart from its flux: any two close the relations, with fewer a ridge is left.

    `3 nm` is exact, `3.15 +- 0.25 nm` a value with its standard deviation, `0.1 to 1 um` a range even in the
    logarithm, `uniform 0.1 to 1 um` in itself.
    """

    radius: PriorLength | None = parameter(None, "pore radius, such as from a rejection point", unit="nm, um, ...")
    porosity: PriorFraction | None = parameter(None, "surface porosity, such as from micrographs")
    pore_number: PriorNumber | None = parameter(None, "number of pores in the area, such as counted on micrographs")
    thickness: PriorLength | None = parameter(None, "thickness of the layer that resists", unit="nm, um, ...")

    def _inconsistencies(self) -> Iterator[Problem]:
        exact = [name for name in type(self).model_fields if (getattr(self, name) or ("",))[0] == "exact"]
        if len(exact) > 2:
            words = f"is the third exact value ({', '.join(exact)}): two fix everything; give its deviation with +-"
            yield Problem((exact[2],), words)


class PlausibleSettings(Model):
    """Ranges, even in the logarithm, that take the place of data where fewer than two are known."""

    radius: PriorLength = parameter(("loguniform", 0.5e-9, 1e-5), "pore radius", unit="nm, um, ...")
    thickness: PriorLength = parameter(
        ("loguniform", 1e-8, 2e-4), "thickness of the layer that resists", unit="nm, um, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        for name in type(self).model_fields:
            if getattr(self, name)[0] != "loguniform":
                yield Problem((name,), "must be a range, low to high")


class FurtherSettings(Model):
    """Relative standard deviations of measurements that could be made next."""

    rejection_point: Number = parameter(
        0.08, "pore radius from a rejection curve", source="Palencia Table 2", gt=0, lt=1
    )
    displacement_porometry: Number = parameter(0.05, "pore radius from liquid-liquid displacement", gt=0, lt=1)
    micrograph_porosity: Number = parameter(0.1, "open share of the surface on micrographs (SEM)", gt=0, lt=1)
    micrograph_count: Number = parameter(0.1, "pores counted on micrographs (SEM)", gt=0, lt=1)
    thickness: Number = parameter(0.1, "thickness of the layer on cross-sections (SEM)", gt=0, lt=1)


class PublishedSettings(Model):
    """With convention: published, which of the paper's tables is the model, and which of its defects are on."""

    preset: Literal["table6", "table8", "table14"] | None = parameter(
        None, "default: table6 for lines, table14 for curves beyond a critical pressure", unit="", source="Palencia"
    )
    thickness: Annotated[(float, *quantity("m", "107.5 um"))] | None = parameter(
        None, "thickness y of the membrane; required", unit="nm, um, ...", source="Palencia Table 2"
    )
    young_laplace_power: Whole | None = parameter(
        None, "power of ten of the Young-Laplace radius, -3 for backward scaling; default as the table", ge=-9, le=9
    )
    porosity_power: Whole | None = parameter(
        None, "power of ten of the porosity; default such that it lies in [0.1, 1)", ge=-12, le=12
    )
    pore_number_powers: Annotated[tuple[Whole, Whole], BeforeValidator(list_as_tuple)] | None = parameter(
        None, "powers of ten of the pore number at the lower and the upper radius; default to 10^13 and 10^12"
    )
    rounded_cosine: bool | None = parameter(
        None, "cosine of the contact angle to two digits; default as the table", unit="", source="Palencia Table 14"
    )
    literal_numbers: bool | None = parameter(
        None,
        "pore numbers without the porosity's power of ten; default as the table",
        unit="",
        source="Palencia Eq. 22",
    )
    literal_equation_22: bool | None = parameter(
        None, "Eq. 22 as printed, which does not give the printed radii; default no", unit="", source="Palencia Eq. 22"
    )
    dropped_division: bool | None = parameter(
        None, "Eq. 22 without its 1/r, an area called nm; default as the table", unit="", source="Palencia Table 14"
    )


class BootstrapSettings(Model):
    """Fits repeated on data drawn anew."""

    method: Literal["residual", "pairs", "parametric"] = parameter(
        "parametric",
        "parametric: normal errors of the size found; residual: residuals drawn anew; pairs: points drawn anew. "
        "Printed lines and curves beyond a critical pressure are always parametric",
        unit="",
    )
    draws: Whole = parameter(2000, "fits of each membrane; 0 for none", ge=0, le=1_000_000)
    batch: Whole = parameter(1000, "fits in a unit of work", ge=10, le=100_000)


class PorometryStudy(BaseStudy):
    """What flux against pressure says of a membrane's pores, and what it leaves open (Palencia)."""

    kind: Literal["porometry"] = "porometry"
    input: InputFile = Field(
        description="table (.csv, .xlsx, .json) with units in its headers: membrane, pressure [bar], flux [L m-2 h-1] "
        "(or mass [g] and time [s]), perhaps replicate, state (before, after), temperature [degC], area [cm2]; or of "
        "lines that were fitted: permeability, intercept, r2, pressures",
        json_schema_extra={"unit": "", "example": "flux.csv"},
    )
    more: InputFile | None = parameter(None, "a second such table", unit="")
    sheet: Line | None = parameter(None, "sheet of a workbook with several", unit="")
    decimal: Literal[".", ","] = parameter(".", "what stands before decimals in the tables", unit="")
    area: Annotated[(float, *quantity("m2", "34 cm2"))] | None = parameter(
        None, "membrane area, where no column tells; without it pore numbers are those of 1 m2", unit="cm2, m2, ..."
    )
    temperature: WaterTemperature = parameter(298.15, "of the water, where no column tells", unit="degC, K")
    viscosity: Annotated[(float, *quantity("Pa s", "0.89 mPa s", 1e-5, 0.1))] | None = parameter(
        None, "of the liquid; default water's at its temperature (IAPWS)", unit="mPa s, ..."
    )
    surface_tension: Annotated[(float, *quantity("N m-1", "72 mN m-1"))] | None = parameter(
        None, "of the liquid; default water's at its temperature (IAPWS)", unit="mN m-1, ..."
    )
    contact_angle: Number | None = parameter(
        None, "of the liquid on the membrane; default none, and no Young-Laplace radius", unit="degrees", ge=0, lt=90
    )
    convention: Literal["si", "published"] = parameter(
        "si",
        "si: what the data determine, in consistent units; published: the paper's structure as well, whose powers of "
        "ten are assigned",
        unit="",
    )
    curve: Literal["linear", "darcy"] = parameter(
        "linear",
        "linear: one line through all pressures; darcy: a line from the threshold (root of the cubic through the "
        "points) to a critical pressure, from where the flux grows with the logarithm",
        unit="",
        source="Palencia Sec. 3.6",
    )
    regression: Literal["ols", "weighted", "deming", "huber"] = parameter(
        "ols",
        "ols: least squares; weighted: by a column 'flux sd', or errors in proportion to the flux; deming: errors of "
        "the gauge as well; huber: outliers pull little",
        unit="",
    )
    pressure_error: Annotated[(float, *quantity("Pa", "1 kPa"))] | None = parameter(
        None, "standard deviation of a pressure, for deming", unit="kPa, ..."
    )
    flux_error: Number | None = parameter(
        None, "relative standard deviation of a flux: for deming, and for curves that leave no residuals", gt=0, lt=1
    )
    replicates: Literal["readings", "runs"] = parameter(
        "readings",
        "readings: replicates differ by errors of reading, each a point; runs: each replicate is a run with its own "
        "line, whose scatter gives the intervals",
        unit="",
    )
    confidence: Number = parameter(0.95, "of all intervals", ge=0.5, lt=1)
    viscosity_error: Number = parameter(0.0, "relative standard deviation of the viscosity", ge=0, lt=0.5)
    area_error: Number = parameter(0.0, "relative standard deviation of the area", ge=0, lt=0.5)
    known: KnownSettings = parameter(KnownSettings(), "independent data", unit="")
    membranes: dict[Line, KnownSettings] = parameter(
        {},
        "independent data of single membranes, by label, in place of those of all: {M1: {radius: 3 +- 0.2 nm}}",
        unit="",
    )
    plausible: PlausibleSettings = parameter(PlausibleSettings(), "ranges in place of data", unit="")
    further: FurtherSettings = parameter(FurtherSettings(), "errors of measurements that could be made next", unit="")
    published: PublishedSettings = parameter(PublishedSettings(), "the paper's way", unit="")
    bootstrap: BootstrapSettings = parameter(BootstrapSettings(), "fits repeated on data drawn anew", unit="")
    draws: Whole = parameter(1000, "points of each posterior that are kept", ge=10, le=100_000)
    reference: InputFile | None = parameter(
        None, "printed cells of the paper's tables, which are computed again and held beside what is printed", unit=""
    )

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field."""
        return {name: path for name in ("input", "more", "reference") if (path := getattr(self, name))}

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        names = [path.name for path in self.inputs().values()]
        if len(set(names)) < len(names):
            yield Problem(("more",), f"has the name of another file of the study; a run keeps copies (got {names})")
        if self.regression == "deming":
            for name in ("pressure_error", "flux_error"):
                if getattr(self, name) is None:
                    yield Problem((name,), "required with regression: deming")
        if self.replicates == "runs" and self.regression == "weighted":
            yield Problem(("regression",), "weighted goes with replicates: readings; runs weigh alike")
        if self.curve == "darcy" and (self.regression != "ols" or self.replicates == "runs"):
            yield Problem(
                ("curve",), "darcy is fitted by least squares to all readings (regression: ols, replicates: readings)"
            )
        if self.convention == "published":
            for where, value in (
                (("contact_angle",), self.contact_angle),
                (("area",), self.area),
                (("published", "thickness"), self.published.thickness),
            ):
                if value is None:
                    yield Problem(where, "required with convention: published")
        if 0 < self.bootstrap.draws < self.bootstrap.batch:
            yield Problem(
                ("bootstrap", "draws"),
                f"must be 0, or at least batch = {self.bootstrap.batch} (got {self.bootstrap.draws})",
            )
