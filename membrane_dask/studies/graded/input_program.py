"""Plan of a graded study whose networks are read from a file or a characterized run instead of being drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.radius_distribution import EQUAL_RADII
from membrane_dask.program import Dataset, History, Unit
from membrane_dask.studies.graded import KIND
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.law_settings import MAX_STEPS, law_notes
from membrane_dask.studies.graded.program import GradedProgram
from membrane_dask.studies.network_input import (
    dead_end_notes,
    input_notes,
    path_length_notes,
    read_networks,
    thickness_problems,
)

#: Number of time steps below which a life is noted as coarse: the error of Euler's method is of the order of 1 / steps.
_FEW_STEPS = 20


class InputProgram(GradedProgram):
    """Units, tables and result of a graded study of the networks of its input.

    The design has a single point, whose ``l_max`` and ``gradient`` are NaN. Each network is a realization; with random
    events, networks take turns.

    Parameters
    ----------
    study : GradedStudy
        Checked study with an input.
    source : Source, optional
        Origin of the study, for error messages.

    Raises
    ------
    StudyError
        If a network cannot be used, or the study does not fit it.
    """

    def __init__(self, study: GradedStudy, source: Source | None = None) -> None:
        assert study.input is not None
        try:
            self.networks, thicknesses = read_networks(study.input)
        except ValueError as error:
            raise StudyError([Problem(("input",), str(error))], source) from error
        problems = _problems(study, self.networks) + thickness_problems(study.thickness, thicknesses)
        if problems:
            raise StudyError(problems, source)
        super().__init__(study, source)
        self.attrs = {**self.attrs, "title": "Fouling of pore networks"}
        self.context = {**self.context, "networks": tuple(self.networks)}
        table = self.tables[0]
        self.tables = (replace(table, attrs={**table.attrs, "input": study.input.name}),)

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """The networks, and notes on them."""
        assert self.study.input is not None
        name = self.study.input.name
        return [*(("network", f"{name}: {_description(network)}") for network in self.networks), *super().summary]

    def _radii(self) -> dict[float, np.ndarray]:
        return {}

    def _count_junctions(self, source: Source | None) -> dict[tuple[float, float], int]:
        return {}

    def _max_pores(self) -> float:
        return float(max(len(network.length) for network in self.networks))

    def _closing_time(self) -> float:
        return max(_closing_time(self.study, network) for network in self.networks)

    def _n_bands(self) -> int:
        return self.networks[0].n_bands

    def _unit_labels(self) -> dict[str, np.ndarray]:
        study, nan = self.study, np.array([math.nan])
        is_stated = "realizations" in study.model_fields_set or _has_random_events(study)
        count = study.realizations if is_stated else len(self.networks)
        return {"l_max": nan, "gradient": nan, "realization": np.arange(count)}

    def _design_notes(self) -> list[str]:
        extremes = [
            [float(network.radius[network.throat_conns[:, 1] == INLET].max()), float(network.radius.min())]
            for network in self.networks
        ]
        assert self.study.input is not None
        return [
            *input_notes(self.study.input),
            *dead_end_notes(self.networks),
            *path_length_notes(self.networks),
            *_coarse_steps(self.study, self.networks),
            *law_notes(self.study, extremes, EQUAL_RADII),
        ]

    def unit(self, i: int, j: int, realization: int) -> Unit:
        """Return the life of a network, numbered by its realization."""
        return Unit(
            key=f"graded,realization={realization}",
            task="graded",
            index=(i, j, realization),
            params={"network": realization % len(self.networks)},
            seed=(self.study.seed, KIND.seed_key, 0, realization),
        )

    def pilots(self) -> Sequence[Unit]:
        """Return the largest network."""
        sizes = [len(network.length) for network in self.networks[: self.tables[0].unit_shape[2]]]
        units = [self.unit(0, 0, int(np.argmax(sizes)))]
        self._check(units)
        return units

    def _optima(self, table: object, history: History) -> list[Dataset]:
        return []


def _has_random_events(study: GradedStudy) -> bool:
    """Return whether lives of one network differ."""
    return study.sieving.rate > 0


def _problems(study: GradedStudy, networks: list[PoreNetwork]) -> list[Problem]:
    """Return what does not fit the networks."""
    problems = []
    is_more = "realizations" in study.model_fields_set and study.realizations > len(networks)
    if is_more and not _has_random_events(study):
        message = (
            f"must be at most {len(networks)}, the number of networks of the input: without random events, further "
            f"lives would be the same (got {study.realizations})"
        )
        problems.append(Problem(("realizations",), message))
    bands = networks[0].n_bands
    if study.band_deposition is not None and len(study.band_deposition) not in (1, bands):
        message = f"must have one value, or one for each of the {bands} bands (got {len(study.band_deposition)})"
        return [*problems, Problem(("band_deposition",), message)]
    n_steps = max(_closing_time(study, network) for network in networks) / study.time_step
    if n_steps > MAX_STEPS:
        message = f"too small: a life would take {n_steps:.3g} steps, at most {MAX_STEPS} are allowed"
        problems.append(Problem(("time_step",), f"{message} (got {study.time_step})"))
    elif n_steps < 2:
        message = f"too large: all inlets close within two steps; at most {n_steps * study.time_step / 2:.3g}"
        problems.append(Problem(("time_step",), f"{message} (got {study.time_step})"))
    return problems


def _coarse_steps(study: GradedStudy, networks: list[PoreNetwork]) -> list[str]:
    """Return notes where the time step does not resolve the life of a network, or the closing of its pores."""
    notes = []
    closing_time = min(_closing_time(study, network) for network in networks)
    if closing_time < _FEW_STEPS * study.time_step:
        notes.append(
            f"inlets close within {math.ceil(closing_time / study.time_step - 1e-9)} time steps, which makes a large "
            f"error of the integration; a time_step of {closing_time / 50:.2g} gives fifty"
        )
    narrow = [(network.radius < 2 * study.time_step * _rates(study, network)).mean() for network in networks]
    if not any(narrow):
        return notes
    narrowest = min(float((network.radius / _rates(study, network)).min()) for network in networks)
    return [
        *notes,
        f"{100 * max(narrow):.3g} % of the pores may close within two time steps; a time_step of "
        f"{narrowest / 2:.2g} resolves the narrowest one",
    ]


def _rates(study: GradedStudy, network: PoreNetwork) -> np.ndarray:
    """Return the largest rate at which each pore narrows."""
    rates = np.broadcast_to(np.asarray(study.band_deposition or (1.0,), float), network.n_bands)
    return np.asarray(rates[network.band])


def _closing_time(study: GradedStudy, network: PoreNetwork) -> float:
    """Return the longest time in which an inlet closes."""
    inlets = network.throat_conns[:, 1] == INLET
    return float((network.radius / _rates(study, network))[inlets].max())


def _description(network: PoreNetwork) -> str:
    """Return the size of a network and the ranges of its pores, in words."""
    radius = f"{network.radius.min():.3g} to {network.radius.max():.3g}"
    sizes = f"{len(network.junctions)} junctions, {len(network.length)} pores of radius {radius} W"
    porosity = ", ".join(f"{value:.3g}" for value in network.band_porosity())
    return f"{sizes}; porosity {porosity} in {network.n_bands} band{'s' * (network.n_bands > 1)}"
