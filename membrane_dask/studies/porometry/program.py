"""Porometry: what flux against pressure says of a membrane's pores, and what it leaves open (Palencia).

Each membrane is fitted by a unit, its posterior found by another, and its fits repeated on data drawn anew by a few
more. Pairs of states, populations and the paper's own tables follow from those that are finished.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from membrane_dask.errors import Problem, Source, StudyError, nearest
from membrane_dask.io.tables.files import TableError
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve, read_flux_table
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.intervals import random_effects, ratio_interval
from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.program import Dataset, History, Program, Proposer, Table, Unit
from membrane_dask.studies.porometry import reproduction as palencia
from membrane_dask.studies.porometry.config import KnownSettings, PorometryStudy
from membrane_dask.studies.porometry.tasks import MEASUREMENTS, Member, work
from membrane_dask.studies.porometry.variables import (
    BOOTSTRAP_TABLE,
    PAIRS,
    PAIRS_TABLE,
    PALENCIA,
    POPULATIONS,
    POPULATIONS_TABLE,
    POROMETRY_TABLE,
    POSTERIOR_TABLE,
    REPRODUCTION_TABLE,
    RESAMPLED_TABLE,
)

#: Enters every unit's spawn key, so that no two study kinds share a random stream.
_KIND = 4
#: Rough seconds of a fit with all comparisons, of a posterior, and of one repeated fit; only to choose batches.
_SECONDS = {"porometry": 0.1, "posterior": 0.3, "bootstrap": 1e-4}


class PorometryProgram(Program):
    """A fit, a posterior and repeated fits of every membrane.

    Parameters
    ----------
    study : PorometryStudy
        Checked study.
    source : Source, optional
        Where the study's words stand, for the errors.

    Raises
    ------
    StudyError
        With everything that is wrong with the tables.
    """

    kind = "porometry"

    def __init__(self, study: PorometryStudy, source: Source | None = None) -> None:
        self.study = study
        data, self.ignored = self._read(source)
        labels = _labels(data)
        self._check(data, labels, source)
        self.members = [self._member(one, label) for one, label in zip(data, labels, strict=True)]
        self.labels = np.array(labels, "T")
        self._slugs = _slugs(labels)
        settings = study.bootstrap
        self.batches = math.ceil(settings.draws / settings.batch)
        self.context: Mapping[str, Any] = {"members": self.members, "study": study}
        self.attrs: Mapping[str, Any] = {
            "title": "What flux against pressure says of pores",
            "references": f"{PALENCIA}, doi:10.3390/surfaces9010005",
            "seed": study.seed,
        }
        about = {
            name: getattr(study, name)
            for name in ("convention", "curve", "regression", "replicates", "confidence", "area", "contact_angle")
            if getattr(study, name) is not None
        }
        shared = {"membrane": self.labels}
        measurements = np.array(["now", *MEASUREMENTS], "T")
        self.tables: Sequence[Table] = (
            Table(POROMETRY_TABLE, ("membrane",), shared | {"law": np.array(list(LAWS), "T")}, about,
                  _SECONDS["porometry"]),
            Table(POSTERIOR_TABLE, ("membrane",),
                  shared | {"draw": np.arange(study.draws), "measurement": measurements,
                            "quantity": np.array(QUANTITIES, "T")}, about, _SECONDS["posterior"]),
            *(
                [Table(BOOTSTRAP_TABLE, ("membrane", "batch"),
                       shared | {"batch": np.arange(self.batches), "resample": np.arange(settings.batch)}, about,
                       _SECONDS["bootstrap"] * settings.batch)]
                if self.batches
                else []
            ),
        )  # fmt: skip

    def _read(self, source: Source | None) -> tuple[list[FluxCurve | FittedLine], list[str]]:
        """Measurements of all tables, and the columns that are of no use."""
        study, problems = self.study, []
        found: list[FluxCurve | FittedLine] = []
        ignored: list[str] = []
        for name in ("input", "more"):
            path = getattr(study, name)
            if path is None:
                continue
            try:
                one = read_flux_table(
                    path, sheet=study.sheet, decimal=study.decimal, area=study.area, temperature=study.temperature
                )
            except TableError as error:
                problems += [Problem((name,), f"{path.name}: {words}") for words in error.problems]
                continue
            found += one.membranes
            ignored += one.ignored_columns
        if problems:
            raise StudyError(problems, source)
        return found, ignored

    def _check(self, data: Sequence[FluxCurve | FittedLine], labels: Sequence[str], source: Source | None) -> None:
        """Refuse what only shows with the tables read."""
        study = self.study
        problems: list[Problem] = []
        twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        problems += [Problem(("more",), f"membrane {label} stands in both tables") for label in twice]
        for name in study.membranes:
            if name not in labels and name not in {one.membrane for one in data}:
                words = f"no such membrane in the tables; {nearest(name, labels)} (got {name!r})"
                problems.append(Problem(("membranes", name), words))
        for one, label in zip(data, labels, strict=True):
            if not isinstance(one, FluxCurve):
                continue
            if study.replicates == "runs":
                runs = [len(np.unique(one.pressure[one.replicate == k])) for k in np.unique(one.replicate)]
                if len(runs) < 2 or min(runs) < 3:
                    words = "runs: each membrane needs two runs at least, of three pressures each"
                    problems.append(Problem(("replicates",), f"{words} ({label}: {runs} pressures)"))
            if study.curve == "darcy" and len(np.unique(one.pressure)) < 4:
                words = f"darcy: the cubic needs 4 pressures at least ({label} has {len(np.unique(one.pressure))})"
                problems.append(Problem(("curve",), words))
        if problems:
            raise StudyError(problems, source)

    def _member(self, data: FluxCurve | FittedLine, label: str) -> Member:
        study = self.study
        water = Water.at(data.temperature)
        own = {"viscosity": study.viscosity, "surface_tension": study.surface_tension}
        water = replace(water, **{name: value for name, value in own.items() if value is not None})
        settings: KnownSettings = study.membranes.get(label) or study.membranes.get(data.membrane) or study.known
        known = {name: Prior(*value) for name in QUANTITIES if (value := getattr(settings, name)) is not None}
        return Member(data, water, known)

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """What was read."""
        curves = [one.data for one in self.members if isinstance(one.data, FluxCurve)]
        words = []
        if curves:
            counts = sorted({len(np.unique(curve.pressure)) for curve in curves})
            span = f"{min(c.pressure[0] for c in curves) / 1e3:g} to {max(c.pressure[-1] for c in curves) / 1e3:g} kPa"
            points = sum(len(curve.pressure) for curve in curves)
            words.append(f"{len(curves)} of {'-'.join(map(str, counts))} pressures, {span}, {points} points")
        if len(curves) < len(self.members):
            words.append(f"{len(self.members) - len(curves)} printed lines")
        rows = [("tables", "; ".join(words))]
        if self.ignored:
            rows.append(("ignored", f"columns {', '.join(self.ignored)}"))
        return rows

    def unit(self, task: str, membrane: int, batch: int = 0) -> Unit:
        """A unit of a membrane; its stream goes with the label, not with the place in the table."""
        tail = f",batch={batch}" if task == "bootstrap" else ""
        index = (membrane, batch) if task == "bootstrap" else (membrane,)
        word = zlib.crc32(str(self.labels[membrane]).encode())
        number = ("porometry", "posterior", "bootstrap").index(task)
        seed = (self.study.seed, _KIND, word, number, batch)
        return Unit(f"{task},membrane={self._slugs[membrane]}{tail}", task, index, {"membrane": membrane}, seed)

    def proposer(self) -> Proposer:
        """All units at once."""
        members = range(len(self.members))
        units = [self.unit(task, k) for task in ("porometry", "posterior") for k in members]
        units += [self.unit("bootstrap", k, batch) for k in members for batch in range(self.batches)]
        rounds = iter([units])
        return lambda history: next(rounds, ())

    def pilots(self) -> Sequence[Unit]:
        """One unit of each kind."""
        return [self.unit(table.name, 0) for table in self.tables]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a unit: the quadrature's points, and the libraries."""
        return {table.name: 60_000_000 for table in self.tables}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Summaries of the repeated fits, pairs of states, populations, and the paper's tables."""
        fits = read("porometry")
        found = []
        if self.batches:
            values = _resampled(read("bootstrap"), self.study.confidence)
            found.append(Dataset(RESAMPLED_TABLE, values, ("membrane",), {"membrane": self.labels}))
        pairs, names = self._pairs(fits)
        if names:
            found.append(Dataset(PAIRS_TABLE, pairs, ("pair",), {"pair": np.array(names, "T")}))
        states, values = self._populations(fits)
        if states:
            labels = np.array([state or "all" for state in states], "T")
            found.append(Dataset(POPULATIONS_TABLE, values, ("state",), {"state": labels}))
        if self.study.reference:
            cells = palencia.reproduce(palencia.read_cells(self.study.reference))
            found.append(Dataset(REPRODUCTION_TABLE, cells, ("cell",)))
        return found

    def _states(self) -> list[str]:
        """States, in the order of the table."""
        return list(dict.fromkeys(one.data.state for one in self.members))

    def _pairs(self, fits: Any) -> tuple[dict[str, np.ndarray], list[str]]:
        first, *later = self._states()
        place = {(one.data.membrane, one.data.state): k for k, one in enumerate(self.members)}
        names, rows = [], []
        for state, membrane in itertools.product(later, dict.fromkeys(one.data.membrane for one in self.members)):
            if (membrane, first) in place and (membrane, state) in place:
                names.append(f"{membrane}: {state} over {first}")
                chosen = fits.isel(membrane=[place[membrane, first], place[membrane, state]])
                rows.append(_pair(chosen, self.study.confidence))
        return {v.name: np.array([row[v.name] for row in rows]) for v in PAIRS}, names

    def _populations(self, fits: Any) -> tuple[list[str], dict[str, np.ndarray]]:
        states, rows = [], []
        for state in self._states():
            members = [k for k, one in enumerate(self.members) if one.data.state == state]
            one = fits.isel(membrane=members)
            value = one.hydraulic_permeability_25.values
            error = (one.hydraulic_permeability_error / one.hydraulic_permeability).values * value
            known = np.isfinite(value) & np.isfinite(error) & (error > 0)
            if known.sum() < 3:
                continue
            among = random_effects(value[known], error[known], self.study.confidence)
            states.append(state)
            rows.append((known.sum(), among.mean, among.low, among.high, among.standard_deviation))
        columns = np.array(rows, float).reshape(-1, len(POPULATIONS)).T
        return states, {v.name: column for v, column in zip(POPULATIONS, columns, strict=True)}


