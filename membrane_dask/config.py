"""The study: every knob with its unit, default, bounds and source, read from a short YAML file.

Files are read by :mod:`membrane_dask.study_file`, which reports every problem at once before any
work starts.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from membrane_dask.errors import Problem
from membrane_dask.units import convert, split_quantity

# ---------------------------------------------------------------------------------------------
# Quantities: a number with its unit in the file, a plain float inside


@lru_cache(maxsize=1)
def _units() -> Any:
    import pint  # slow to import, and only studies with units need it

    return pint.UnitRegistry()


def _quantity(unit: str, example: str) -> Any:
    """Annotations for a positive quantity written with a unit and held in ``unit``."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str):
            raise ValueError(f"a number with a unit is needed, for example '{example}' (got {value!r})")
        try:
            # pint reads arithmetic; a quantity is one number and one unit
            parts = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ][a-zA-Zµμ ]*)", value)
            if not parts:
                raise ValueError
            found = float(_units().Quantity(float(parts[1]), parts[2].strip()).to(unit).magnitude)
        except Exception as error:
            raise ValueError(
                f"not a quantity in units like '{unit}', for example '{example}' (got {value!r})"
            ) from error
        if not (0 < found < float("inf")):
            raise ValueError(f"must be greater than 0 (got {value!r})")
        return found

    return (
        BeforeValidator(read),
        PlainSerializer(lambda value: f"{value:.15g} {unit}", return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def _duration(value: object) -> float:
    """Seconds of ``90 min`` or ``01:30:00``."""
    if isinstance(value, str):
        clock = re.fullmatch(r"\s*(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)\s*", value)
        if clock:
            days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
            value = f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds} s"
    return float(_TIME[0].func(value))


def _file(value: object, info: ValidationInfo) -> Path:
    """Path of an existing file, relative to the study that names it."""
    if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"the path of a file is needed (got {value!r})")
    base = Path((info.context or {}).get("base", "."))
    path = (base / Path(value).expanduser()).resolve()
    try:
        if path.is_file():
            return path
        siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    except OSError as error:
        raise ValueError(f"cannot be read: {error} (got {str(value)!r})") from error
    hint = difflib.get_close_matches(path.name, siblings, n=1)
    more = f"; did you mean {hint[0]!r}?" if hint else f"; looked in {path.parent}"
    raise ValueError(f"no such file{more} (got {str(value)!r})")


def _volume(value: object, info: ValidationInfo) -> Path:
    """Path of a volume, of a run or of a study that makes one, relative to the study that names it, or to here."""
    if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"the path of a volume, a run or a study is needed (got {value!r})")
    path = Path(value).expanduser()
    for base in (Path((info.context or {}).get("base", ".")), Path()):
        if (base / path).exists():
            return (base / path).resolve()
    return _file(value, info)  # says what is there instead


