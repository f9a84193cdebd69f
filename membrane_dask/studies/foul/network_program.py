"""Program of a foul study of a pore network from files: one unit, its life."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.networks.filter_units import FilterUnits
from membrane_dask.physics.networks.fouling import clean_flux
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.program import Dataset, History, Program, Rounds, Scratch, Unit
from membrane_dask.studies.foul import KIND
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.life_tables import life_table
from membrane_dask.studies.foul.network_tasks import (
    SOLVER_TOLERANCE,
    constant_flux,
    network_work,
)
from membrane_dask.studies.network_input import (
    dead_end_notes,
    input_notes,
    path_length_notes,
    read_networks,
    thickness_problems,
)

#: Bytes per pore of a life.
_BYTES_PORE = 2000


class NetworkProgram(Program):
    """Unit and result of a foul study of a network: its pores are tubes, which foul by the laws of graded filters.

    Parameters
    ----------
    study : FoulStudy
        Checked study with a network as its input.
    source : Source, optional
        Position of every setting, for error messages.

    Raises
    ------
    StudyError
        If the network cannot be used, or the study does not fit it.
    """

    kind = KIND.name
    work = staticmethod(network_work)

    def __init__(self, study: FoulStudy, source: Source | None = None) -> None:
        self.study = study
        try:
            (network,), thicknesses = read_networks(study.input, study.tube_radius)
        except ValueError as error:
            raise StudyError([Problem(("input",), str(error))], source) from error
        problems = thickness_problems(study.thickness, thicknesses)
        if study.thickness is None and not thicknesses:
            message = f"required: {study.input.name} has no unit of length; for example thickness: 100 um"
            problems.append(Problem(("thickness",), message))
        if problems:
            raise StudyError(problems, source)
        self.thickness = thicknesses[0] if thicknesses else float(study.thickness or 0)
        self.network = _in_bins(network, study.depth_bins)
        problems = list(self._problems())
        if problems:
            raise StudyError(problems, source)
        self.context: Mapping[str, Any] = {"study": study, "network": self.network, "thickness": self.thickness}
        self.attrs: Mapping[str, Any] = {
            "title": "Life of a pore network as a filter",
            "references": "Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 (2023)",
            "seed": study.seed,
        }
        self.scratch: Sequence[Scratch] = (Scratch("lives", (1,)),)

    def _problems(self) -> Iterator[Problem]:
        """What a life of the network cannot have."""
        study = self.study
        units = FilterUnits(self.thickness, study.pressure, study.viscosity, study.foulant_volume_fraction)
        if flux := constant_flux(study, units):
            ratio = flux / clean_flux(self.network, SOLVER_TOLERANCE) / study.pressure_limit
            if ratio >= 1:
                stated = units.permeate_flux(flux)
                message = f"needs {ratio:.3g} times the pressure_limit at the start; at most {stated / ratio:.3g} LMH"
                yield Problem(("operation", "flux"), f"{message} (got {stated:.6g} LMH)")

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Size of the network, and notes on it."""
        network, micrometres = self.network, self.thickness * 1e6
        low, high = (value * micrometres * 1e3 for value in (network.radius.min(), network.radius.max()))
        sizes = f"{len(network.junctions)} junctions, {len(network.length)} pores of radius {low:.4g} to {high:.4g} nm"
        porosity = float(network.band_porosity().mean())
        text = f"{self.study.input.name}: {sizes}; thickness {micrometres:.4g} um, porosity {porosity:.3g}"
        if self.study.tube_radius != "as given":
            text += f"; tubes of the {self.study.tube_radius} radii"
        notes = [*input_notes(self.study.input), *dead_end_notes([network]), *path_length_notes([network])]
        return [("network", text), *(("note", note) for note in notes)]

    def unit(self) -> Unit:
        """The life of the network."""
        return Unit("lives,replicate=0", "lives", (0,), {"replicate": 0}, (self.study.seed, KIND.seed_key, 0))

    def rounds(self) -> Rounds:
        """One unit."""
        yield [self.unit()]

    def pilots(self) -> Sequence[Unit]:
        """The life itself: it takes seconds."""
        return [self.unit()]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of the unit."""
        return {"lives": _BYTES_PORE * len(self.network.length) + 200_000_000}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """The life; conductances are those of the tubes."""
        lives = read("lives")
        return [life_table(self.study, [lives[(0,)]], "", ())] if lives else []


def _in_bins(network: PoreNetwork, bins: int) -> PoreNetwork:
    """The network with bands that are the bins of the depth, where the positions of its junctions are known."""
    if np.isnan(network.junctions).any():
        return network
    return PoreNetwork.from_straight_pores(
        junctions=network.junctions, throat_conns=network.throat_conns, length=network.length, radius=network.radius,
        extent=network.extent, bands=bins,
    )  # fmt: skip
