"""What limits the lives of a study: sentences for the result and its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from membrane_dask.physics.networks.fouling_laws import BLOCKED, PRESSURE_LIMIT, TIME
from membrane_dask.physics.networks.radius_distribution import EQUAL_RADII, RadiusSpread
from membrane_dask.physics.networks.structure_laws import NO_PATH
from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES, MIN_REPLICATES
from membrane_dask.studies.foul.config import FoulStudy

#: Bounds within which lives of networks were compared with lives of voxels.
MAX_DAMKOHLER, MIN_PECLET, MAX_CAPTURE = 1.0, 0.25, 0.9
#: Flow through throats of a scaled formula, and bottleneck in voxels, beyond which numbers are doubtful.
_MAX_FALLBACK_FLOW, _MIN_BOTTLENECK, _RADIUS_ERROR = 0.05, 2.0, 0.3
#: Capture up to which lives of networks are closest to those of voxels.
_MODERATE_CAPTURE = 0.5
#: Exponent of the narrowing throats of the lives that were compared with those of voxels.
_COMPARED_EXPONENT = 3
#: Limits that are checked of structures, and of networks of tubes.
_OF_STRUCTURES = (
    "foulant", "bottleneck", "fallback", "damkohler", "peclet", "capture", "pressure", "particles", "time",
)  # fmt: skip
_OF_TUBES = ("foulant", "cylinders", "depth", "pressure", "particles", "time")
#: Fraction of the deposition in tubes along which it is uneven, from which it matters.
_MAX_NON_CYLINDRICAL = 0.1
#: Errors of formulas against the Stokes flow, in words.
FORMULA_ERRORS = {
    "mobility": "mobility: throat flows are 4 to 8 % off, permeability 1.19 to 1.34 of Stokes",
    "series": "series: throat flows are 22 % off, permeability 0.40 to 0.64 of Stokes",
    "inscribed": "inscribed: throat flows are 29 % off, permeability 0.13 to 0.22 of Stokes",
    "equivalent": "equivalent: throat flows are 30 % off, permeability 0.39 to 0.73 of Stokes",
}


#: In place of a model factor, of a network from files.
NO_VOXELS = "no model factor, as a network from files has no voxels"


def model_factor(diffusive_damkohler: float, capture: float) -> str:
    """Range of the life of a network over that of the voxels of its structure, in words.

    Parameters
    ----------
    diffusive_damkohler : float
        Wall rate times hydraulic radius over diffusivity; NaN without diffusion.
    capture : float
        Fraction of the foulant that the clean structure retains.
    """
    is_compared = math.isnan(diffusive_damkohler) or diffusive_damkohler <= MAX_DAMKOHLER
    if is_compared and capture <= _MODERATE_CAPTURE:
        return "model factor 0.85 to 1.25"
    if is_compared and capture <= MAX_CAPTURE:
        return "model factor 0.85 to 1.3"
    return "model factor unknown, outside the range that was compared with lives of voxels"


def is_without_path(row: Mapping[str, np.ndarray] | None) -> bool:
    """Whether the structure of a row is known to have no path; a unit that failed does not say so."""
    return row is not None and int(row["end_of_life_cause"]) == NO_PATH


def _lives(rows: Sequence[Mapping[str, np.ndarray] | None]) -> list[tuple[int, Mapping[str, np.ndarray]]]:
    """Replicates with a path and their lives."""
    return [(k, row) for k, row in enumerate(rows) if row is not None and not is_without_path(row)]


def count_lives(rows: Sequence[Mapping[str, np.ndarray] | None]) -> int:
    """Number of replicates that have a life."""
    return len(_lives(rows))


def model_factor_of(study: FoulStudy, rows: Sequence[Mapping[str, np.ndarray] | None]) -> str:
    """The model factor that holds for the lives of all replicates, which is the widest; unknown with the reason."""
    lives = [row for _, row in _lives(rows)]
    if not lives:
        return "model factor unknown, as no structure has a life"
    peclet = float(np.min([row["pore_peclet_number"] for row in lives]))
    if reason := _reason_not_compared(study, peclet):
        return f"model factor unknown, as lives {reason} were not compared with lives of voxels"
    damkohler = float(np.max([row["diffusive_damkohler_number"] for row in lives]))
    capture = float(np.max([1 - row["initial_foulant_concentration"] for row in lives]))
    return model_factor(damkohler, capture)


def _reason_not_compared(study: FoulStudy, peclet: float) -> str:
    """By what the lives of a study differ from those that were compared with lives of voxels; empty for nothing."""
    if study.hydraulics.conductance != "stokes":
        return f"with hydraulics.conductance {study.hydraulics.conductance}"
    if study.narrowing_exponent != _COMPARED_EXPONENT:
        return f"with narrowing_exponent {study.narrowing_exponent}"
    if len(study.species) > 1:
        return "with several foulants"
    if study.sieving.rate > 0:
        return "with particles"
    if study.erosion.rate > 0:
        return "with erosion"
    if peclet < MIN_PECLET:
        return f"at a pore Peclet number of {peclet:.3g}, below {MIN_PECLET:g},"
    return ""


def life_findings(study: FoulStudy, rows: Sequence[Mapping[str, np.ndarray] | None]) -> list[str]:
    """Sentences on the lives of all replicates, each limit once."""
    lives = _lives(rows)
    findings = []
    for k, row in enumerate(rows):
        name = f"replicate {k}" if len(rows) > 1 else "the structure"
        if row is None:
            findings.append(f"{name}: its life is not known, as its unit failed (see the failures of the run)")
        elif is_without_path(row):
            findings.append(f"{name} does not percolate: no life")
    if not study.has_network and study.hydraulics.conductance in FORMULA_ERRORS:
        findings.append(FORMULA_ERRORS[study.hydraulics.conductance])
    for name in _OF_TUBES if study.has_network else _OF_STRUCTURES:
        sentences = [(k, sentence) for k, row in lives if (sentence := _sentence(name, study, row))]
        if sentences:
            k, sentence = sentences[0]
            number = f"replicate {k} (and {len(sentences) - 1} more)" if len(sentences) > 1 else f"replicate {k}"
            findings.append(f"{number}: {sentence}" if len(rows) > 1 else sentence)
    return findings


def interval_findings(
    rows: Sequence[Mapping[str, np.ndarray] | None], design: str, has_interval: bool, open_levels: Sequence[float]
) -> Iterator[str]:
    """Sentences on the intervals over several replicates.

    Parameters
    ----------
    rows : sequence of mapping or None
        Arrays of the life of every replicate.
    design : str
        How replicates are related to each other.
    has_interval : bool
        Whether a number has an interval.
    open_levels : sequence of float
        Levels of the flux that a life did not reach.
    """
    if len(rows) < 2:
        return
    lives = _lives(rows)
    if not has_interval:
        if design != INDEPENDENT_SEARCHES and rows[0] is None:
            yield "no interval: the life of the best match is not known"
        elif design != INDEPENDENT_SEARCHES and is_without_path(rows[0]):
            yield "no interval: the best match has no life"
        elif len(lives) < MIN_REPLICATES:
            yield "no interval: fewer than three lives"
        return
    if len(lives) < len(rows):
        failed = sum(row is None for row in rows)
        without_path = len(rows) - len(lives) - failed
        reasons = [f"{without_path} have no life"] * (without_path > 0) + [f"units of {failed} failed"] * (failed > 0)
        yield f"intervals hold {len(lives)} of {len(rows)} structures: {', '.join(reasons)}"
    if open_levels:
        levels = ", ".join(f"{level:g}" for level in open_levels)
        yield f"no interval at the levels {levels} of the flux, which some lives did not reach"
    yield "intervals over replicates of the reconstruction; its bias is not in them"


def _sentence(name: str, study: FoulStudy, row: Mapping[str, np.ndarray]) -> str:
    """Sentence on one limit of one replicate; empty where it is kept."""
    capture = 1 - float(row["initial_foulant_concentration"])
    if name == "foulant" and study.foulant.diameter is not None:
        radius, bottleneck = study.foulant.diameter / 2, float(row["bottleneck_radius"])
        if radius >= bottleneck:
            return (
                f"a foulant of radius {radius:.4g} nm passes no path, whose widest bottleneck has {bottleneck:.4g} nm: "
                "the model takes foulant as small against the pores; sieving has particles that throats retain"
            )
    if name == "cylinders" and (fraction := float(row["non_cylindrical_deposition"])) > _MAX_NON_CYLINDRICAL:
        return f"{fraction:.0%} of the deposition falls in tubes that retain most of it near their inlets, not evenly"
    if name == "depth" and "deposited_fraction" not in row:
        return "positions of the junctions are not known: no deposit by depth"
    if name == "bottleneck" and (bottleneck := float(row["bottleneck_voxels"])) < _MIN_BOTTLENECK:
        error = 100 * _RADIUS_ERROR / bottleneck
        return f"bottleneck of {bottleneck:.1f} voxels: radii +-{_RADIUS_ERROR} voxel are +-{error:.0f} %; refine"
    if name == "fallback" and (flow := float(row["fallback_flow_fraction"])) > _MAX_FALLBACK_FLOW:
        return f"throats of a scaled formula carry {flow:.1%} of the flow: the conductances are uncertain"
    if name == "damkohler" and (number := float(row["diffusive_damkohler_number"])) > MAX_DAMKOHLER:
        return (
            f"wall rate times hydraulic radius over diffusivity is {number:.3g}: above {MAX_DAMKOHLER:g} the clean "
            "filtrate is up to 0.12 off"
        )
    if name == "peclet" and (number := float(row["pore_peclet_number"])) < MIN_PECLET:
        return f"pore Peclet number {number:.3g}: below {MIN_PECLET:g} diffusion passes what mixed pores retain"
    if name == "capture" and capture > MAX_CAPTURE:
        return f"the clean structure retains {capture:.1%}: above {MAX_CAPTURE:.0%} its filtrate is over 15 % off"
    if name == "pressure" and study.operation.mode == "flux":
        ratio = float(row["initial_pressure_ratio"]) / study.pressure_limit
        if ratio >= 1:
            return f"operation.flux needs {ratio:.2g} times the pressure_limit at the start: the life is 0"
        if int(row["end_of_life_cause"]) not in (PRESSURE_LIMIT, BLOCKED):
            return "pressure_limit never binds"
    if name == "time" and int(row["end_of_life_cause"]) == TIME:
        return "end_of_life.time ended the life: without it, service_time and filtrate_volume are larger"
    if name == "particles" and study.sieving.rate > 0:
        if not int(row["n_arrivals"]):
            return "no particle arrived within the life"
        if int(row["n_passed"]) == int(row["n_arrivals"]):
            return f"all {int(row['n_arrivals'])} particles passed: none met a narrower throat within the life"
        sieving, widest = study.sieving, float(row["widest_inlet"])
        spread = (
            RadiusSpread(sieving.distribution, sieving.deviation) if sieving.distribution != "fixed" else EQUAL_RADII
        )
        smallest = (sieving.particle_radius or 0.0) * spread.range[0]
        if smallest > widest:
            return f"every particle is caught at an inlet ({smallest:.3g} nm > {widest:.3g} nm)"
    return ""