def _listed(value: object) -> object:
    """Let one value stand for a list of one, and a YAML list for a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,)


def _pair(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
Length = (float, *_quantity("nm", "3 nm"))
LengthNm = Annotated[Length]  # type: ignore[valid-type]
Bytes = Annotated[(float, *_quantity("MB", "2 GB"))]
_TIME = _quantity("s", "90 min")
Duration = Annotated[float, BeforeValidator(_duration), *_TIME[1:]]
Pressure = Annotated[(float, *_quantity("Pa", "210 kPa"))]
Viscosity = Annotated[(float, *_quantity("Pa s", "0.89 mPa s"))]
Temperature = Annotated[(float, *_quantity("K", "25 degC"))]
InputFile = Annotated[Path, BeforeValidator(_file), WithJsonSchema({"type": "string"})]
InputVolume = Annotated[Path, BeforeValidator(_volume), WithJsonSchema({"type": "string"})]
Lengths = Annotated[tuple[LengthNm, ...], BeforeValidator(_listed), Field(min_length=1)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(_listed), Field(min_length=1)]
Range = Annotated[tuple[Number, Number], BeforeValidator(_pair)]


def _listed_within(most: float) -> Any:
    """Positive numbers up to ``most``, or one that stands for a list of one."""
    number = Annotated[Number, Field(gt=0, le=most)]
    return Annotated[tuple[number, ...], BeforeValidator(_listed), Field(min_length=1)]


def knob(default: Any, description: str, *, unit: str = "1", source: str = "", **bounds: Any) -> Any:
    """Field with all that a reader of the commented study wants to know of it."""
    extra: dict[str, Any] = {"unit": unit}
    if source:
        extra["source"] = source
    return Field(default, description=description, json_schema_extra=extra, **bounds)


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    def _inconsistencies(self) -> Iterator[Problem]:
        """What is wrong between fields that are each right alone."""
        return iter(())

    @model_validator(mode="after")
    def _consistent(self) -> Any:
        problems = list(self._inconsistencies())
        if problems:
            raise PydanticCustomError("inconsistent", "{text}", {"text": problems[0].message, "problems": problems})
        return self


def _ordered(name: str, bounds: tuple[float, float]) -> Iterator[Problem]:
    if not bounds[0] < bounds[1]:
        yield Problem((name,), f"must be [low, high] with low < high (got {list(bounds)})")


# ---------------------------------------------------------------------------------------------
# Sections that every study has


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"must be one line (got {value!r})")
    return value


Line = Annotated[str, Strict(), AfterValidator(_one_line)]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_listed)]


class ClusterWords(Model):
    """What can be said of a cluster, by its profile, by a site, by a person, or by a study.

    None leaves the word to the layer below. Nothing here changes a result.
    """

    workers: Whole | None = knob(
        None, "worker processes of this machine (default one a core), or of each job", ge=1, le=100_000
    )
    threads: Whole | None = knob(None, "cores of one worker; units are sized for one", ge=1, le=1024)
    memory: Bytes | None = knob(
        None, "memory of one worker; default its share of this machine, or the profile's", unit="GB, MiB, ..."
    )
    jobs: Whole | None = knob(None, "worker jobs at most, on a batch system", ge=1, le=100_000)
    walltime: Duration | None = knob(None, "time limit of each job", unit="h, min or hh:mm:ss")
    queue: Line | None = knob(None, "queue or partition", unit="")
    account: Line | None = knob(None, "account or project that is charged", unit="")
    directives: Lines | None = knob(
        None, "further options for the batch system, as its own scripts write them", unit=""
    )
    prologue: Lines | None = knob(None, "shell lines before a job's command, such as module load", unit="")
    python: Line | None = knob(None, "Python on the nodes, a path or a command; default the one that submits", unit="")
    interface: Line | None = knob(None, "network interface that nodes reach the driver by, such as ib0", unit="")
    scratch: Line | None = knob(None, "local directory of workers on their nodes", unit="")
    patience: Duration | None = knob(None, "give up after so long without any worker", unit="h, min or hh:mm:ss")
    single_allocation: bool | None = knob(
        None, "one job holds driver and workers, for nodes that may not submit jobs", unit=""
    )
    tls: bool | None = knob(None, "encrypt, and let in only those who hold the run's own certificate", unit="")


class ClusterSettings(ClusterWords):
    """Where the units run. Nothing here changes a result."""

    profile: Annotated[str, Strict()] = knob(
        "local",
        "local (worker processes on this machine), sync (in this process, for debugging), a profile of "
        "`membrane-dask clusters`, or the address of a running Dask scheduler such as tls://host:8786",
        unit="",
    )


class ExecutionSettings(Model):
    """How units are sent out and what happens when one fails. Nothing here changes a result."""

    batch: Whole | None = knob(
        None, "units in one task and one chunk of the result; default about 10 s of work", ge=1, le=100_000
    )
    retries: Whole = knob(1, "further attempts before a failing unit is set aside", ge=0, le=100)
    timeout: Duration | None = knob(
        None, "a unit that takes longer has failed; default no limit", unit="h, min or hh:mm:ss"
    )
    failure_limit: Number = knob(
        0.5, "stop when more than this share of the finished units has failed (judged from 20 on)", gt=0, le=1
    )


class BaseStudy(Model):
    """What every study kind shares."""

    name: Annotated[str, Strict()] = knob(
        "", "names the run directory; default the file's name", unit="", max_length=80
    )
    seed: Whole = knob(2023, "seed of the whole study", ge=0, lt=2**63)
    cluster: ClusterSettings = knob(ClusterSettings(), "where the units run", unit="")
    execution: ExecutionSettings = knob(ExecutionSettings(), "how units are sent out", unit="")

    # How a run is carried out; left out of its identity, as none of it changes a result.
    _circumstances: ClassVar[frozenset[str]] = frozenset({"name", "cluster", "execution"})

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field; a run keeps copies of them."""
        return {}

    def sources(self) -> dict[str, Path]:
        """Volumes, runs and studies that the study reads where they lie, by field: too large to be copied."""
        return {}

    def identity(self) -> str:
        """Digest of all that decides the result: same digest, same bits.

        Input files count by content, so a run finds itself again wherever they lie.
        """
        from membrane_dask import __version__

        known = self.model_dump(mode="json", exclude=set(self._circumstances))
        for name, path in (self.inputs() | self.sources()).items():
            known[name] = content_digest(path)
        text = json.dumps({"version": __version__, "study": known}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            yield Problem(
                ("name",),
                f"letters, digits, '.', '_' and '-' only, a letter or digit first (got {self.name!r})",
            )


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder's files; of a run, the digest of all that decides its result."""
    if path.is_file():
        return file_digest(path)
    about = path / "run.json"
    if about.is_file():
        return str(json.loads(about.read_text(encoding="utf-8"))["identity"])
    found = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        found.update(f"{file.relative_to(path).as_posix()}\0{file_digest(file)}\n".encode())
    return found.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---------------------------------------------------------------------------------------------
# Study kinds


class RadiusSpreadSettings(Model):
    """How pore radii vary within a band, about the band's own."""

    distribution: Literal["normal", "lognormal", "uniform"] = knob(
        "normal", "of the radii; the normal ones end at three standard deviations", unit=""
    )
    deviation: Number = knob(0.0, "standard deviation over the mean; 0 leaves all radii of a band alike", ge=0, le=1)

    def _inconsistencies(self) -> Iterator[Problem]:
        most = {"normal": 0.3, "lognormal": 1.0, "uniform": 0.55}[self.distribution]
        if self.deviation > most:
            words = f"must be at most {most} for {self.distribution} radii (got {self.deviation})"
            yield Problem(("deviation",), words)


class OptimumSettings(Model):
    """When `design: optimum` has found the best gradient."""

    metric: Literal["throughput", "throughput_threshold", "porosity_usage", "porosity_usage_threshold"] = knob(
        "throughput", "what is to be as large as possible", unit=""
    )
    interval: Number = knob(2e-4, "stop when the best gradient's interval is no wider than this", unit="W", gt=0)
    tolerance: Number = knob(
        0.002, "or when the best candidates are known to differ by less than this share of the metric", ge=0, lt=1
    )
    confidence: Number = knob(0.95, "confidence of the intervals", ge=0.5, lt=1)
    round: Whole = knob(10, "networks added to every candidate left, a round", ge=4, le=10_000)


class GradedStudy(BaseStudy):
    """Ensembles of random banded pore networks, fouled over a filter's life (Gu)."""

    kind: Literal["graded"] = "graded"
    design: Literal["grid", "optimum"] = knob(
        "grid",
        "grid: all gradients get all realizations; optimum: only as many, where they matter, as the best needs",
        unit="",
    )
    l_max: Numbers = knob((0.2,), "largest pore length", unit="W", source="Gu Table I")
    gradient: Numbers = knob(
        (0.0, 1e-3, 2e-3, 3e-3, 4e-3),
        "pore-radius gradient s: radius lost from one band to the next",
        unit="W",
        source="Gu Eq. 1",
    )
    realizations: Whole = knob(
        20, "random networks at every design point; at most, to find an optimum", ge=1, le=10_000_000
    )
    optimum: OptimumSettings = knob(OptimumSettings(), "with design: optimum, what is sought and how well", unit="")
    bands: Whole = knob(4, "bands m across the membrane", source="Gu Table I", ge=1, le=100)
    radius: _listed_within(0.1) = knob(  # type: ignore[valid-type]
        (0.01,),
        "mean pore radius r_0, or one for each band, to which the gradient is added",
        unit="W",
        source="Gu Table I",
    )
    radius_spread: RadiusSpreadSettings = knob(RadiusSpreadSettings(), "variation of the radii within a band", unit="")
    l_min: Number = knob(0.06, "smallest pore length", unit="W", source="Gu Table I", ge=0, lt=1)
    porosity: Number = knob(0.6, "porosity of every band of the clean filter", source="Gu Eq. 5", gt=0, lt=1)
    porosity_tolerance: Number = knob(
        0.005, "relative tolerance of the band porosities", source="Gu Sec. II", gt=0, le=0.5
    )
    deposition: _listed_within(1) = knob(  # type: ignore[valid-type]
        (5e-7,), "deposition coefficient lambda; several share networks and their first flow", source="Gu Table I"
    )
    band_deposition: _listed_within(1e6) | None = knob(  # type: ignore[valid-type]
        None, "deposition coefficient of each band over `deposition`; default 1 in all", source="Gu Sec. VII"
    )
    time_step: Number = knob(2.5e-4, "step dt of the integration", source="Gu Sec. VI", gt=0, le=0.1)
    integrator: Literal["euler", "adams-bashforth"] = knob(
        "euler",
        "of the radii: first order as published, or second order at the same cost",
        unit="",
        source="Gu Sec. VI",
    )
    quadrature: Literal["trapezoid", "left"] = knob(
        "trapezoid", "rule for the integrals over time; left counts a step at the flux it begins with", unit=""
    )
    flux_threshold: Number = knob(2e-6, "flux at which the filter is taken out of service", source="Gu Sec. VI", gt=0)
    solver_tolerance: Number = knob(
        1e-6, "relative error of the pressures, in the norm of dissipation", ge=1e-12, le=1e-4
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        for name in ("l_max", "gradient", "deposition"):
            values = getattr(self, name)
            for i, value in enumerate(values):
                if value in values[:i]:
                    yield Problem((name, i), f"stands in the list twice (got {value})")
        for i, value in enumerate(self.l_max):
            if value > min(1 / self.bands, 0.5):
                reason = "a pore meets two bands at most" if self.bands > 2 else "no pore meets both faces"
                limit = f"1/bands = {1 / self.bands:.6g}" if self.bands > 2 else "0.5"
                yield Problem(("l_max", i), f"must be at most {limit}, so that {reason} (got {value})")
            if value <= self.l_min:
                yield Problem(("l_max", i), f"must be greater than l_min = {self.l_min} (got {value})")
        for name in ("radius", "band_deposition"):
            values = getattr(self, name) or (1.0,)
            if len(values) not in (1, self.bands):
                words = f"must hold one number, or one for each of the {self.bands} bands (got {len(values)})"
                yield Problem((name,), words)
                return
        if self.design == "optimum":
            yield from self._without_optimum()
        yield from self._impossible_radii()

    def _without_optimum(self) -> Iterator[Problem]:
        """What keeps an optimum from being found."""
        if len(self.gradient) < 3:
            yield Problem(("gradient",), f"an optimum is sought among at least 3 gradients (got {len(self.gradient)})")
        if len(self.deposition) > 1:
            words = f"an optimum is sought for one coefficient (got {len(self.deposition)}); give each a study"
            yield Problem(("deposition",), words)
        if self.realizations < 2 * self.optimum.round:
            yield Problem(
                ("realizations",),
                f"must be at least two rounds of {self.optimum.round} for an optimum (got {self.realizations})",
            )

    def _impossible_radii(self) -> Iterator[Problem]:
        """Gradients that leave a band no radius, and steps that do not suit the radii."""
        reach = (self.bands - 1) / 2
        radii = self.radius * self.bands if len(self.radius) == 1 else self.radius
        places = [reach - k for k in range(self.bands)]
        for i, value in enumerate(self.gradient):
            if value < 0:
                yield Problem(("gradient", i), f"must be at least 0: pores narrow with depth (got {value})")
            elif min(r + value * place for r, place in zip(radii, places, strict=True)) <= 0:
                limit = min(r / -place for r, place in zip(radii, places, strict=True) if place < 0)
                yield Problem(
                    ("gradient", i),
                    f"must be less than {limit:.6g}, where the radius of a band falls to 0 (got {value})",
                )
        if min(self.gradient) < 0:
            return
        steep = max(self.gradient)
        found = [r + s * place for r, place in zip(radii, places, strict=True) for s in (0.0, steep)]
        fastest = max(self.band_deposition or (1.0,))
        most = max(found) / min(self.band_deposition or (1.0,)) / self.time_step
        if most > 100_000:
            yield Problem(
                ("time_step",),
                f"too small: a filter's life would take {most:.3g} steps, at most 100000 are run",
            )
        elif 0 < min(found) < 2 * self.time_step * fastest:
            yield Problem(
                ("time_step",),
                f"too large: the narrowest pores, of radius {min(found):.3g}, must last two steps at least; "
                f"at most {min(found) / 2 / fastest:.3g} (got {self.time_step})",
            )


class Crop(Model):
    """Pixels that are cut off each side of the micrograph: a banner, what lies above the skin."""

    top: Whole = knob(0, "rows above the feed side", unit="pixel", ge=0)
    bottom: Whole = knob(0, "rows below; a banner that the file tells of is cut off anyway", unit="pixel", ge=0)
    left: Whole = knob(0, "columns", unit="pixel", ge=0)
    right: Whole = knob(0, "columns", unit="pixel", ge=0)


class Segmentation(Model):
    """How pores and solid are told apart in the micrograph."""

    method: Literal["auto", "otsu", "hysteresis", "adaptive"] = knob(
        "auto",
        "auto: one threshold, after uneven brightness has been made even; otsu: one threshold; hysteresis: the same, "
        "for pores with a dark core only; adaptive: threshold by the local mean, as the paper (adds pores)",
        unit="",
    )
    sensitivity: Number = knob(
        0.65, "adaptive: share of the local mean that counts as solid; larger gives more solid", ge=0, le=1
    )
    presmooth: Number = knob(1.0, "Gaussian smoothing before the threshold, 0 for none", unit="pixel", ge=0, le=20)
    median: Whole = knob(3, "median filter after the threshold, odd; 1 for none", unit="pixel", ge=1, le=21)
    pores: Literal["dark", "bright"] = knob("dark", "which phase the pores are", unit="")

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.median % 2 == 0:
            yield Problem(("median",), f"must be odd (got {self.median})")


class Search(Model):
    """How the structure is found that belongs to the micrograph."""

    method: Literal["direct", "bayesian", "published"] = knob(
        "direct",
        "direct: widths and porosity corrected by what is seen, for each candidate of closing and roughness; "
        "bayesian: widths, closing and roughness by Bayesian optimisation, porosity matched; "
        "published: the paper's search as its program did it, with its two layers",
        unit="",
    )
    slices: Whole = knob(4, "sections of a trial that are compared (direct, bayesian)", ge=1, le=64)
    closing_radius: Numbers = knob(
        (0.0, 1.0, 1.4143, 2.0, 2.4495, 3.0, 3.4642, 4.0),
        "candidates (direct) or the range (bayesian) of the radius of the ball that closes narrow pores; only its "
        "square's whole part counts",
        unit="voxel",
    )
    roughness: Numbers = knob(
        (0.0, 0.1, 0.2, 0.35), "candidates or the range of the finer field's share of the variance (graded model)"
    )
    trials: Whole = knob(60, "trial structures for each replicate (bayesian, published)", ge=2, le=2000)
    initial: Whole = knob(16, "trials placed by a quasi-random design before the model takes over", ge=2, le=1000)
    in_flight: Whole = knob(
        4, "trials proposed before the first of them is known; no more than so many run side by side", ge=1, le=100
    )
    sigma: Range | None = knob(
        None,
        "range of the fields' widths (bayesian); default from 0.3 to 1.3 times what theory says of a field of the "
        "micrograph's correlation length, each at its depth",
        unit="voxel",
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.sigma:
            yield from _ordered("sigma", self.sigma)
        limits = {"sigma": (0.2, 50.0), "closing_radius": (0.0, 16.0), "roughness": (0.0, 0.9)}
        for name, (low, high) in limits.items():
            values = getattr(self, name) or (low,)
            if min(values) < low or max(values) > high:
                yield Problem((name,), f"must lie within [{low:g}, {high:g}] (got {list(values)})")
        for name in ("closing_radius", "roughness"):
            values = getattr(self, name)
            seen = [math.floor(v**2 + 1e-9) for v in values] if name == "closing_radius" else list(values)
            for i, value in enumerate(seen):
                if value in seen[:i]:
                    more = "; only the whole part of its square counts" if name == "closing_radius" else ""
                    yield Problem((name, i), f"stands in the list twice{more} (got {values[i]})")
        if self.initial > self.trials:
            yield Problem(("initial",), f"must be at most trials = {self.trials} (got {self.initial})")
        if self.in_flight > self.initial:
            yield Problem(("in_flight",), f"must be at most initial = {self.initial} (got {self.in_flight})")


class StructureModel(Model):
    """What kind of structure is looked for."""

    depth: Literal["graded", "layers"] = knob(
        "graded",
        "graded: one Gaussian field whose width and porosity change steadily with depth; "
        "layers: a fine field that gives way to a coarse one (Chamani)",
        unit="",
    )
    knots: Literal["auto"] | Numbers = knob(
        "auto",
        "graded: depths, as shares of the whole, between which width and porosity change evenly; auto: as few as the "
        "micrograph does not contradict",
        unit="",
    )
    blend_power: Number = knob(
        10.0, "layers: exponent of the depth weight (1 - z/H)^power of the fine field", source="Chamani", gt=0, le=100
    )
    skin: Number = knob(
        0.2, "layers: share of the depth that decides the fine field's width", source="Chamani", gt=0, lt=1
    )
    support: Number = knob(
        0.5, "layers: share of the depth, from below, that decides the coarse one's", source="Chamani", gt=0, lt=1
    )
    closing_depth: Number | None = knob(
        None, "depth fraction below which narrow pores are closed; default 0, with layers 0.25", ge=0, le=1
    )
    truncate: Number = knob(4.0, "half-width of the Gaussian kernel, in standard deviations", ge=1, le=8)

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.knots != "auto":
            rising = all(a < b for a, b in itertools.pairwise(self.knots))
            if not rising or self.knots[0] < 0 or self.knots[-1] > 1:
                yield Problem(("knots",), f"must rise within [0, 1] (got {list(self.knots)})")


class VolumeSettings(Model):
    """The volume that is written; its depth is the micrograph's."""

    slices: Whole = knob(256, "planes across the sections (y)", unit="voxel", ge=8, le=100_000)
    width: Whole | None = knob(
        None, "voxels along the section (x); default the micrograph's width", unit="voxel", ge=8, le=100_000
    )
    block: Whole = knob(64, "planes in one block of work and one row of chunks", unit="voxel", ge=1, le=4096)


class ReconstructStudy(BaseStudy):
    """A three-dimensional structure from one cross-section micrograph (Chamani)."""

    kind: Literal["reconstruct"] = "reconstruct"
    input: InputFile = Field(
        description="micrograph, TIFF, PNG or .npy, grey; rows run along the depth, the feed side on top",
        json_schema_extra={"unit": "", "example": "micrograph.tif"},
    )
    page: Whole | None = knob(None, "which image of a stack, from 0", unit="", ge=0)
    pixel_size: LengthNm | None = knob(
        None,
        "edge of a pixel, with its unit, for example 3 nm; becomes the edge of a voxel. Default: what the file says "
        "(FEI, Zeiss, OME, ImageJ); required where it says nothing",
        unit="nm, um, ...",
    )
    crop: Crop = knob(Crop(), "what is cut off the image", unit="")
    replicates: Whole = knob(
        1,
        "reconstructions, each with its own random field; the first is the best match, the others are matched to what "
        "other sections of it would have shown, so that all of them together tell how sure the answer is",
        ge=1,
        le=10_000,
    )
    segmentation: Segmentation = knob(Segmentation(), "how pores and solid are told apart", unit="")
    model: StructureModel = knob(StructureModel(), "what kind of structure is looked for", unit="")
    search: Search = knob(Search(), "how it is found", unit="")
    volume: VolumeSettings = knob(VolumeSettings(), "the volume that is written", unit="")

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field."""
        return {"input": self.input}


class GreySettings(Model):
    """How a grey volume, such as a tomogram, is cut into pores and solid."""

    threshold: Number | None = knob(None, "grey value that parts the phases; default: the volume has two values")
    sigma: Number = knob(0.0, "Gaussian filter before, 0 for none", unit="voxel", ge=0, le=20)
    closing_radius: Number = knob(
        0.0, "ball that closes the solid afterwards; only its square's whole part counts", unit="voxel", ge=0, le=16
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.threshold is None:
            for name in ("sigma", "closing_radius"):
                if getattr(self, name):
                    yield Problem((name,), f"needs a threshold beside it (got {getattr(self, name)})")


class NetworkSettings(Model):
    """Which places of the pore space count as pores of the network (SNOW)."""

    sigma: Number = knob(
        0.4, "Gaussian filter of the distance map, 0 for none", unit="voxel", source="Gostick 2017", ge=0, le=5
    )
    radius: Number = knob(
        4.0,
        "a pore's centre is the point farthest from the solid within this distance; larger merges more",
        unit="voxel",
        source="Gostick 2017",
        ge=1,
        le=32,
    )
    smallest: Number = knob(2.0, "least distance of a pore's centre from the solid", unit="voxel", ge=0, le=32)
    nearby: Number = knob(
        1.0,
        "of two centres nearer to each other than this times the distance to the solid, the lower one goes; larger "
        "merges more",
        source="Gostick 2017",
        ge=0,
        le=10,
    )


class FlowSettings(Model):
    """The flow of a liquid through the pores, under a pressure that drives it along the depth."""

    solve: bool = knob(
        False, "whether to solve for it; takes a worker some 185 bytes for every pore voxel of a volume, and half as "
        "much for large ones, by slabs", unit=""
    )  # fmt: skip
    method: Literal["stokes", "screening"] = knob(
        "stokes", "the flow itself, or only an estimate from local mobilities: sooner, but 1.1 to 1.4 "
        "times the permeability, without bounds", unit="",
    )  # fmt: skip
    sides: Literal["symmetric", "periodic", "wall"] = knob(
        "symmetric", "beyond the sides lies the mirror image, the volume once more, or a wall", unit=""
    )
    surface: Literal["smooth", "voxels"] = knob(
        "smooth",
        "voxels sample a body with a smooth surface, or are the body itself with all their edges; the other reading's "
        "permeability is given beside",
        unit="",
    )
    refine: Whole = knob(
        1, "parts into which a voxel is cut along each axis; 2 takes eight times as much memory", ge=1, le=4
    )
    slab: Whole | None = knob(
        None,
        "planes of the depth whose velocities are found at a time, as units of work; default: 128 where a volume has "
        "more than 20 million pore voxels, else all at once",
        unit="voxel", ge=16,
    )  # fmt: skip
    tolerance: Number = knob(0.01, "distance of two bounds of the permeability, over the lower", ge=1e-4, le=0.2)
    velocities: bool = knob(
        False, "whether to keep the velocities in all voxels, 12 bytes each before compression", unit=""
    )
    pressure: Pressure = knob(210e3, "between both faces; for speeds", unit="kPa, bar, psi, ...", source="Chamani")
    viscosity: Viscosity = knob(0.89e-3, "of the liquid; that of water at 25 degrees Celsius", unit="mPa s, ...")


class RetentionSettings(Model):
    """Balls in the liquid: how many of them pass the pores (needs the flow)."""

    solve: bool = knob(False, "whether to find it", unit="")
    diameter: LengthNm = knob(20.0, "of the balls whose log reduction is given", unit="nm, ...", source="Chamani")
    diameters: Lengths = knob(
        (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0), "of those of the rejection curve", unit="nm, ..."
    )
    collision: Literal["sieve", "touch"] = knob(
        "sieve", "a ball that touches a wall moves on along it, or sticks; the rejection curve has both", unit=""
    )
    temperature: Temperature = knob(298.15, "of the liquid; drives Brownian motion", unit="degC, K")
    particles: Whole = knob(
        500, "balls followed one by one: what such a count would show in an experiment", ge=1, le=1_000_000
    )


class CharacterizeStudy(BaseStudy):
    """What a three-dimensional structure is: connectivity, pore sizes, network, tortuosity, permeability (Chamani)."""

    kind: Literal["characterize"] = "characterize"
    input: InputVolume = Field(
        description="segmented volume (OME-Zarr, TIFF stack, folder of TIFF images, .npy), depth first; or a run of "
        "a reconstruction, or its study, which is run first",
        json_schema_extra={"unit": "", "example": "volume.tif"},
    )
    reference: InputVolume | None = knob(None, "a volume to compare with, measured in the same way", unit="")
    voxel_size: LengthNm | None = knob(
        None,
        "edge of a voxel, with its unit, for example 3 nm. Default: what the file says; required where it says nothing",
        unit="nm, um, ...",
    )
    pores: Literal["dark", "bright"] | Whole = knob(
        "dark", "which of two values the pores are; or their value among many, such as 85", unit=""
    )
    grey: GreySettings = knob(GreySettings(), "how a grey volume is cut into pores and solid", unit="")
    connectivity: Literal[6, 26] = knob(
        6, "voxels are connected across faces (6), or across edges and corners as well (26)"
    )
    network: NetworkSettings = knob(NetworkSettings(), "which places count as pores of the network", unit="")
    tortuosity: bool = knob(True, "whether to measure shortest paths and diffusion as well", unit="")
    tolerance: Number = knob(
        1e-3, "largest difference of the diffusive flux from plane to plane, over the flux", ge=1e-4, le=0.1
    )
    flow: FlowSettings = knob(FlowSettings(), "permeability, by the flow itself", unit="")
    retention: RetentionSettings = knob(RetentionSettings(), "what the pores hold back", unit="")
    block: Whole = knob(256, "edge of a block of work; does not change the result", unit="voxel", ge=32, le=1024)

    def sources(self) -> dict[str, Path]:
        """Volumes, by field."""
        return {"input": self.input} | ({"reference": self.reference} if self.reference else {})

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if self.grey.threshold is not None and not isinstance(self.pores, str):
            yield Problem(("pores",), f"must be dark or bright where a grey volume is cut (got {self.pores})")
        asked = [name for name in ("method", "slab", "velocities") if name in self.flow.model_fields_set]
        asked = [name for name in asked if getattr(self.flow, name) != type(self.flow).model_fields[name].default]
        if asked and not self.flow.solve:
            yield Problem(("flow", asked[0]), "needs the flow: set flow.solve: true as well")
        if self.retention.solve and not self.flow.solve:
            yield Problem(("retention", "solve"), "needs the flow: set flow.solve: true as well")
        if self.retention.solve and self.flow.method == "screening":
            yield Problem(("flow", "method"), "screening finds no flow for retention to use: must be stokes")
        if self.flow.velocities and self.flow.method == "screening":
            yield Problem(("flow", "method"), "screening finds no velocities to keep: must be stokes")


def _measure(unit: str, example: str, low: float = 0.0, high: float = math.inf) -> Any:
    """Annotations for a quantity in any unit of its kind, held in ``unit``, between bounds (both left out)."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str):
            raise ValueError(f"a number with a unit is needed, for example '{example}' (got {value!r})")
        try:
            (number,), told = split_quantity(value)
            found = convert(number, told, unit)
        except ValueError:
            raise ValueError(f"not a quantity in '{unit}', for example '{example}' (got {value!r})") from None
        except Exception as error:  # units of another kind
            raise ValueError(f"not a quantity in '{unit}', for example '{example}' (got {value!r})") from error
        if not low < found < high:
            within = f"within {low:g} and {high:g} {unit}" if high < math.inf else f"greater than {low:g}"
            raise ValueError(f"must be {within} (got {value!r})")
        return found

    return (
        BeforeValidator(read),
        PlainSerializer(lambda value: f"{value!r} {unit}", return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def _belief(unit: str, example: str, high: float = math.inf) -> Any:
    """Annotations for what is known of a quantity: a value, a value +- its deviation, or a range `low to high`.

    Held as its kind and two numbers in ``unit``. A range is even in the logarithm; `uniform low to high` in itself.
    """

    def read(value: object) -> tuple[str, float, float]:
        words = f"a value, value +- deviation or low to high is needed, for example '{example}' (got {value!r})"
        if isinstance(value, (int, float)) and not isinstance(value, bool) and unit == "1":
            value = repr(float(value))
        if not isinstance(value, str):
            raise ValueError(words)
        try:
            text = value.strip().removeprefix("uniform")
            numbers, told = split_quantity(text)
            if unit == "1" and told not in ("", "1", "%"):
                raise ValueError
            factor = {"": 1.0, "1": 1.0, "%": 0.01}[told] if unit == "1" else convert(1.0, told, unit)
        except Exception as error:
            raise ValueError(words) from error
        first, second = ([number * factor for number in numbers] + [0.0])[:2]
        if len(numbers) == 1:
            kind = "exact"
        elif " to " in text or re.search(r"\dto\d", text):
            kind = "uniform" if value.strip().startswith("uniform") else "loguniform"
        else:
            kind = "normal"
        if kind in ("exact", "loguniform", "normal") and not 0 < first < high:
            raise ValueError(
                f"must be greater than 0{f' and less than {high:g}' if high < math.inf else ''} (got {value!r})"
            )
        if "uniform" in kind and not 0 <= first < second <= high:
            raise ValueError(
                f"must be a range low to high{f' up to {high:g}' if high < math.inf else ''} (got {value!r})"
            )
        if kind == "normal" and not 0 < second < first:
            raise ValueError(f"the deviation must be greater than 0 and less than the value (got {value!r})")
        return kind, first, second

    def write(known: tuple[str, float, float]) -> str:
        kind, first, second = known
        told = "" if unit == "1" else f" {unit}"
        join = {"exact": "", "normal": " +- ", "loguniform": " to ", "uniform": " to "}[kind]
        return ("uniform " if kind == "uniform" else "") + f"{first!r}{join}{f'{second!r}' if join else ''}{told}"

    return (
        BeforeValidator(read),
        PlainSerializer(write, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


_KELVIN = _measure("K", "25 degC", 273.16, 373.0)
_CELSIUS = PlainSerializer(lambda value: f"{round(value - 273.15, 9)!r} degC", return_type=str)
WaterTemperature = Annotated[float, _KELVIN[0], _CELSIUS, _KELVIN[2]]
_Belief = tuple[str, float, float]
BeliefLength = Annotated[(_Belief, *_belief("m", "3.15 +- 0.25 nm"))]
BeliefShare = Annotated[(_Belief, *_belief("1", "0.13 +- 0.02", 1.0))]
BeliefNumber = Annotated[(_Belief, *_belief("1", "7.5e9 +- 1e9"))]


class KnownSettings(Model):
    """What is known of every membrane apart from its flux: any two close the relations, with fewer a ridge is left.

    `3 nm` is exact, `3.15 +- 0.25 nm` a value with its standard deviation, `0.1 to 1 um` a range even in the
    logarithm, `uniform 0.1 to 1 um` in itself.
    """

    radius: BeliefLength | None = knob(None, "pore radius, such as from a rejection point", unit="nm, um, ...")
    porosity: BeliefShare | None = knob(None, "surface porosity, such as from micrographs")
    pore_number: BeliefNumber | None = knob(None, "number of pores in the area, such as counted on micrographs")
    thickness: BeliefLength | None = knob(None, "thickness of the layer that resists", unit="nm, um, ...")

    def _inconsistencies(self) -> Iterator[Problem]:
        exact = [name for name in type(self).model_fields if (getattr(self, name) or ("",))[0] == "exact"]
        if len(exact) > 2:
            words = f"is the third exact value ({', '.join(exact)}): two fix everything; give its deviation with +-"
            yield Problem((exact[2],), words)


class PlausibleSettings(Model):
    """Ranges, even in the logarithm, that take the place of data where fewer than two are known."""

    radius: BeliefLength = knob(("loguniform", 0.5e-9, 1e-5), "pore radius", unit="nm, um, ...")
    thickness: BeliefLength = knob(
        ("loguniform", 1e-8, 2e-4), "thickness of the layer that resists", unit="nm, um, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        for name in type(self).model_fields:
            if getattr(self, name)[0] != "loguniform":
                yield Problem((name,), "must be a range, low to high")


class FurtherSettings(Model):
    """Relative standard deviations of measurements that could be made next."""

    rejection_point: Number = knob(0.08, "pore radius from a rejection curve", source="Palencia Table 2", gt=0, lt=1)
    displacement_porometry: Number = knob(0.05, "pore radius from liquid-liquid displacement", gt=0, lt=1)
    micrograph_porosity: Number = knob(0.1, "open share of the surface on micrographs (SEM)", gt=0, lt=1)
    micrograph_count: Number = knob(0.1, "pores counted on micrographs (SEM)", gt=0, lt=1)
    thickness: Number = knob(0.1, "thickness of the layer on cross-sections (SEM)", gt=0, lt=1)


class PublishedSettings(Model):
    """With convention: published, which of the paper's tables is the model, and which of its defects are on."""

    preset: Literal["table6", "table8", "table14"] | None = knob(
        None, "default: table6 for lines, table14 for curves beyond a critical pressure", unit="", source="Palencia"
    )
    thickness: Annotated[(float, *_measure("m", "107.5 um"))] | None = knob(
        None, "thickness y of the membrane; required", unit="nm, um, ...", source="Palencia Table 2"
    )
    young_laplace_power: Whole | None = knob(
        None, "power of ten of the Young-Laplace radius, -3 for backward scaling; default as the table", ge=-9, le=9
    )
    porosity_power: Whole | None = knob(
        None, "power of ten of the porosity; default such that it lies in [0.1, 1)", ge=-12, le=12
    )
    pore_number_powers: Annotated[tuple[Whole, Whole], BeforeValidator(_pair)] | None = knob(
        None, "powers of ten of the pore number at the lower and the upper radius; default to 10^13 and 10^12"
    )
    rounded_cosine: bool | None = knob(
        None, "cosine of the contact angle to two digits; default as the table", unit="", source="Palencia Table 14"
    )
    literal_numbers: bool | None = knob(
        None,
        "pore numbers without the porosity's power of ten; default as the table",
        unit="",
        source="Palencia Eq. 22",
    )
    literal_equation_22: bool | None = knob(
        None, "Eq. 22 as printed, which does not give the printed radii; default no", unit="", source="Palencia Eq. 22"
    )
    dropped_division: bool | None = knob(
        None, "Eq. 22 without its 1/r, an area called nm; default as the table", unit="", source="Palencia Table 14"
    )


class BootstrapSettings(Model):
    """Fits repeated on data drawn anew."""

    method: Literal["residual", "pairs", "parametric"] = knob(
        "parametric",
        "parametric: normal errors of the size found; residual: residuals drawn anew; pairs: points drawn anew. "
        "Printed lines and curves beyond a critical pressure are always parametric",
        unit="",
    )
    draws: Whole = knob(2000, "fits of each membrane; 0 for none", ge=0, le=1_000_000)
    batch: Whole = knob(1000, "fits in a unit of work", ge=10, le=100_000)


class PorometryStudy(BaseStudy):
    """What flux against pressure says of a membrane's pores, and what it leaves open (Palencia)."""

    kind: Literal["porometry"] = "porometry"
    input: InputFile = Field(
        description="table (.csv, .xlsx, .json) with units in its headers: membrane, pressure [bar], flux [L m-2 h-1] "
        "(or mass [g] and time [s]), perhaps replicate, state (before, after), temperature [degC], area [cm2]; or of "
        "lines that were fitted: permeability, intercept, r2, pressures",
        json_schema_extra={"unit": "", "example": "flux.csv"},
    )
    more: InputFile | None = knob(None, "a second such table", unit="")
    sheet: Line | None = knob(None, "sheet of a workbook with several", unit="")
    decimal: Literal[".", ","] = knob(".", "what stands before decimals in the tables", unit="")
    area: Annotated[(float, *_measure("m2", "34 cm2"))] | None = knob(
        None, "membrane area, where no column tells; without it pore numbers are those of 1 m2", unit="cm2, m2, ..."
    )
    temperature: WaterTemperature = knob(298.15, "of the water, where no column tells", unit="degC, K")
    viscosity: Annotated[(float, *_measure("Pa s", "0.89 mPa s", 1e-5, 0.1))] | None = knob(
        None, "of the liquid; default water's at its temperature (IAPWS)", unit="mPa s, ..."
    )
    surface_tension: Annotated[(float, *_measure("N m-1", "72 mN m-1"))] | None = knob(
        None, "of the liquid; default water's at its temperature (IAPWS)", unit="mN m-1, ..."
    )
    contact_angle: Number | None = knob(
        None, "of the liquid on the membrane; default none, and no Young-Laplace radius", unit="degrees", ge=0, lt=90
    )
    convention: Literal["si", "published"] = knob(
        "si",
        "si: what the data determine, in consistent units; published: the paper's structure as well, whose powers of "
        "ten are assigned",
        unit="",
    )
    curve: Literal["linear", "darcy"] = knob(
        "linear",
        "linear: one line through all pressures; darcy: a line from the threshold (root of the cubic through the "
        "points) to a critical pressure, from where the flux grows with the logarithm",
        unit="",
        source="Palencia Sec. 3.6",
    )
    regression: Literal["ols", "weighted", "deming", "huber"] = knob(
        "ols",
        "ols: least squares; weighted: by a column 'flux sd', or errors in proportion to the flux; deming: errors of "
        "the gauge as well; huber: outliers pull little",
        unit="",
    )
    pressure_error: Annotated[(float, *_measure("Pa", "1 kPa"))] | None = knob(
        None, "standard deviation of a pressure, for deming", unit="kPa, ..."
    )
    flux_error: Number | None = knob(
        None, "relative standard deviation of a flux: for deming, and for curves that leave no residuals", gt=0, lt=1
    )
    replicates: Literal["readings", "runs"] = knob(
        "readings",
        "readings: replicates differ by errors of reading, each a point; runs: each replicate is a run with its own "
        "line, whose scatter gives the intervals",
        unit="",
    )
    confidence: Number = knob(0.95, "of all intervals", ge=0.5, lt=1)
    viscosity_error: Number = knob(0.0, "relative standard deviation of the viscosity", ge=0, lt=0.5)
    area_error: Number = knob(0.0, "relative standard deviation of the area", ge=0, lt=0.5)
    known: KnownSettings = knob(KnownSettings(), "independent data", unit="")
    membranes: dict[Line, KnownSettings] = knob(
        {},
        "independent data of single membranes, by label, in place of those of all: {M1: {radius: 3 +- 0.2 nm}}",
        unit="",
    )
    plausible: PlausibleSettings = knob(PlausibleSettings(), "ranges in place of data", unit="")
    further: FurtherSettings = knob(FurtherSettings(), "errors of measurements that could be made next", unit="")
    published: PublishedSettings = knob(PublishedSettings(), "the paper's way", unit="")
    bootstrap: BootstrapSettings = knob(BootstrapSettings(), "fits repeated on data drawn anew", unit="")
    draws: Whole = knob(1000, "points of each posterior that are kept", ge=10, le=100_000)
    reference: InputFile | None = knob(
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


Study = GradedStudy | ReconstructStudy | CharacterizeStudy | PorometryStudy
KINDS: Mapping[str, type[BaseStudy]] = {
    "graded": GradedStudy,
    "reconstruct": ReconstructStudy,
    "characterize": CharacterizeStudy,
    "porometry": PorometryStudy,
}
