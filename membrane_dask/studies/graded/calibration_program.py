"""Plan of a calibration: a unit is one network, fouled by one law with every deposition coefficient of a grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.elementary import geometric_sequence, log
from membrane_dask.physics.networks.decline_curves import FLUX_FRACTIONS
from membrane_dask.physics.networks.decline_simulation import simulate_declines
from membrane_dask.program import Dataset, History, Program, Rounds, Table, Unit
from membrane_dask.studies.graded import KIND
from membrane_dask.studies.graded.calibration import (
    calibration_datasets,
    first_flux_finding,
    fit_laws,
    read_decline,
)
from membrane_dask.studies.graded.calibration_variables import DECLINE_CURVES, LAWS
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.input_program import InputProgram
from membrane_dask.studies.graded.program import GradedProgram
from membrane_dask.studies.graded.tasks import network_of

#: Deposition coefficients per decade.
_PER_DECADE = 8
#: Largest relative difference of the pressures that a study and its table state.
_PRESSURE_VARIATION = 0.05


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Simulate the decline of one network with one law.

    Parameters
    ----------
    context : mapping
        Parameters of the study; ``deposition`` is the grid.
    unit : Unit
        ``params`` has ``law``, and what the network needs.

    Returns
    -------
    arrays : dict of str to ndarray
        One array for every variable of the table ``decline_curves``.
    feedback : dict
        Empty.
    """
    network = network_of(context, unit, np.random.Generator(np.random.PCG64(unit.seed_sequence())))
    band_deposition = context["band_deposition"]
    if band_deposition is not None:
        band_deposition = np.broadcast_to(band_deposition, network.n_bands).tolist()
    initial_flux, curves = simulate_declines(
        network, context["deposition"], unit.params["law"], band_deposition=band_deposition,
        **{name: context[name] for name in ("time_step", "integrator", "solver_tolerance")},
    )  # fmt: skip
    return {
        "initial_flux": np.asarray(initial_flux),
        "initial_foulant_concentration": np.array([curve.initial_concentration for curve in curves]),
        "throughput": np.array([curve.throughput for curve in curves]),
        "duration": np.array([curve.duration for curve in curves]),
    }, {}


class CalibrationProgram(Program):
    """Units, tables and result of a study with ``calibrate``.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    source : Source, optional
        Origin of the study, for error messages.

    Raises
    ------
    StudyError
        If the table cannot be read or does not identify the parameters, or there are no networks of the study.
    """

    kind = KIND.name
    work = staticmethod(work)

    def __init__(self, study: GradedStudy, source: Source | None = None) -> None:
        assert study.calibrate is not None
        self.study, self.settings = study, study.calibrate
        self.readings, self.findings = read_decline(self.settings, source)
        self._check_pressure(source)
        #: The same study without calibration, whose networks are fitted.
        self.plain = GradedProgram(study, source) if study.input is None else InputProgram(study, source)
        low, high = self.settings.deposition_range
        n = math.ceil(_PER_DECADE * float(log(high / low)) / float(log(10.0)) - 1e-9) + 1
        self.deposition = geometric_sequence(low, high, n)
        self.context = {**self.plain.context, "deposition": self.deposition.tolist()}
        self.attrs = {**self.plain.attrs, "title": "Calibration of a pore network by the decline of the permeate flux"}
        (graded,) = self.plain.tables
        self.n_networks = len(graded.labels["realization"])
        labels = {
            "law": np.array(LAWS, "T"),
            "realization": np.arange(self.n_networks),
            "deposition": self.deposition,
            "flux_fraction": FLUX_FRACTIONS,
        }
        attrs = {name: value for name, value in graded.attrs.items() if name != "calibrate.input"}  # a path
        self.tables = (Table(DECLINE_CURVES, ("law", "realization"), labels, attrs, n * graded.seconds),)

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Rows of the plan: what the table has, and notes."""
        low, high = self.settings.deposition_range
        readings = f"{len(self.readings.observed)} readings of {self.readings.form}"
        rows = [
            ("table", f"{self.settings.input.name}: {readings}; the flux falls by {100 * self.readings.fall:.0f} %"),
            ("calibration", f"both deposition laws, {len(self.deposition)} coefficients from {low:g} to {high:g}"),
        ]
        return [*rows, *(("finding", finding) for finding in self.findings), *self.plain.summary]

    def rounds(self) -> Rounds:
        """Yield all units at once."""
        pairs = itertools.product(range(len(LAWS)), range(self.n_networks))
        yield [self.curve_unit(*pair) for pair in pairs]

    def curve_unit(self, law: int, realization: int) -> Unit:
        """Return one network with one law; the network is that of a plain study of this seed."""
        network = self.plain.unit(0, 0, realization)
        return Unit(
            key=f"decline_curves,law={LAWS[law]},realization={realization}",
            task="decline_curves",
            index=(law, realization),
            params={**network.params, "law": LAWS[law]},
            seed=network.seed,
        )

    def _check_pressure(self, source: Source | None) -> None:
        """Refuse a table that states another pressure than the study.

        Raises
        ------
        StudyError
            If they differ by more than the variation that the table may have.
        """
        stated, readings = self.study.pressure, self.readings.pressure
        if stated is None or readings is None:
            return
        of_table = float(np.median(readings))
        if abs(of_table / stated - 1) > _PRESSURE_VARIATION:
            message = (
                f"is {stated / 1e5:g} bar in the study and {of_table / 1e5:g} bar in {self.settings.input.name}; leave "
                "out the wrong one"
            )
            raise StudyError([Problem(("pressure",), message)], source)

    def pilots(self) -> Sequence[Unit]:
        """Return one network with each law."""
        return [self.curve_unit(law, 0) for law in range(len(LAWS))]

    def memory(self) -> Mapping[str, int]:
        """Estimate the peak bytes of a unit, with the histories of all deposition coefficients."""
        histories = 800 * len(self.deposition) * self.plain.n_steps
        return {"decline_curves": self.plain.memory()["graded"] + histories}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Fit both laws to the table."""
        curves, study = read("decline_curves"), self.study
        result = fit_laws(self.readings, curves, self.settings)
        if result is None:
            return ()
        findings = list(self.findings)
        assert study.thickness is not None
        if study.pressure is not None and study.viscosity is not None:
            findings.append(first_flux_finding(curves, result, study.thickness, study.pressure, study.viscosity))
        return calibration_datasets(self.readings, result, self.settings, study.thickness, findings)