def _labels(data: Sequence[FluxCurve | FittedLine]) -> list[str]:
    """Names of the membranes; with the state where one stands in several."""
    states: dict[str, set[str]] = {}
    for one in data:
        states.setdefault(one.membrane, set()).add(one.state)
    return [f"{one.membrane}, {one.state}" if len(states[one.membrane]) > 1 else one.membrane for one in data]


def _slugs(labels: Sequence[str]) -> list[str]:
    """Labels as they can stand in the key of a unit."""
    plain = [re.sub(r"[^A-Za-z0-9._+-]+", "-", label).strip("-") or "membrane" for label in labels]
    return [f"{slug}-{k}" if plain.count(slug) > 1 else slug for k, slug in enumerate(plain)]


def _pair(fits: Any, confidence: float) -> dict[str, float]:
    """Later over first state of one membrane."""
    value = fits.hydraulic_permeability_25.values
    error = (fits.hydraulic_permeability_error / fits.hydraulic_permeability).values * value
    freedom = fits.freedom.values
    parts = (error / value) ** 2
    if (freedom > 0).all() and np.isfinite(parts).all() and parts.sum() > 0:
        # Degrees of freedom by Welch and Satterthwaite, as each state has errors of its own.
        joint = parts.sum() ** 2 / (parts**2 / freedom).sum()
        reach = float(student.ppf((1 + confidence) / 2, joint))
        low, high = ratio_interval(value[1], value[0], np.diag(error[::-1] ** 2), reach)
    else:
        low, high = math.nan, math.nan
    resistance = 1 / (Water.at(REFERENCE_TEMPERATURE).viscosity * value)
    return {
        "permeability_ratio": value[1] / value[0],
        "permeability_ratio_lower": low,
        "permeability_ratio_upper": high,
        "added_resistance": resistance[1] - resistance[0],
        "added_resistance_error": float(np.hypot(*(resistance * error / value))),
    }


def _resampled(draws: Any, confidence: float) -> dict[str, np.ndarray]:
    """Percentiles of the repeated fits."""
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    found = {}
    for name in ("hydraulic_permeability", "threshold_pressure"):
        values = draws[name].values.reshape(draws.sizes["membrane"], -1)
        # Where most curves have no line that touches, those that have one stand for nothing.
        known = np.isfinite(values).mean(axis=1) > 0.5
        rows = [np.nanquantile(row, ends) if some else (np.nan,) * 2 for row, some in zip(values, known, strict=True)]
        found[f"{name}_lower"], found[f"{name}_upper"] = np.array(rows).T
    rows = draws.threshold_pressure.values.reshape(draws.sizes["membrane"], -1)
    known = np.isfinite(rows).sum(axis=1)
    none = (rows <= 0).sum(axis=1)
    found["no_threshold"] = np.divide(none, known, out=np.full(len(rows), np.nan), where=known > 0)
    return found


PorometryProgram.work = staticmethod(work)
