"""Fouling of a pore network by adsorption, from the clean filter to flux extinction (Gu, Secs. II to V).

All quantities are dimensionless as in the paper: the pressure falls from 1 to 0 across the membrane, a pore has the
conductance ``r^4 / l``, and the foulant concentration of the feed is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.elementary import exponential
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.filter_diagnostics import FilterDiagnostics, filter_diagnostics
from membrane_dask.physics.networks.filter_metrics import accumulated_metrics, threshold_crossing
from membrane_dask.physics.networks.network_flow import FlowGraph, flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork

#: A pore is closed at or below this radius: after r_1/dt steps of dt the radius is 0 only up to rounding.
_CLOSED = 1e-12
#: Degree of the polynomial that extrapolates pressures to the next step.
_EXTRAPOLATION = 4


@dataclass(frozen=True)
class FilterLife:
    """Metrics and histories of a filter from clean to flux extinction.

    ``membrane_dask.studies.graded.variables`` describes every field. Fields ending in ``_threshold`` are accumulated
    until the flux, linear between steps, falls to the threshold; those ending in ``_threshold_step`` until the first
    step below it. Histories have one value per time step, from the clean filter to the step at which the flux is 0.
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
    foulant_concentration_out: np.ndarray
    band_porosity: np.ndarray
    diagnostics: FilterDiagnostics


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
) -> list[FilterLife]:
    """Simulate fouling of a clean network until flux extinction, for every deposition coefficient.

    Parameters
    ----------
    network : PoreNetwork
        The clean filter.
    deposition : sequence of float
        Deposition coefficients ``lambda`` > 0 (Gu, Eq. 22).
    time_step : float
        Step of the integration, > 0.
    flux_threshold : float
        Flux that marks the filter's end of life, > 0.
    band_deposition : sequence of float, optional
        Deposition coefficient of each band relative to ``deposition``, > 0; default 1. It applies to the whole length
        of the pores assigned to the band, both to their retention and to the rate at which they narrow.
    integrator : {"euler", "adams-bashforth"}
        Time integration of the radii: explicit Euler as published, or the second-order Adams-Bashforth method, which
        costs no more per step.
    quadrature : {"trapezoid", "left"}
        Rule for the integrals over time; ``left`` uses the flux at the start of each step.
    solver_tolerance : float
        Relative error of the pressures in the norm of dissipation, in ``[1e-12, 1)``. Inflow and outflow agree to
        rounding errors with any tolerance.

    Returns
    -------
    list of FilterLife
        One per deposition coefficient.

    Raises
    ------
    ValueError
        If ``band_deposition`` does not match the bands.
    PhysicsError
        If the clean filter has no percolating path, or the pressures do not converge.

    Notes
    -----
    At each step, the pressures follow from mass conservation at the junctions; the concentrations follow from one
    sweep over the junctions in order of decreasing pressure, with ``c exp(-lambda r l / q)`` at the outlet of a pore;
    and every pore with flow loses radius at a rate equal to the concentration at its inlet (Gu, Eqs. 23 to 25). Pores
    on no path from the feed to the filtrate carry no flow and do not foul. The flux of the last step is 0.
    """
    inlets = network.throat_conns[:, 1] == INLET
    if not inlets.any():
        raise PhysicsError("no pore opens to the feed")
    ratio = np.ones(network.n_bands) if band_deposition is None else np.asarray(band_deposition, float)
    if ratio.shape != (network.n_bands,) or not (ratio > 0).all():
        raise ValueError(f"band_deposition: must have {network.n_bands} values greater than 0 (got {ratio.tolist()})")
    affinity = ratio[network.band]
    graph = flow_graph(network)
    # Every inlet pore with flow has c = 1 and narrows at the rate of its band.
    n_steps = math.ceil((network.radius[inlets] / affinity[inlets]).max() / time_step) + 2
    adjacent = adjacency(network.throat_conns, len(network.junctions))
    length, radius = scatter(graph, network.length, 1.0), scatter(graph, network.radius, 0.0)
    band_length = np.stack([scatter(graph, lengths, 0.0) for lengths in np.ascontiguousarray(network.band_length.T)])
    # Pores are sorted by depth, so that those of a band are contiguous, except for inlets and outlets.
    inside = [np.flatnonzero(lengths[: len(graph.lower)]) for lengths in band_length]
    extent = np.array([(entries[0], entries[-1] + 1) if entries.size else (0, 0) for entries in inside])
    # The pressures of the clean network do not depend on the foulant.
    pressure = 1.0 - graph.depth
    flowing = flowing_pores(*adjacent, np.ones(len(network.length), bool))
    clean = scatter(graph, flowing.astype(float), 0.0) * np.square(np.square(radius)) / length
    if not flowing.any():
        raise PhysicsError("no path leads through the network from the feed to the filtrate")
    not_converged = PhysicsError(f"the pressures did not converge to a relative error of {solver_tolerance:g}")
    if solve_pressures(graph, clean, pressure, solver_tolerance) < 0:
        raise not_converged
    order = np.argsort(-pressure, kind="stable")
    affinity = scatter(graph, affinity, 1.0)

    lives = []
    for coefficient in deposition:
        diagnostics = filter_diagnostics(graph, clean, pressure, order, length, radius, affinity, coefficient)
        flux, inflow, concentration, porosity, closed_inside, last = _simulate(
            graph, adjacent, flowing, length, radius, band_length, extent, affinity, pressure, order, coefficient,
            time_step, integrator == "adams-bashforth", solver_tolerance, n_steps,
        )  # fmt: skip
        if last < 0:
            raise not_converged
        flux, inflow, concentration, porosity = (a[: last + 1] for a in (flux, inflow, concentration, porosity))
        counts = (int((inlets & ~flowing).sum()), int(closed_inside))
        parameters = (coefficient, time_step, flux_threshold, quadrature)
        lives.append(_filter_life(network, flux, inflow, concentration, porosity, counts, diagnostics, *parameters))
    return lives


