"""Graded filters: ensembles of random banded networks, each fouled over a filter's life (Gu)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.config import GradedStudy
from membrane_dask.physics.banded import generate
from membrane_dask.physics.fouling import FilterLife, filter_life
from membrane_dask.program import Dataset, History, Proposer, Table, Unit, Volume, Work
from membrane_dask.variables import GRADED, GU

#: Enters every unit's spawn key, so that no two study kinds share a random stream.
_KIND = 1


class GradedProgram:
    """One unit is one network: drawn, filled with flow, fouled until nothing passes.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    """

    kind = "graded"
    volumes: Sequence[Volume] = ()
    static: Sequence[Dataset] = ()

    def __init__(self, study: GradedStudy) -> None:
        self.study = study
        largest = study.radius + max(study.gradient) * (study.bands - 1) / 2
        # Inlet pores lie in the first band, see c = 1 and shrink at rate 1: no filter outlives r_1.
        self.n_steps = math.ceil(largest / study.time_step - 1e-9) + 1
        names = ("l_min", "radius", "bands", "porosity", "porosity_tolerance", "deposition", "time_step",
                 "flux_threshold", "solver_tolerance")  # fmt: skip
        self.context: Mapping[str, Any] = {name: getattr(study, name) for name in names} | {"n_steps": self.n_steps}
        self.work: Work = work
        self.attrs: Mapping[str, Any] = {
            "title": "Fouling of random banded pore networks",
            "references": f"{GU}, doi:10.1103/PhysRevFluids.8.044502",
            "seed": study.seed,
        }
        coords = {
            "l_max": np.array(study.l_max),
            "gradient": np.array(study.gradient),
            "realization": np.arange(study.realizations),
            "band": np.arange(1, study.bands + 1),
            "time": np.round(np.arange(self.n_steps + 1) * study.time_step, 12),
        }
        scale = {name: getattr(study, name) for name in names}
        self.tables: Sequence[Table] = (
            Table("graded", ("l_max", "gradient", "realization"), GRADED, coords, scale, self._seconds()),
        )

    def _junctions(self, l_max: float) -> float:
        """Rough number of junctions: band porosity fixes the pore length, which goes with N^2 l_max^4."""
        study = self.study
        narrowest = study.radius - max(study.gradient) * (study.bands - 1) / 2
        volume = 4 / 3 * math.pi * (l_max**3 - study.l_min**3)
        length = study.porosity / (math.pi * narrowest**2)
        return math.sqrt(2 * length / (volume * 0.75 * l_max)) + 1

    def _seconds(self) -> float:
        """Rough time of a unit, only to choose batches: work goes with pores times steps."""
        pores = max(self._junctions(l) ** 2 * 2.0 * l**3 for l in self.study.l_max)  # noqa: E741
        return max(0.01, 5e-8 * pores * self.n_steps)

    def proposer(self) -> Proposer:
        """All units at once, on the first call."""
        rounds = iter([self._units()])
        return lambda history: next(rounds, ())

    def _units(self) -> list[Unit]:
        study = self.study
        grid = itertools.product(enumerate(study.l_max), enumerate(study.gradient), range(study.realizations))
        return [self._unit((i, j, n), l_max, gradient) for (i, l_max), (j, gradient), n in grid]

    def _unit(self, index: tuple[int, int, int], l_max: float, gradient: float) -> Unit:
        # The stream goes with the values, not with their places: a design point added to the study
        # leaves the networks of the others as they were.
        point = tuple(round(value * 1e9) for value in (l_max, gradient))
        return Unit(
            key=f"graded,l_max={l_max:g},gradient={gradient:g},realization={index[2]}",
            task="graded",
            index=index,
            params={"l_max": l_max, "gradient": gradient},
            seed=(self.study.seed, _KIND, *point, index[2]),
        )

    def pilots(self) -> Sequence[Unit]:
        """The corners of the design."""
        study = self.study
        found = {}
        for i in (0, len(study.l_max) - 1):
            for j in (0, len(study.gradient) - 1):
                unit = self._unit((i, j, 0), study.l_max[i], study.gradient[j])
                found[unit.key] = unit
        return list(found.values())

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a unit: some 300 for each pore, and its history."""
        pores = max(self._junctions(l) ** 2 * 2.0 * l**3 for l in self.study.l_max)  # noqa: E741
        return {"graded": int(600 * pores + 8 * self.n_steps * (4 + self.study.bands) + 20_000_000)}

    def collect(self, read: Callable[[str], Any], history: History) -> Mapping[str, Any]:
        """Nothing follows: means and intervals are a line of xarray."""
        return {}


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Draw one network and follow its life.

    Parameters
    ----------
    context : mapping
        The study's parameters, all dimensionless.
    unit : Unit
        ``params`` holds ``l_max`` and ``gradient``.

    Returns
    -------
    values : dict of str to ndarray
        One value for every variable of ``membrane_dask.variables.GRADED``.
    feedback : dict
        Empty.
    """
    rng = np.random.Generator(np.random.PCG64(unit.seed_sequence()))
    network = generate(
        rng,
        l_min=context["l_min"],
        l_max=unit.params["l_max"],
        radius=context["radius"],
        gradient=unit.params["gradient"],
        bands=context["bands"],
        porosity=context["porosity"],
        porosity_tolerance=context["porosity_tolerance"],
    )
    life = filter_life(
        network,
        deposition=context["deposition"],
        time_step=context["time_step"],
        flux_threshold=context["flux_threshold"],
        solver_tolerance=context["solver_tolerance"],
    )
    return {v.path: _value(life, v.name, v.dims, context["n_steps"] + 1) for v in GRADED}, {}


def _value(life: FilterLife, name: str, dims: tuple[str, ...], n_times: int) -> np.ndarray:
    value = np.asarray(getattr(life, name))
    if "time" not in dims:
        return value
    padded = np.full((n_times, *value.shape[1:]), np.nan)
    padded[: len(value)] = value
    return padded
