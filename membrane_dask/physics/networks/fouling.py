"""Fouling of a pore network over a filter's life (Gu, Secs. II to V, and laws beyond the paper).

All quantities are dimensionless as in the paper: the pressure falls from 1 to 0 across the membrane, a pore has the
conductance ``r^4 / l``, and the foulant concentration of the feed is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.filter_diagnostics import FilterDiagnostics, filter_diagnostics
from membrane_dask.physics.networks.filter_metrics import accumulated_metrics, threshold_crossing
from membrane_dask.physics.networks.filter_simulation import NOT_CONVERGED, NOT_ENDED, Histories, simulate
from membrane_dask.physics.networks.fouling_laws import (
    BLOCKED,
    FLUX_FRACTION,
    PRESSURE_LIMIT,
    PUBLISHED_LAWS,
    FoulingLaws,
    kernel_deposition,
    kernel_operation,
    kernel_particles,
)
from membrane_dask.physics.networks.network_flow import FlowGraph, flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.sieving import catch_probabilities

#: Longest life without an end time, in multiples of the time in which the published law closes the widest inlet.
LONGEST_LIFE = 10
#: Largest number of particles in the first time step.
_MAX_ARRIVALS = 10_000


@dataclass(frozen=True)
class FilterLife:
    """Metrics and histories of a filter from clean to the end of its life.

    ``membrane_dask.studies.graded.variables`` describes every field. Fields ending in ``_threshold`` are accumulated
    until the flux, linear between steps, falls to the threshold; those ending in ``_threshold_step`` until the first
    step below it. Both are NaN where it does not. Histories have one value per time step, from the clean filter to the
    step in which the life ends. Fields of ``species_`` have one value per species of the feed.
    ``diagnostics`` are those of the clean filter.
    """

    throughput: float
    foulant_concentration: float
    lifetime: float
    porosity_usage: float
    throughput_threshold: float
    foulant_concentration_threshold: float
    lifetime_threshold: float
    porosity_usage_threshold: float
    throughput_threshold_step: float
    foulant_concentration_threshold_step: float
    lifetime_threshold_step: float
    porosity_usage_threshold_step: float
    initial_flux: float
    foulant_balance: float
    log_reduction_value: float
    end_of_life_cause: int
    initial_transmembrane_pressure: float
    species_concentration: np.ndarray
    species_yield: np.ndarray
    species_purity: np.ndarray
    species_recovered: np.ndarray
    n_arrivals: int
    n_passed: int
    band_blocked_pores: np.ndarray
    band_catch_probability: np.ndarray
    band_porosity_usage: np.ndarray
    band_porosity_usage_threshold: np.ndarray
    n_junctions: int
    n_pores: int
    n_inlets: int
    n_stagnant_inlets: int
    n_closed_inside: int
    coordination_number_mean: float
    flux_residual: float
    flux: np.ndarray
    flux_jump: np.ndarray
    transmembrane_pressure: np.ndarray
    foulant_concentration_out: np.ndarray
    species_concentration_out: np.ndarray
    band_porosity: np.ndarray
    band_blocked_pores_history: np.ndarray
    diagnostics: FilterDiagnostics

    @property
    def particle_retention(self) -> float:
        """Fraction of the particles that arrived and did not leave with the filtrate; NaN where none arrived."""
        return 1 - self.n_passed / self.n_arrivals if self.n_arrivals else math.nan


def filter_life(network: PoreNetwork, *, deposition: float, **options: Any) -> FilterLife:
    """Simulate fouling with one deposition coefficient; ``options`` are those of :func:`filter_lives`."""
    return filter_lives(network, deposition=(deposition,), **options)[0]


def filter_lives(
    network: PoreNetwork,
    *,
    deposition: Sequence[float],
    time_step: float,
    flux_threshold: float,
    band_deposition: Sequence[float] | None = None,
    integrator: Literal["euler", "adams-bashforth"] = "euler",
    quadrature: Literal["trapezoid", "left"] = "trapezoid",
    solver_tolerance: float = 1e-9,
    laws: FoulingLaws = PUBLISHED_LAWS,
    rng: np.random.Generator | None = None,
) -> list[FilterLife]:
    """Simulate fouling of a clean network until the end of its life, for every deposition coefficient.

    Parameters
    ----------
    network : PoreNetwork
        The clean filter, of thickness 1. Fluxes are per area of the membrane.
    deposition : sequence of float
        Deposition coefficients ``lambda`` > 0 (Gu, Eq. 22). With several species, one value, which is not used.
    time_step : float
        Step of the integration, > 0.
    flux_threshold : float
        Flux of the variables ``*_threshold``, > 0.
    band_deposition : sequence of float, optional
        Deposition coefficient of each band relative to ``deposition``, > 0; default 1. It applies to the whole length
        of the pores assigned to the band, both to their retention and to the rate at which they narrow.
    integrator : {"euler", "adams-bashforth"}
        Time integration of the radii (of their squares where deposition conserves foulant): explicit Euler as
        published, or the second-order Adams-Bashforth method, which costs no more per step.
    quadrature : {"trapezoid", "left"}
        Rule for the integrals over time; ``left`` uses the flux at the start of each step.
    solver_tolerance : float
        Relative error of the pressures in the norm of dissipation, in ``[1e-12, 1)``. Inflow and outflow agree to
        rounding errors with any tolerance.
    laws : FoulingLaws
        Deposition, species, erosion, operation, end of life and sieving; default those of the paper.
    rng : numpy.random.Generator, optional
        Random numbers of the particles that block pores; needed if ``laws`` has them. All deposition coefficients have
        the same.

    Returns
    -------
    list of FilterLife
        One per deposition coefficient.

    Raises
    ------
    ValueError
        If ``band_deposition`` does not match the bands.
    PhysicsError
        If the clean filter has no percolating path, the pressures do not converge, the life does not end within
        ``LONGEST_LIFE`` times that of the widest inlet, or too many particles arrive.

    Notes
    -----
    At each step, the pressures follow from mass conservation at the junctions; the concentrations follow from one
    sweep over the junctions in order of decreasing pressure, with ``c exp(-lambda r l / q)`` at the outlet of a pore;
    and every pore with flow loses radius at a rate equal to the concentration at its inlet (Gu, Eqs. 23 to 25). Pores
    on no path from the feed to the filtrate carry no flow and do not foul. The flux of the last step of a life that
    ends by extinction is 0. Particles block pores within a step, with the radii and the concentrations of its
    beginning; pressures follow after each of them.
    """
    inlets = network.throat_conns[:, 1] == INLET
    if not inlets.any():
        raise PhysicsError("no pore opens to the feed")
    ratio = np.ones(network.n_bands) if band_deposition is None else np.asarray(band_deposition, float)
    if ratio.shape != (network.n_bands,) or not (ratio > 0).all():
        raise ValueError(f"band_deposition: must have {network.n_bands} values greater than 0 (got {ratio.tolist()})")
    affinity = ratio[network.band]
    graph = flow_graph(network)
    # As published, every inlet pore with flow has c = 1 and narrows at the rate of its band.
    n_steps = math.ceil((network.radius[inlets] / affinity[inlets]).max() / time_step) + 2
    if laws.end_time is not None:
        n_steps = laws.end_time
    elif laws.conserving or laws.erosion_rate > 0 or laws.flux is not None:
        n_steps *= LONGEST_LIFE
    n = len(network.junctions)
    adjacent = adjacency(network.throat_conns, n)
    ends = np.where(network.throat_conns >= 0, network.throat_conns, n - 1 - network.throat_conns).astype(np.int64)
    length, radius = scatter(graph, network.length, 1.0), scatter(graph, network.radius, 0.0)
    band = np.append(network.band, 0)[graph.pores]
    padded = np.append(network.band_length, np.zeros((1, network.n_bands)), axis=0)
    band_length = np.ascontiguousarray(padded.take(graph.pores, axis=0).T)
    # Pores are sorted by depth, so that those of a band are contiguous, except for inlets and outlets.
    extent = np.array([_nonzero_range(lengths[: len(graph.lower)]) for lengths in band_length])
    # The pressures of the clean network do not depend on the foulant.
    flowing, clean, pressure, flux = _clean_flow(graph, adjacent, length, radius, solver_tolerance)
    order = np.argsort(-pressure, kind="stable")
    affinity = scatter(graph, affinity, 1.0)
    area = math.prod(network.extent[1:])
    if isinstance(laws.flux, float):
        laws = replace(laws, flux=laws.flux * area)
    operating_flux = flux if laws.flux is None or laws.flux == "initial" else laws.flux
    references = [laws.reference_deposition(coefficient) for coefficient in deposition]
    key = 0
    catch_probability = np.zeros(network.n_bands)
    if laws.sieving.rate > 0:
        if rng is None:
            raise ValueError("rng: is needed for the arrivals of particles")
        key = int(rng.integers(1 << 63))
        _check_arrivals(laws, network, min(references), operating_flux, time_step)
        probability, *_ = catch_probabilities(graph, clean, pressure, order, radius, laws.sieving.particle_radius)
        catch_probability += np.bincount(band, probability, network.n_bands)

    lives = []
    for coefficient, reference in zip(deposition, references, strict=True):
        flows = clean * (operating_flux / flux)
        diagnostics = filter_diagnostics(graph, flows, pressure, order, length, radius, affinity, reference)
        fields = simulate(
            graph, adjacent, flowing, length, radius, ends, band, band_length, extent, affinity, pressure, order,
            reference, kernel_deposition(laws, coefficient), kernel_operation(laws), kernel_particles(laws, key),
            time_step, integrator == "adams-bashforth", solver_tolerance, n_steps,
        )  # fmt: skip
        histories = Histories(*fields)
        if histories.last == NOT_CONVERGED:
            raise _not_converged(solver_tolerance)
        if histories.last == NOT_ENDED:
            raise PhysicsError(
                f"the life of the filter did not end within {n_steps} steps (t = {n_steps * time_step:g}); set "
                "end_of_life.time"
            )
        per_area = ("flux", "inflow", "porosity", "jump", "late_jump")
        histories = histories._replace(**{name: getattr(histories, name) / area for name in per_area})
        counts = (int((inlets & ~flowing).sum()), int((network.throat_conns[:, 1] >= 0).sum()))
        parameters = (diagnostics, catch_probability, reference, time_step, flux_threshold, integrator, quadrature)
        lives.append(_filter_life(network, laws, histories, counts, *parameters))
    return lives


def clean_flux(network: PoreNetwork, solver_tolerance: float = 1e-9) -> float:
    """Return the flux through a clean network at pressure 1, per area of the membrane.

    Raises
    ------
    PhysicsError
        If no path leads through the network, or the pressures do not converge.
    """
    adjacent = adjacency(network.throat_conns, len(network.junctions))
    graph = flow_graph(network)
    length, radius = scatter(graph, network.length, 1.0), scatter(graph, network.radius, 0.0)
    *_, flux = _clean_flow(graph, adjacent, length, radius, solver_tolerance)
    return flux / math.prod(network.extent[1:])


def _nonzero_range(values: np.ndarray) -> tuple[int, int]:
    """Return the smallest range of indices that contains all values other than 0."""
    nonzero = values != 0
    return (int(nonzero.argmax()), len(values) - int(nonzero[::-1].argmax())) if nonzero.any() else (0, 0)


def _clean_flow(
    graph: FlowGraph, adjacent: tuple[np.ndarray, np.ndarray, np.ndarray], length: np.ndarray, radius: np.ndarray,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:  # fmt: skip
    """Return the pores with flow, conductances, pressures and the flux of a clean network."""
    flowing = flowing_pores(*adjacent, np.ones(len(adjacent[1]) // 2, bool))
    if not flowing.any():
        raise PhysicsError("no path leads through the network from the feed to the filtrate")
    conductance = scatter(graph, flowing.astype(float), 0.0) * np.square(np.square(radius)) / length
    pressure = 1.0 - graph.depth
    if solve_pressures(graph, conductance, pressure, tolerance) < 0:
        raise _not_converged(tolerance)
    flux = float((conductance[len(graph.lower) + len(graph.inlet) : -1] * pressure[graph.outlet]).sum())
    return flowing, conductance, pressure, flux


def _not_converged(tolerance: float) -> PhysicsError:
    return PhysicsError(f"the pressures did not converge to a relative error of {tolerance:g}")


def _check_arrivals(laws: FoulingLaws, network: PoreNetwork, deposition: float, flux: float, time_step: float) -> None:
    """Refuse a rate at which the life of a filter would end within its first step.

    Raises
    ------
    PhysicsError
        If more particles are expected in the first step than there are inlets to block.
    """
    sieving = laws.sieving
    expected = sieving.rate * time_step * (flux / deposition if sieving.arrivals == "volume" else 1.0)
    inlet_radius = network.radius[network.throat_conns[:, 1] == INLET]
    limit, reason = _MAX_ARRIVALS, "which are too many"
    if sieving.residual_conductance == 0 and inlet_radius.max() < sieving.particle_radius * sieving.spread.range[0]:
        limit, reason = min(limit, len(inlet_radius)), "which block all inlets"
    if expected > limit:
        raise PhysicsError(
            f"sieving.rate {sieving.rate:g}: {expected:.3g} particles in the first step, {reason}; at most "
            f"{sieving.rate * limit / expected:.3g}, or a smaller time_step"
        )


def _filter_life(
    network: PoreNetwork,
    laws: FoulingLaws,
    histories: Histories,
    counts: tuple[int, int],
    diagnostics: FilterDiagnostics,
    catch_probability: np.ndarray,
    deposition: float,
    time_step: float,
    flux_threshold: float,
    integrator: Literal["euler", "adams-bashforth"],
    quadrature: Literal["trapezoid", "left"],
) -> FilterLife:
    """Compute all metrics from the histories; ``counts`` are stagnant inlets and pores between junctions."""
    last = histories.last
    flux, inflow, pressure, porosity, blocked = (
        values[: last + 1]
        for values in (histories.flux, histories.inflow, histories.pressure, histories.porosity, histories.blocked)
    )
    jump = histories.late_jump if quadrature == "left" else histories.jump
    jumps = {"jump": jump[: last + 1]} if laws.sieving.rate > 0 else {}
    if histories.cause == BLOCKED:
        jumps["late_jump"] = histories.late_jump[: last + 1]
    concentrations = histories.concentration[:, : last + 1]
    if laws.flux is not None and last > 0:  # the flux goes on where the last path closes
        closed = np.isnan(concentrations[:, last])
        concentrations[closed, last] = concentrations[closed, last - 1]
    fractions = np.array([species.fraction for species in laws.species] or [1.0])
    concentration = concentrations[0] if len(fractions) == 1 else (fractions[:, None] * concentrations).sum(axis=0)
    end = _end_of_life(laws, histories)

    metrics: dict[str, float] = {}
    usage: dict[str, np.ndarray] = {}
    ends: dict[str, np.ndarray | float | None] = {"": end, "_threshold": None, "_threshold_step": None}
    if laws.flux is None and (flux < flux_threshold).any():
        ends["_threshold"], ends["_threshold_step"] = threshold_crossing(flux, flux_threshold)
    for suffix, at in ends.items():
        used = jumps if not suffix else {name: values for name, values in jumps.items() if name != "late_jump"}
        values, usage[suffix] = accumulated_metrics(
            flux, concentration, porosity, 0.0 if at is None else at, deposition, time_step, quadrature, **used
        )
        metrics |= {name + suffix: math.nan if at is None else float(value) for name, value in values.items()}
        if at is None:
            usage[suffix] = np.full_like(usage[suffix], math.nan)
    if end == 0:  # the pressure of the clean filter is at its limit
        metrics["foulant_concentration"] = float(concentration[0])
    species = np.array([metrics["foulant_concentration"]])
    if len(fractions) > 1:
        integrals = [
            accumulated_metrics(flux, one, porosity, end, deposition, time_step, quadrature, **jumps)[0]
            for one in concentrations
        ]
        species = concentrations[:, 0] if end == 0 else np.array([one["foulant_concentration"] for one in integrals])
    foulant = float((fractions * species).sum())
    purity = fractions * species / foulant if foulant > 0 else np.full(len(fractions), math.nan)
    whole = slice(0, max(last, 1))
    uptake = np.nan_to_num(flux * (1 - concentration))[:last]
    if integrator == "adams-bashforth":  # the same weights as those of the radii
        uptake[1:] = 1.5 * uptake[1:] - 0.5 * uptake[:-1]
    removed = time_step * uptake.sum()
    deposited = deposition * float(porosity[0].mean() - porosity[-1].mean()) / (2 * math.pi)
    return FilterLife(
        **metrics,
        band_porosity_usage=usage[""],
        band_porosity_usage_threshold=usage["_threshold"],
        initial_flux=float(flux[0] / pressure[0]),
        foulant_balance=float(deposited / removed) if removed > 0 else math.nan,
        log_reduction_value=float(-log(metrics["foulant_concentration"]) / log(10.0)),
        end_of_life_cause=histories.cause,
        initial_transmembrane_pressure=float(pressure[0]),
        species_concentration=species,
        species_yield=species,
        species_purity=purity,
        species_recovered=metrics["throughput"] * fractions * species,
        n_arrivals=histories.n_arrivals,
        n_passed=histories.n_passed,
        band_blocked_pores=blocked[-1],
        band_catch_probability=catch_probability,
        n_junctions=len(network.junctions),
        n_pores=len(network.length),
        n_inlets=int((network.throat_conns[:, 1] == INLET).sum()),
        n_stagnant_inlets=counts[0],
        n_closed_inside=int(histories.closed_inside),
        coordination_number_mean=(len(network.length) + counts[1]) / len(network.junctions),
        flux_residual=float(np.abs(inflow[whole] / flux[whole] - 1).max()),
        flux=flux,
        flux_jump=jump[: last + 1],
        transmembrane_pressure=pressure,
        foulant_concentration_out=concentration,
        species_concentration_out=concentrations.T,
        band_porosity=porosity,
        band_blocked_pores_history=blocked,
        diagnostics=diagnostics,
    )


def _end_of_life(laws: FoulingLaws, histories: Histories) -> float:
    """Return the end of a life in time steps, linear in the flux at unit pressure within the last step."""
    last, cause = histories.last, histories.cause
    if cause == PRESSURE_LIMIT and last > 0:
        before, after = histories.flux[last - 1 : last + 1] / histories.pressure[last - 1 : last + 1]
        limit = histories.flux[0] / laws.pressure_limit
    elif cause == FLUX_FRACTION:
        before, after = histories.flux[last - 1 : last + 1]
        limit = laws.flux_fraction * histories.flux[0]
    else:
        return float(histories.end)
    return float(last - 1 + (before - limit) / (before - after))