def _filter_life(
    network: PoreNetwork,
    flux: np.ndarray,
    inflow: np.ndarray,
    concentration: np.ndarray,
    porosity: np.ndarray,
    counts: tuple[int, int],
    diagnostics: FilterDiagnostics,
    deposition: float,
    time_step: float,
    flux_threshold: float,
    quadrature: str,
) -> FilterLife:
    """Compute all metrics from the histories; ``counts`` are stagnant inlets and closed internal pores."""
    last = len(flux) - 1
    metrics: dict[str, float] = {}
    usage: dict[str, np.ndarray] = {}
    crossing, below = threshold_crossing(flux, flux_threshold)
    for suffix, end in (("", last), ("_threshold", crossing), ("_threshold_step", below)):
        values, usage[suffix] = accumulated_metrics(
            flux, concentration, porosity, end, deposition, time_step, quadrature
        )
        metrics |= {name + suffix: float(value) for name, value in values.items()}
    n_internal = int((network.throat_conns[:, 1] >= 0).sum())
    return FilterLife(
        **metrics,
        band_porosity_usage=usage[""],
        band_porosity_usage_threshold=usage["_threshold"],
        initial_flux=float(flux[0]),
        n_junctions=len(network.junctions),
        n_pores=len(network.length),
        n_inlets=int((network.throat_conns[:, 1] == INLET).sum()),
        n_stagnant_inlets=counts[0],
        n_closed_inside=counts[1],
        coordination_number_mean=(len(network.length) + n_internal) / len(network.junctions),
        flux_residual=float(np.abs(inflow[:last] / flux[:last] - 1).max()),
        flux=flux,
        foulant_concentration_out=concentration,
        band_porosity=porosity,
        diagnostics=diagnostics,
    )


