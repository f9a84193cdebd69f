"""Lives that end when the pores of the first band close: what they depend on.

With the published deposition law, pores narrow at the rate of the concentration at their inlet, which is that of the
feed in the first band alone. A cut through pores behind it does not close before: the flux through it would vanish, and
with it the foulant that reaches it, unless those pores have a larger deposition coefficient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membrane_dask.studies.graded.config import GradedStudy

#: Metrics of the time until the end of life.
LIFETIMES = ("lifetime", "service_time")
#: Why designs with equal radii of the first band live equally long.
REASON = (
    "with deposition_law: published at constant pressure, a life ends when the pores of the first band close, which "
    "depends on their radius alone"
)


def ends_with_first_band(study: GradedStudy) -> bool:
    """Whether a life of this study lasts until the pores of its first band close, to the time step."""
    ratios = study.band_deposition or (1.0,)
    return (
        study.operation.mode == "pressure"
        and study.deposition_law == "published"
        and not study.end_of_life.flux_fraction
        and study.end_of_life.time is None
        and study.erosion.rate == 0
        and study.sieving.rate == 0
        and study.radius_spread.deviation == 0
        and max(ratios) <= ratios[0]
    )


def closing_notes(study: GradedStudy) -> list[str]:
    """Return a note on a search for the longest or the shortest life whose parameters do not all matter to it."""
    optimum, parameters = study.optimum, study.optimum.parameters
    metrics = [name for name in optimum.front or (optimum.metric,) if name in LIFETIMES]
    if not study.searches_designs or parameters is None or not metrics or not ends_with_first_band(study):
        return []
    idle = [f"radius_2 to radius_{study.bands}"] if parameters.radius and study.bands > 1 else []
    idle += [name for name in parameters.names if name not in ("radius", "gradient")]
    if not idle:
        return [f"{metrics[0]}: {REASON}"]
    choice = "the constraints" if optimum.constraints and not optimum.front else "nothing"
    if optimum.front:
        choice = "the other metric of the front"
    return [
        f"{metrics[0]}: {REASON}; {' and '.join(idle)} cannot change it, {choice} can decide between designs that "
        "differ in them"
    ]
