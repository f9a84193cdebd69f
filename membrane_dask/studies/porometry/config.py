"""Settings of a porometry study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from membrane_dask.config import BaseStudy, InputFile, InputTable, Line, Model, SourceContent, parameter
from membrane_dask.errors import Problem, Source, StudyError, Where
from membrane_dask.former_names import warn
from membrane_dask.quantities import (
    Number,
    PriorFraction,
    PriorLength,
    PriorNumber,
    WaterTemperature,
    Whole,
    as_tuple,
    list_as_tuple,
    quantity,
)
from membrane_dask.studies.porometry.bench_tables import bench_tables, is_bench
from membrane_dask.studies.porometry.table_settings import READ_BY, DataSettings, TableSettings


class PriorSettings(Model):
    """Independent data of a membrane: with two of the four, the permeability determines the other two.

    `3 nm` is an exact value, `3.15 +- 0.25 nm` a value with its standard deviation, `0.1 to 1 um` a range with a
    uniform distribution of the logarithm, `uniform 0.1 to 1 um` one with a uniform distribution of the value.
    """

    radius: PriorLength | None = parameter(None, "pore radius, e.g. from a rejection curve", unit="nm, um, ...")
    porosity: PriorFraction | None = parameter(None, "surface porosity, e.g. from micrographs")
    pore_number: PriorNumber | None = parameter(None, "number of pores in the area, e.g. counted on micrographs")
    thickness: PriorLength | None = parameter(
        None, "selective-layer thickness, e.g. from a cross-section", unit="nm, um, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        exact = [name for name in type(self).model_fields if (getattr(self, name) or ("",))[0] == "exact"]
        if len(exact) > 2:
            message = (
                f"is the third exact value ({', '.join(exact)}), but two determine all four quantities; "
                "give its standard deviation with +-"
            )
            yield Problem((exact[2],), message)


class PriorRangeSettings(Model):
    """Ranges, uniform in the logarithm, that complete the priors of a membrane with fewer than two."""

    radius: PriorLength = parameter(("loguniform", 0.5e-9, 1e-5), "pore radius", unit="nm, um, ...")
    thickness: PriorLength = parameter(("loguniform", 1e-8, 2e-4), "selective-layer thickness", unit="nm, um, ...")

    def _inconsistencies(self) -> Iterator[Problem]:
        for name in type(self).model_fields:
            if getattr(self, name)[0] != "loguniform":
                yield Problem((name,), "must be a range, low to high")


class MeasurementSettings(Model):
    """Relative standard deviations of further measurements, whose effect on the intervals is predicted."""

    rejection_point: Number = parameter(
        0.08, "pore radius from a rejection curve", source="Palencia Table 2", gt=0, lt=1
    )
    displacement_porometry: Number = parameter(0.05, "pore radius from liquid-liquid displacement", gt=0, lt=1)
    micrograph_porosity: Number = parameter(0.1, "surface porosity from micrographs (SEM)", gt=0, lt=1)
    micrograph_count: Number = parameter(0.1, "number of pores on micrographs (SEM)", gt=0, lt=1)
    thickness: Number = parameter(0.1, "selective-layer thickness from cross-sections (SEM)", gt=0, lt=1)


class PublishedSettings(Model):
    """Options of `convention: published`: the published table to follow, its scaling factors and its errors."""

    preset: Literal["table6", "table8", "table14"] | None = parameter(
        None,
        "published table to follow; default table6 for lines, table14 for curves with a critical pressure",
        unit="",
        source="Palencia",
    )
    thickness: Annotated[(float, *quantity("m", "107.5 um"))] | None = parameter(
        None,
        "membrane thickness y; required with convention: published",
        unit="nm, um, ...",
        source="Palencia Table 2",
    )
    young_laplace_power: Whole | None = parameter(
        None,
        "exponent of the scaling factor of the Young-Laplace radius (-3: backward scaling); default as in the table",
        ge=-9,
        le=9,
    )
    porosity_power: Whole | None = parameter(
        None,
        "exponent of the scaling factor of the porosity; default such that the porosity is in [0.1, 1)",
        ge=-12,
        le=12,
    )
    pore_number_powers: Annotated[tuple[Whole, Whole], BeforeValidator(list_as_tuple)] | None = parameter(
        None,
        "exponents of the scaling factors of the pore number at the lower and at the upper radius; default such that "
        "the pore numbers are of the orders 10^13 and 10^12",
    )
    rounded_cosine: bool | None = parameter(
        None,
        "round the cosine of the contact angle to two digits; default as in the table",
        unit="",
        source="Palencia Table 14",
    )
    literal_numbers: bool | None = parameter(
        None,
        "omit the scaling factor of the porosity from the pore numbers; default as in the table",
        unit="",
        source="Palencia Eq. 22",
    )
    literal_equation_22: bool | None = parameter(
        None,
        "use Eq. 22 as printed, which does not give the printed radii; default no",
        unit="",
        source="Palencia Eq. 22",
    )
    dropped_division: bool | None = parameter(
        None,
        "omit the division by the radius from Eq. 22, as for the radii of Table 14; default as in the table",
        unit="",
        source="Palencia Table 14",
    )


class BootstrapSettings(Model):
    """Bootstrap: repeated fits of resampled or simulated data."""

    method: Literal["residual", "pairs", "parametric"] = parameter(
        "parametric",
        "parametric: parameters from the normal distribution of their estimates; residual: resampled residuals; "
        "pairs: resampled points. Published lines, runs and curves with a critical pressure are always parametric",
        unit="",
    )
    draws: Whole = parameter(2000, "bootstrap fits of each membrane; 0 for none", ge=0, le=1_000_000)
    batch: Whole = parameter(1000, "bootstrap fits in one unit of work", ge=10, le=100_000)


class ReadingErrorSettings(Model):
    """Simulated experiments with random errors of one measured quantity (Palencia Eqs. 23 and 24)."""

    largest: Annotated[tuple[Number, ...], BeforeValidator(as_tuple)] = parameter(
        (),
        "largest relative errors of a reading, each simulated by itself, for example [0.05, 0.02, 0.01]; default none",
        unit="1",
        source="Palencia Sec. 3.4",
    )
    cycles: Whole = parameter(20, "simulated experiments for each error", source="Palencia Sec. 3.4", ge=2, le=10_000)

    def _inconsistencies(self) -> Iterator[Problem]:
        if any(not 0 < largest < 1 for largest in self.largest) or len(set(self.largest)) < len(self.largest):
            yield Problem(("largest",), f"must be different numbers between 0 and 1 (got {list(self.largest)})")


class PorometryStudy(BaseStudy, TableSettings):
    """Hydraulic permeability, threshold pressure and pore structure from water flux against pressure (Palencia)."""

    results_version: ClassVar[int] = 4
    essential: ClassVar[tuple[str, ...]] = ("input", "area", "temperature", "priors")
    source_content: ClassVar[SourceContent] = "bench"

    kind: Literal["porometry"] = "porometry"
    input: InputTable | None = Field(
        None,
        description="table (.csv, .xlsx, .json) with units in its headers: membrane, pressure [bar], "
        "flux [L m-2 h-1] (or mass [g] and time [s]), optionally replicate, state (e.g. before, after), "
        "temperature [degC], area [cm2]; or a table of published lines: membrane, permeability, intercept, r2, "
        "pressures; or a run of a characterize study with bench.enabled, or such a study, which is run first. "
        "Required, unless data lists several tables",
        json_schema_extra={"unit": "", "example": "flux.csv"},
    )
    data: tuple[DataSettings, ...] = parameter(
        (),
        "several tables in place of input, with settings of their own: [{input: a.csv}, {input: b.csv, area: 13 cm2}]",
        unit="",
    )
    reference_temperature: WaterTemperature = parameter(
        298.15, "temperature to which the permeance of water is converted", unit="degC, K"
    )
    convention: Literal["si", "published"] = parameter(
        "si",
        "si: what the data determine, in consistent units; published: in addition the structure by the published "
        "procedure, with assigned scaling factors",
        unit="",
    )
    curve: Literal["linear", "darcy"] = parameter(
        "linear",
        "linear: one line through all pressures; darcy: a line from the threshold pressure (root of the cubic through "
        "the points) to a critical pressure, and a logarithmic branch above it",
        unit="",
        source="Palencia Sec. 3.6",
    )
    regression: Literal["ols", "weighted", "deming", "huber"] = parameter(
        "ols",
        "ols: ordinary least squares; weighted: weights from a column 'flux sd', else errors in proportion to the "
        "flux; deming: errors of pressure and flux; huber: Huber's robust estimate",
        unit="",
    )
    pressure_error: Annotated[(float, *quantity("Pa", "1 kPa"))] | None = parameter(
        None, "standard deviation of the pressure, for deming", unit="kPa, ..."
    )
    flux_error: Number | None = parameter(
        None,
        "relative standard deviation of the flux, for deming and for curves with a critical pressure",
        gt=0,
        lt=1,
    )
    replicates: Literal["readings", "runs"] = parameter(
        "readings",
        "readings: replicates differ by reading errors, and each is a point; runs: each replicate is an independent "
        "run with its own line, and the scatter of the lines gives the intervals",
        unit="",
    )
    confidence: Number = parameter(0.95, "confidence of all intervals", ge=0.5, lt=1)
    viscosity_error: Number = parameter(
        0.0, "relative standard deviation of the viscosity, for the posterior", ge=0, lt=0.5
    )
    area_error: Number = parameter(0.0, "relative standard deviation of the area, for the posterior", ge=0, lt=0.5)
    use: tuple[Literal["capillary flow", "rejection"], ...] = parameter(
        (),
        "methods whose data enter the joint posterior of a membrane in spite of a finding against them: wet and dry "
        "curves that do not meet or cross, an extrapolated cut-off",
        unit="",
    )
    priors: PriorSettings = parameter(PriorSettings(), "independent data of every membrane", unit="", formerly="known")
    membranes: dict[Line, PriorSettings] = parameter(
        {},
        "independent data of single membranes by label, in place of priors: {M1: {radius: 3 +- 0.2 nm}}",
        unit="",
    )
    pairs: dict[Line, Line] = parameter(
        {},
        "membranes that are one membrane in two states under two names, later: first, for example "
        "{M1-coated: M1}; states of one name are compared without it",
        unit="",
    )
    prior_ranges: PriorRangeSettings = parameter(
        PriorRangeSettings(), "ranges for membranes with fewer than two priors", unit="", formerly="plausible"
    )
    candidate_measurements: MeasurementSettings = parameter(
        MeasurementSettings(), "relative errors of possible further measurements", unit="", formerly="further"
    )
    published: PublishedSettings = parameter(PublishedSettings(), "options of convention: published", unit="")
    bootstrap: BootstrapSettings = parameter(BootstrapSettings(), "repeated fits", unit="")
    reading_errors: ReadingErrorSettings = parameter(
        ReadingErrorSettings(), "simulated errors of readings of the flux of water", unit=""
    )
    draws: Whole = parameter(1000, "stored points of each posterior", ge=10, le=100_000)
    reference: InputFile | None = parameter(
        None, "numbers of the published tables, which are recomputed and compared", unit=""
    )

    def measures(self, *methods: str) -> bool:
        """Whether a table is of one of several methods."""
        return any(self.method_of(where) in methods for where in self.tables)

    def method_of(self, where: Where) -> str:
        """Method of the table of a field."""
        return self.table_settings(where).method or self.method or "water"

    def table_settings(self, where: Where) -> TableSettings:
        """Settings of the table of a field: its own, or those of the study."""
        return self.data[int(where[1])] if where[0] == "data" else self

    def sources(self) -> dict[str, Path]:
        """Run, or study, of a virtual bench, if the input is one."""
        return {"input": self.input} if self.input and is_bench(self.input) else {}

    def with_sources(self, runs: Mapping[str, Path]) -> PorometryStudy:
        """The study with the tables of a virtual bench in place of the run that has written them.

        Raises
        ------
        StudyError
            If the run has no tables.
        """
        tables = bench_tables(runs["input"])
        if not tables:
            message = "has no tables of a bench; its study needs bench.enabled: true and bench.tables: true"
            raise StudyError([Problem(("input",), f"{message} (got {str(runs['input'])!r})")])
        data = tuple(DataSettings(input=path, method=method, membrane=name) for path, method, name in tables)
        return self.model_copy(update={"input": None, "data": data})

    @property
    def tables(self) -> dict[Where, Path]:
        """Tables of measurements, by field; a run of a virtual bench has them once it is finished."""
        single: dict[Where, Path] = {("input",): self.input} if self.input and not self.sources() else {}
        return single | {("data", number, "input"): entry.input for number, entry in enumerate(self.data)}

    @property
    def _files(self) -> dict[Where, Path]:
        return self.tables | ({("reference",): self.reference} if self.reference else {})

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field."""
        return {".".join(map(str, where)): path for where, path in self._files.items()}

    def with_inputs(self, paths: Mapping[str, Path]) -> PorometryStudy:
        """The study with other paths of its files, by field as in :meth:`inputs`."""
        entries = [
            entry.model_copy(update={"input": paths[f"data.{number}.input"]}) for number, entry in enumerate(self.data)
        ]
        fields = {name: path for name, path in paths.items() if name in ("input", "reference")}
        return self.model_copy(update={**fields, "data": tuple(entries)})

    @classmethod
    def _present_layout(cls, settings: Mapping[str, Any], source: Source) -> Mapping[str, Any]:
        """Settings with an entry of ``data`` in place of ``more``, the former key of a second table."""
        if "more" not in settings:
            return settings
        present = {name: value for name, value in settings.items() if name != "more"}
        location = source.locate(("more",))
        if settings["more"] is None:
            warn(f"{location}: more is now an entry of data; leave it out")
            return present
        if settings.get("data"):
            raise StudyError([Problem(("more",), "is now an entry of data; move it there")], source)
        warn(f"{location}: more is now an entry of data: [{{input: a.csv}}, {{input: b.csv}}]")
        entries = [(name, settings[name]) for name in ("input", "more") if settings.get(name) is not None]
        for number, (name, _) in enumerate(entries):
            source.rename((name,), ("data", number, "input"))
        present.pop("input", None)
        return present | {"data": [{"input": path} for _, path in entries]}

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if not self.tables and not self.sources():
            yield Problem(("input",), "required: a table, for example input: flux.csv, or several tables under data")
        if self.input and self.data:
            yield Problem(("data",), "is given as well as input; list all tables under data")
        for name in ("method", "membrane") if self.sources() else ():
            if name in self.model_fields_set:
                yield Problem((name,), f"is that of each table of the bench; leave it out (got {getattr(self, name)})")
        yield from self._repeated_names()
        if self.regression == "deming":
            for name in ("pressure_error", "flux_error"):
                if getattr(self, name) is None:
                    yield Problem((name,), "required with regression: deming")
        if self.replicates == "runs" and self.regression == "weighted":
            message = "weighted is not possible with replicates: runs, which have equal weights; use readings"
            yield Problem(("regression",), message)
        if self.curve == "darcy" and (self.regression != "ols" or self.replicates == "runs"):
            yield Problem(("curve",), "darcy is possible with regression: ols and replicates: readings only")
        if self.contact_angle is not None and self.contact_angle[0] >= 90 and self.measures("water"):
            message = "of water that is pressed through the pores must be less than 90"
            yield Problem(("contact_angle",), f"{message} (got {self.contact_angle[0]:g})")
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

    def _unused(self) -> Iterator[Problem]:
        """Settings of another method, of another regression, or of another convention."""
        yield from self._unread()
        if self.regression != "deming":
            yield from self._changed(["pressure_error"], "needs errors of both quantities: set regression: deming")
            if self.curve != "darcy":
                yield from self._changed(["flux_error"], "needs regression: deming or curve: darcy: set one of them")
        if self.convention != "published":
            reason = "needs the published structure: set convention: published"
            yield from self.published._changed(PublishedSettings.model_fields, reason, "published")
        if not self.bootstrap.draws:
            yield from self.bootstrap._changed(
                ["method", "batch"], "needs bootstrap fits: set draws", "bootstrap", switch="draws"
            )
        if not self.reading_errors.largest:
            yield from self.reading_errors._changed(
                ["cycles"], "needs errors: set largest", "reading_errors", switch="largest"
            )

    def _unread(self) -> Iterator[Problem]:
        """Conditions of a measurement that the method of no table, or not that of their own table, reads."""
        for name, methods in READ_BY.items():
            reason = f"is read from tables of {' or '.join(methods)}: set method"
            if self.tables and not self.measures(*methods):
                yield from self._changed([name], reason)
            for number, entry in enumerate(self.data):
                if self.method_of(("data", number)) not in methods:
                    for problem in entry._changed([name], reason):
                        yield Problem(("data", number, *problem.where), problem.message)

    def _repeated_names(self) -> Iterator[Problem]:
        """Files of the same name: a run keeps copies of all files in one folder."""
        names: set[str] = set()
        for where, path in self._files.items():
            if path.name in names:
                message = "another file of the study has the same name, but a run keeps copies of both; rename one"
                yield Problem(where, f"{message} (got {path.name!r})")
            names.add(path.name)
