"""Settings of a graded study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from membrane_dask.config import (
    BaseStudy,
    Model,
    parameter,
)
from membrane_dask.errors import Problem
from membrane_dask.quantities import (
    Number,
    Numbers,
    Whole,
    numbers_up_to,
)


class RadiusSpreadSettings(Model):
    """How pore radii vary within a band, about the band's own."""

    distribution: Literal["normal", "lognormal", "uniform"] = parameter(
        "normal", "of the radii; the normal ones end at three standard deviations", unit=""
    )
    deviation: Number = parameter(
        0.0, "standard deviation over the mean; 0 leaves all radii of a band alike", ge=0, le=1
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        most = {"normal": 0.3, "lognormal": 1.0, "uniform": 0.55}[self.distribution]
        if self.deviation > most:
            words = f"must be at most {most} for {self.distribution} radii (got {self.deviation})"
            yield Problem(("deviation",), words)


class OptimumSettings(Model):
    """When `design: optimum` has found the best gradient."""

    metric: Literal["throughput", "throughput_threshold", "porosity_usage", "porosity_usage_threshold"] = parameter(
        "throughput", "what is to be as large as possible", unit=""
    )
    interval: Number = parameter(2e-4, "stop when the best gradient's interval is no wider than this", unit="W", gt=0)
    tolerance: Number = parameter(
        0.002, "or when the best candidates are known to differ by less than this share of the metric", ge=0, lt=1
    )
    confidence: Number = parameter(0.95, "confidence of the intervals", ge=0.5, lt=1)
    round: Whole = parameter(10, "networks added to every candidate left, a round", ge=4, le=10_000)


class GradedStudy(BaseStudy):
    """Ensembles of random banded pore networks, fouled over a filter's life (Gu)."""

    kind: Literal["graded"] = "graded"
    design: Literal["grid", "optimum"] = parameter(
        "grid",
        "grid: all gradients get all realizations; optimum: only as many, where they matter, as the best needs",
        unit="",
    )
    l_max: Numbers = parameter((0.2,), "largest pore length", unit="W", source="Gu Table I")
    gradient: Numbers = parameter(
        (0.0, 1e-3, 2e-3, 3e-3, 4e-3),
        "pore-radius gradient s: radius lost from one band to the next",
        unit="W",
        source="Gu Eq. 1",
    )
    realizations: Whole = parameter(
        20, "random networks at every design point; at most, to find an optimum", ge=1, le=10_000_000
    )
    optimum: OptimumSettings = parameter(
        OptimumSettings(), "with design: optimum, what is sought and how well", unit=""
    )
    bands: Whole = parameter(4, "bands m across the membrane", source="Gu Table I", ge=1, le=100)
    radius: numbers_up_to(0.1) = parameter(  # type: ignore[valid-type]
        (0.01,),
        "mean pore radius r_0, or one for each band, to which the gradient is added",
        unit="W",
        source="Gu Table I",
    )
    radius_spread: RadiusSpreadSettings = parameter(
        RadiusSpreadSettings(), "variation of the radii within a band", unit=""
    )
    l_min: Number = parameter(0.06, "smallest pore length", unit="W", source="Gu Table I", ge=0, lt=1)
    porosity: Number = parameter(0.6, "porosity of every band of the clean filter", source="Gu Eq. 5", gt=0, lt=1)
    porosity_tolerance: Number = parameter(
        0.005, "relative tolerance of the band porosities", source="Gu Sec. II", gt=0, le=0.5
    )
    deposition: numbers_up_to(1) = parameter(  # type: ignore[valid-type]
        (5e-7,), "deposition coefficient lambda; several share networks and their first flow", source="Gu Table I"
    )
    band_deposition: numbers_up_to(1e6) | None = parameter(  # type: ignore[valid-type]
        None, "deposition coefficient of each band over `deposition`; default 1 in all", source="Gu Sec. VII"
    )
    time_step: Number = parameter(2.5e-4, "step dt of the integration", source="Gu Sec. VI", gt=0, le=0.1)
    integrator: Literal["euler", "adams-bashforth"] = parameter(
        "euler",
        "of the radii: first order as published, or second order at the same cost",
        unit="",
        source="Gu Sec. VI",
    )
    quadrature: Literal["trapezoid", "left"] = parameter(
        "trapezoid", "rule for the integrals over time; left counts a step at the flux it begins with", unit=""
    )
    flux_threshold: Number = parameter(
        2e-6, "flux at which the filter is taken out of service", source="Gu Sec. VI", gt=0
    )
    solver_tolerance: Number = parameter(
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
