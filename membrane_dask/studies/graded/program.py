"""Graded filters: ensembles of random banded networks, each fouled over a filter's life (Gu)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii, junction_counts
from membrane_dask.physics.networks.filter_metrics import accumulated_metrics, threshold_crossing
from membrane_dask.physics.networks.fouling import FilterLife, filter_lives
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.physics.networks.random_network import generate
from membrane_dask.program import Dataset, History, Program, Proposer, Table, Unit
from membrane_dask.schema import Variable
from membrane_dask.studies.graded import optimum
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.variables import GRADED, GRADED_TABLE, GU, OPTIMUM, OPTIMUM_TABLE

if TYPE_CHECKING:
    import xarray as xr

#: Enters every unit's spawn key, so that no two study kinds share a random stream.
_KIND = 1
#: What an optimum is given for.
METRICS = ("throughput", "throughput_threshold", "porosity_usage", "porosity_usage_threshold")


class GradedProgram(Program):
    """One unit is one network: drawn, filled with flow, fouled until nothing passes.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    source : Source, optional
        Where the study's words stand, for the errors.

    Raises
    ------
    StudyError
        If no network can have the porosity asked for.
    """

    kind = "graded"

    def __init__(self, study: GradedStudy, source: Source | None = None) -> None:
        self.study = study
        self.spread = RadiusSpread(study.radius_spread.distribution, study.radius_spread.deviation)
        self.radii = {s: band_radii(study.radius, s, study.bands) for s in study.gradient}
        self._junctions = self._count_junctions(source)
        # Inlet pores lie in the first band, see c = 1 and shrink at their band's rate.
        rate = (study.band_deposition or (1.0,))[0]
        widest = max(radii[0] for radii in self.radii.values()) * self.spread.range[1]
        self.n_steps = math.ceil(widest / rate / study.time_step - 1e-9) + 1
        names = ("l_min", "porosity", "porosity_tolerance", "deposition", "band_deposition", "time_step",
                 "integrator", "quadrature", "flux_threshold", "solver_tolerance")  # fmt: skip
        self.context: Mapping[str, Any] = {name: getattr(study, name) for name in names} | {
            "radius": study.radius,
            "bands": study.bands,
            "spread": self.spread,
            "n_steps": self.n_steps,
            "metric": study.optimum.metric if study.design == "optimum" else None,
        }
        self.adaptive = study.design == "optimum"
        self.attrs: Mapping[str, Any] = {
            "title": "Fouling of random banded pore networks",
            "references": f"{GU}, doi:10.1103/PhysRevFluids.8.044502",
            "seed": study.seed,
        }
        coords = {
            "l_max": np.array(study.l_max),
            "gradient": np.array(study.gradient),
            "realization": np.arange(study.realizations),
            "deposition": np.array(study.deposition),
            "band": np.arange(1, study.bands + 1),
            "time": np.round(np.arange(self.n_steps + 1) * study.time_step, 12),
        }
        scale = study.model_dump(mode="json", exclude={"name", "cluster", "execution", "kind", "seed", *coords})
        self.tables: Sequence[Table] = (
            Table(GRADED_TABLE, ("l_max", "gradient", "realization"), coords, _flat(scale), self._seconds()),
        )  # fmt: skip

    def _count_junctions(self, source: Source | None) -> dict[tuple[float, float], int]:
        """Junctions that the networks of every design point start from."""
        study, found = self.study, {}
        for l_max, gradient in itertools.product(study.l_max, study.gradient):
            radii = self.radii[gradient] * math.sqrt(self.spread.mean_square)
            try:
                counts = junction_counts(l_min=study.l_min, l_max=l_max, radii=radii, porosity=study.porosity)
            except PhysicsError as error:
                words = f"cannot be had with l_max = {l_max:g} and gradient = {gradient:g}: {error}"
                raise StudyError([Problem(("porosity",), words)], source) from None
            found[l_max, gradient] = int(counts.sum())
        return found

    def _pores(self) -> float:
        """Pores of the largest networks: ``n`` points have ``n^2 l_max^3 2 pi / 3`` pairs in reach."""
        return max(2.1 * n**2 * (l_max**3 - self.study.l_min**3) for (l_max, _), n in self._junctions.items())

    def _seconds(self) -> float:
        """Rough time of a unit, only to choose batches: work goes with pores times steps."""
        return max(0.005, 3e-8 * self._pores() * self.n_steps * len(self.study.deposition))

    def proposer(self) -> Proposer:
        """All units at once; or, to find an optimum, round by round for every ``l_max``."""
        if self.study.design == "optimum":
            searches = [_Search(self, i) for i in range(len(self.study.l_max))]
            return lambda history: [unit for search in searches for unit in search.propose(history)]
        rounds = iter([self._units()])
        return lambda history: next(rounds, ())

    def _units(self) -> list[Unit]:
        study = self.study
        grid = itertools.product(range(len(study.l_max)), range(len(study.gradient)), range(study.realizations))
        return [self.unit(*place) for place in grid]

    def unit(self, i: int, j: int, realization: int) -> Unit:
        """One network. Its stream goes with ``l_max`` and the realization.

        It is the same for all gradients, so that they are compared on networks that differ in
        nothing else; and it goes with the value of ``l_max``, not with its place, so that a design
        point added to a study leaves the networks of the others as they were.
        """
        l_max, gradient = self.study.l_max[i], self.study.gradient[j]
        return Unit(
            key=f"graded,l_max={l_max:g},gradient={gradient:g},realization={realization}",
            task="graded",
            index=(i, j, realization),
            params={"l_max": l_max, "gradient": gradient},
            seed=(self.study.seed, _KIND, round(l_max * 1e9), realization),
        )

    def pilots(self) -> Sequence[Unit]:
        """The corners of the design."""
        ends = itertools.product({0, len(self.study.l_max) - 1}, {0, len(self.study.gradient) - 1})
        return [self.unit(i, j, 0) for i, j in sorted(ends)]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a unit: some 600 for each pore, and its histories."""
        history = 8 * self.n_steps * (4 + self.study.bands) * len(self.study.deposition)
        return {"graded": int(600 * self._pores() + history + 20_000_000)}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Best gradient of every metric, with its interval; of the one that was sought, where one was."""
        study = self.study
        order = np.argsort(study.gradient)
        if len(order) < 3:
            return ()
        ended = ["design"] * len(study.l_max)
        if study.design == "optimum":
            ended = [_Search(self, i).replay(history) for i in range(len(study.l_max))]
        table, found = read("graded"), []
        for metric in (study.optimum.metric,) if study.design == "optimum" else METRICS:
            samples = table[metric].transpose("l_max", "deposition", "realization", "gradient").values[..., order]
            rows = [
                [_row(np.array(study.gradient)[order], sample, study.optimum.confidence, ended[i]) for sample in row]
                for i, row in enumerate(samples)
            ]
            values = {v.name: np.array([[row[v.name] for row in line] for line in rows], v.dtype) for v in OPTIMUM}
            labels = {name: np.array(getattr(study, name)) for name in ("l_max", "deposition")}
            found.append(Dataset(OPTIMUM_TABLE, values, ("l_max", "deposition"), labels, name=f"optimum_{metric}"))
        return found


def at_flux_threshold(graded: xr.DataTree, threshold: float) -> xr.Dataset:
    """Metrics of filters that are taken out of service at another flux, from the histories of a run.

    Parameters
    ----------
    graded : xarray.DataTree
        ``run.result["graded"]``.
    threshold : float
        Flux at which the filters' service ends, > 0.

    Returns
    -------
    xarray.Dataset
        ``throughput``, ``foulant_concentration``, ``lifetime``, ``porosity_usage`` and ``band_porosity_usage``
        up to the interpolated crossing, as the run's own ``*_threshold`` are.

    Examples
    --------
    >>> import membrane_dask as md
    >>> run = md.open_run("runs/graded-quickstart")  # doctest: +SKIP
    >>> md.at_flux_threshold(run.result["graded"], 1e-6).throughput.mean("realization")  # doctest: +SKIP
    """
    import xarray as xr

    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold: must be greater than 0 (got {threshold})")
    history = graded["history"].to_dataset()
    time_step = float(history.time[1] - history.time[0])
    found = []
    for coefficient in history.deposition.values:
        one = history.sel(deposition=coefficient).transpose(..., "time", "band")
        flux = one.flux.values
        crossing, _ = threshold_crossing(flux, threshold)
        metrics, usage = accumulated_metrics(
            flux, one.foulant_concentration_out.values, one.band_porosity.values, crossing, float(coefficient),
            time_step, graded.attrs["quadrature"],
        )  # fmt: skip
        dims = one.flux.dims[:-1]
        missing = np.isnan(flux[..., 0])
        variables = {name: (dims, np.where(missing, np.nan, value)) for name, value in metrics.items()}
        variables["band_porosity_usage"] = ((*dims, "band"), usage)
        found.append(xr.Dataset(variables, {dim: one[dim] for dim in (*dims, "band")}))
    whole = xr.concat(found, history.deposition).assign_attrs(flux_threshold=threshold)
    whole = whole.transpose("l_max", "gradient", "realization", "deposition", "band")
    for variable in GRADED:
        if variable.name in whole:
            whole[variable.name].attrs = variable.attributes()
    return whole


#: How the search for an optimum ended; the first where none was made.
ENDINGS = ("design", "interval", "tie", "realizations")


def _row(gradients: np.ndarray, sample: np.ndarray, confidence: float, ended: str) -> dict[str, float]:
    """Optimum of one ``l_max`` and deposition coefficient."""
    best = optimum.best_gradient(gradients, sample, confidence)
    names = [v.name for v in OPTIMUM]
    values = {name: getattr(best, name, math.nan) for name in names}
    values["networks"] = int(np.isfinite(sample).sum())
    values["ended"] = ENDINGS.index(ended)
    values["at_edge"] = bool(best and best.at_edge)
    return values


class _Search:
    """Rounds of networks for one ``l_max``, until its best gradient is known."""

    def __init__(self, program: GradedProgram, i: int) -> None:
        self.program, self.i = program, i
        study = program.study
        self.order = [int(j) for j in np.argsort(study.gradient)]
        self.samples = np.full((study.realizations, len(self.order)), math.nan)
        self.made = 0  # realizations proposed
        self.round: list[tuple[int, Unit]] = []
        self.reason = ""

    def propose(self, history: History) -> list[Unit]:
        """Units of the rounds that the history newly allows. Each depends on whole rounds only."""
        fresh: list[Unit] = []
        while not self.reason and all(unit.key in history for _, unit in self.round):
            for j, unit in self.round:
                outcome = history[unit.key]
                if outcome.status == "done":
                    self.samples[unit.index[2], j] = outcome.feedback["metric"]
            self.round = self._next()
            fresh += [unit for _, unit in self.round]
        return fresh

    def _next(self) -> list[tuple[int, Unit]]:
        study = self.program.study
        ask = study.optimum
        where: list[int] | optimum.Reason = list(range(len(self.order)))
        if self.made >= 2 * ask.round:  # one round alone is too few to trust its spread
            where = optimum.next_round(
                np.sort(study.gradient), self.samples[: self.made],
                interval=ask.interval, tolerance=ask.tolerance, confidence=ask.confidence,
            )  # fmt: skip
        elif self.made:
            where = optimum.contenders(self.samples[: self.made], ask.confidence)
        if self.made >= study.realizations and not isinstance(where, str):
            where = "realizations"
        if isinstance(where, str):
            self.reason = where
            return []
        numbers = range(self.made, min(self.made + ask.round, study.realizations))
        self.made = numbers.stop
        return [(j, self.program.unit(self.i, self.order[j], number)) for j in where for number in numbers]

    def replay(self, history: History) -> str:
        """How the search ended, from the whole history."""
        self.propose(history)
        return self.reason or "realizations"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings as attributes: sections by dotted names, nothing for None."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = value
    return found


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Draw one network and follow its life for every deposition coefficient.

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
        ``metric``, where an optimum is sought.
    """
    rng = np.random.Generator(np.random.PCG64(unit.seed_sequence()))
    network = generate(
        rng,
        l_min=context["l_min"],
        l_max=unit.params["l_max"],
        radii=band_radii(context["radius"], unit.params["gradient"], context["bands"]),
        porosity=context["porosity"],
        porosity_tolerance=context["porosity_tolerance"],
        spread=context["spread"],
    )
    names = ("deposition", "time_step", "flux_threshold", "integrator", "quadrature", "solver_tolerance")
    band_deposition = context["band_deposition"]
    if band_deposition is not None:
        band_deposition = np.broadcast_to(band_deposition, context["bands"])
    lives = filter_lives(network, **{name: context[name] for name in names}, band_deposition=band_deposition)
    values = {v.path: _value(v, network, lives, context["n_steps"] + 1) for v in GRADED}
    metric = context["metric"]
    return values, {"metric": float(values[metric][0])} if metric else {}


def _value(variable: Variable, network: PoreNetwork, lives: Sequence[FilterLife], n_times: int) -> np.ndarray:
    """One variable of a unit, histories filled up with NaN."""
    if variable.name == "band_degree":
        return network.band_coordination_number()
    if variable.name == "band_surface_area":
        return network.band_surface_area()
    if variable.name == "mean_degree":
        return np.asarray(lives[0].coordination_number_mean)
    if "deposition" not in variable.dims:
        return np.asarray(getattr(lives[0], variable.name))
    found = [np.asarray(getattr(life, variable.name)) for life in lives]
    if "time" not in variable.dims:
        return np.stack(found)
    padded = np.full((len(lives), n_times, *found[0].shape[1:]), np.nan)
    for row, value in zip(padded, found, strict=True):
        row[: len(value)] = value
    return padded


GradedProgram.work = staticmethod(work)