@kernel
def _simulate(
    graph: FlowGraph, adjacent: tuple[np.ndarray, np.ndarray, np.ndarray], clean_flowing: np.ndarray,
    length: np.ndarray, clean_radius: np.ndarray, band_length: np.ndarray, extent: np.ndarray, affinity: np.ndarray,
    clean_pressure: np.ndarray, clean_order: np.ndarray, deposition: float, time_step: float, second_order: bool,
    tolerance: float, n_steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, int]:  # fmt: skip
    """Simulate the fouling of a network until flux extinction.

    Parameters
    ----------
    graph : FlowGraph
    adjacent : tuple of ndarray
        From :func:`adjacency`.
    clean_flowing : (n_pores,) ndarray of bool
        Pores of the clean network that carry flow, in the network's order.
    length, clean_radius, affinity : (n_entries,) ndarray
        Length, radius and relative deposition coefficient of the pore of every entry of the graph.
    band_length : (bands, n_entries) ndarray
        Length of the pores in each band.
    extent : (bands, 2) ndarray of int
        Range of the entries that have pores in each band, without inlets and outlets.
    clean_pressure : (n,) ndarray
        Pressures of the clean network.
    clean_order : (n,) ndarray of int
        Junctions in order of decreasing pressure.
    deposition, time_step, second_order, tolerance
        Parameters of :func:`filter_lives`.
    n_steps : int
        Largest number of steps.

    Returns
    -------
    flux, inflow, concentration_out : (n_steps + 1,) ndarray
        Histories.
    porosity : (n_steps + 1, bands) ndarray
        History of the band porosities.
    closed_inside : int
        Number of pores between junctions that closed.
    last : int
        Last step, -1 if the pressures did not converge.
    """
    first, pore, neighbour = adjacent
    n, n_entries, bands = graph.depth.size, length.size, band_length.shape[0]
    n_internal, n_inlets, n_outlets = graph.lower.size, graph.inlet.size, graph.outlet.size
    flux, inflow = np.zeros(n_steps + 1), np.zeros(n_steps + 1)
    concentration_out = np.zeros(n_steps + 1)
    concentration_out[:] = np.nan
    porosity = np.zeros((n_steps + 1, bands))

    is_open = np.ones(pore.size // 2, np.bool_)  # in the order of the network
    flowing = clean_flowing
    per_length, retention, shrinkage = np.zeros(n_entries), np.empty(n_entries), np.empty(n_entries)
    for e in range(n_entries):
        if graph.pores[e] >= 0 and flowing[graph.pores[e]]:
            per_length[e] = 1.0 / length[e]
        retention[e] = -deposition * affinity[e] * length[e]
        shrinkage[e] = time_step * affinity[e]
    radius, square, conductance = clean_radius.copy(), np.empty(n_entries), np.empty(n_entries)
    flow, transmission = np.zeros(n_entries), np.empty(n_entries)  # the flow of padding stays 0
    rate, last_rate = np.zeros(n_entries), np.zeros(n_entries)  # concentration at the inlet of each pore
    pressure, guess = clean_pressure.copy(), np.empty(n)
    previous = np.zeros((_EXTRAPOLATION, n))
    concentration = np.zeros(n)
    order = clean_order.copy()
    smooth_steps = 0  # since a pore closed
    closed_inside = 0
    _narrow(shrinkage, rate, per_length, radius, square, conductance)

    for step in range(n_steps + 1):
        for k in range(bands):
            volume = dot(square[n_internal:], band_length[k, n_internal:])
            a, b = extent[k]
            porosity[step, k] = bands * np.pi * (volume + dot(square[a:b], band_length[k, a:b]))
        has_flow = False
        for e in range(n_entries):
            has_flow |= conductance[e] > 0.0
        if not has_flow:
            return flux, inflow, concentration_out, porosity, closed_inside, step

        _extrapolate(pressure, previous, min(smooth_steps, _EXTRAPOLATION), guess)
        for i in range(n):
            for j in range(_EXTRAPOLATION - 1, 0, -1):
                previous[j, i] = previous[j - 1, i]
            previous[0, i] = pressure[i]
            pressure[i] = guess[i]
        if solve_pressures(graph, conductance, pressure, tolerance) < 0:
            return flux, inflow, concentration_out, porosity, closed_inside, -1

        _sort_by_pressure(order, pressure)
        _pore_flows(graph, conductance, pressure, flow)
        for e in range(n_entries):
            transmission[e] = exponential(retention[e] * radius[e] / max(abs(flow[e]), 1e-300))
        _transport_foulant(graph, flow, transmission, order, concentration)

        foulant = 0.0
        for e in range(n_internal, n_internal + n_inlets):
            inflow[step] += flow[e]
        for e in range(n_internal + n_inlets, n_internal + n_inlets + n_outlets):
            flux[step] += flow[e]
            foulant += flow[e] * transmission[e] * concentration[graph.outlet[e - n_internal - n_inlets]]
        if flux[step] > 0.0:
            concentration_out[step] = foulant / flux[step]

        _inlet_concentration(graph, flow, concentration, rate)
        if second_order:
            for e in range(n_entries):
                current_rate = rate[e]
                if step > 0:
                    rate[e] = max(1.5 * current_rate - 0.5 * last_rate[e], 0.0)
                last_rate[e] = current_rate
        closing = _narrow(shrinkage, rate, per_length, radius, square, conductance)
        smooth_steps += 1
        if closing:
            for e in range(n_entries):
                if graph.pores[e] >= 0 and radius[e] <= _CLOSED:
                    closed_inside += e < n_internal and is_open[graph.pores[e]]
                    radius[e] = 0.0
                    is_open[graph.pores[e]] = False
            flowing = flowing_pores(first, pore, neighbour, is_open)
            for e in range(n_entries):
                if graph.pores[e] >= 0 and not flowing[graph.pores[e]]:
                    per_length[e] = 0.0
            smooth_steps = 0
            _narrow(shrinkage, np.zeros(n_entries), per_length, radius, square, conductance)
    return flux, inflow, concentration_out, porosity, closed_inside, -1


@inline_kernel
def _narrow(
    shrinkage: np.ndarray, rate: np.ndarray, per_length: np.ndarray, radius: np.ndarray, square: np.ndarray,
    conductance: np.ndarray,
) -> bool:  # fmt: skip
    """Decrease the radii and update squares and conductances, in place; return whether a pore closed."""
    closing = False
    for e in range(radius.size):
        narrower = radius[e] - shrinkage[e] * rate[e] if per_length[e] > 0.0 else radius[e]
        closing |= per_length[e] > 0.0 and narrower <= _CLOSED
        radius[e] = narrower
        square[e] = narrower * narrower
        conductance[e] = square[e] * square[e] * per_length[e]
    return closing


@inline_kernel
def _extrapolate(pressure: np.ndarray, previous: np.ndarray, degree: int, guess: np.ndarray) -> None:
    """Extrapolate the pressures by the polynomial through the last ``degree + 1`` steps, into ``guess``."""
    for i in range(pressure.size):
        guess[i] = (degree + 1.0) * pressure[i]
    weight = degree + 1.0
    for j in range(degree):
        weight *= -(degree - j) / (j + 2.0)
        for i in range(pressure.size):
            guess[i] += weight * previous[j, i]


@inline_kernel
def _pore_flows(graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray, flow: np.ndarray) -> None:
    """Compute the flow of every pore into ``flow``, positive downwards."""
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    for i in range(pressure.size):
        upper = pressure[i]
        for e in range(graph.first[i], graph.first[i + 1]):
            flow[e] = conductance[e] * (upper - pressure[graph.lower[e]])
    for e in range(n_inlets):
        flow[n_internal + e] = conductance[n_internal + e] * (1.0 - pressure[graph.inlet[e]])
    for e in range(graph.outlet.size):
        flow[n_internal + n_inlets + e] = conductance[n_internal + n_inlets + e] * pressure[graph.outlet[e]]


@inline_kernel
def _sort_by_pressure(order: np.ndarray, pressure: np.ndarray) -> None:
    """Sort junctions by decreasing pressure, in place, by insertion: they are almost sorted after a step."""
    for a in range(1, order.size):
        i = order[a]
        b = a
        while b > 0 and pressure[order[b - 1]] < pressure[i]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = i


@inline_kernel
def _transport_foulant(
    graph: FlowGraph, flow: np.ndarray, transmission: np.ndarray, order: np.ndarray, concentration: np.ndarray
) -> None:
    """Compute the concentration at every junction in one sweep in order of decreasing pressure."""
    first, lower = graph.first, graph.lower
    first_above, above, pore_above = graph.first_above, graph.above, graph.pore_above
    inflow, foulant = np.zeros(concentration.size), np.zeros(concentration.size)
    for e in range(graph.inlet.size):
        q = max(flow[lower.size + e], 0.0)
        inflow[graph.inlet[e]] += q
        foulant[graph.inlet[e]] += q * transmission[lower.size + e]
    flow_above, foulant_above = np.empty(above.size), np.empty(above.size)
    for s in range(above.size):
        e = pore_above[s]
        flow_above[s] = max(flow[e], 0.0)
        foulant_above[s] = flow_above[s] * transmission[e]
    for i in order:
        c0 = c1 = q0 = q1 = 0.0
        s = first_above[i]
        while s < first_above[i + 1]:
            t = s + np.uint64(1)
            q0 += flow_above[s]
            q1 += flow_above[t]
            c0 += foulant_above[s] * concentration[above[s]]
            c1 += foulant_above[t] * concentration[above[t]]
            s += np.uint64(2)
        s = first[i]
        while s < first[i + 1]:
            t = s + np.uint64(1)
            q_s, q_t = min(flow[s], 0.0), min(flow[t], 0.0)
            q0 -= q_s
            q1 -= q_t
            c0 -= q_s * transmission[s] * concentration[lower[s]]
            c1 -= q_t * transmission[t] * concentration[lower[t]]
            s += np.uint64(2)
        total = inflow[i] + (q0 + q1)
        concentration[i] = (foulant[i] + (c0 + c1)) / total if total > 0.0 else 0.0


@inline_kernel
def _inlet_concentration(graph: FlowGraph, flow: np.ndarray, concentration: np.ndarray, rate: np.ndarray) -> None:
    """Write the concentration at the inlet of every pore to ``rate``, 0 without flow."""
    n_internal, n_inlets = graph.lower.size, graph.inlet.size
    for i in range(concentration.size):
        upper = concentration[i]
        for e in range(graph.first[i], graph.first[i + 1]):
            lower = concentration[graph.lower[e]] if flow[e] < 0.0 else 0.0
            rate[e] = upper if flow[e] > 0.0 else lower
    for e in range(n_internal, n_internal + n_inlets):
        rate[e] = 1.0
    for e in range(graph.outlet.size):
        rate[n_internal + n_inlets + e] = concentration[graph.outlet[e]]
