"""Simulation of a filter's life: pressures, foulant and pore radii, step by step (Gu, Secs. III to V)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel
from membrane_dask.physics.elementary import exponential
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.networks.connectivity import flowing_pores, group_indices
from membrane_dask.physics.networks.foulant_transport import (
    deposit_foulant,
    inlet_concentration,
    outlet_concentration,
    transport_foulant,
)
from membrane_dask.physics.networks.fouling_laws import (
    BLOCKED,
    EXTINCTION,
    FLUX_FRACTION,
    PRESSURE_LIMIT,
    TIME,
    KernelDeposition,
    KernelOperation,
    KernelParticles,
)
from membrane_dask.physics.networks.network_flow import FlowGraph, pore_flows, solve_pressures
from membrane_dask.physics.networks.radius_distribution import spread_factor
from membrane_dask.physics.networks.sieving import (
    RandomStream,
    follow_flow,
    have_detour,
    narrowest_radius,
    random_bits,
    waiting_time,
)

#: A pore is closed at or below this radius: after r_1/dt steps of dt the radius is 0 only up to rounding.
_CLOSED = 1e-12
#: Degree of the polynomial that extrapolates pressures to the next step.
_EXTRAPOLATION = 4
#: Relative error of the pressures after a particle blocks a pore; the next step is solved to the full tolerance.
_EVENT_TOLERANCE = 1e-4
#: ``last`` of a simulation that did not converge, and of one that did not end.
NOT_CONVERGED, NOT_ENDED = -1, -2


class Histories(NamedTuple):
    """What a simulated life leaves, with one value per time step up to ``last``.

    Attributes
    ----------
    flux, inflow : (n_steps + 1,) ndarray
        Flows out of and into the membrane, at the pressure of the step.
    pressure : (n_steps + 1,) ndarray
        Transmembrane pressure.
    concentration : (n_species, n_steps + 1) ndarray
        Concentration of the filtrate, NaN without flow.
    porosity : (n_steps + 1, bands) ndarray
    blocked : (n_steps + 1, bands) ndarray
        Number of times that particles have blocked a pore of the band until the step begins.
    jump : (n_steps + 1,) ndarray
        What the changes of the flux within the step add to the integral of the flux by the trapezoidal rule.
    late_jump : (n_steps + 1,) ndarray
        What they add to the integral of a flux that stays at the step's first value.
    closed_inside : int
        Number of pores between junctions that adsorption closed.
    last : int
        Last step; ``NOT_CONVERGED`` or ``NOT_ENDED``.
    cause : int
        Index in ``END_CAUSES``.
    end : float
        Time of the end in steps where particles block the last path, else ``last``.
    n_arrivals, n_passed : int
        Number of particles that entered the membrane, and that left it with the filtrate.
    """

    flux: np.ndarray
    inflow: np.ndarray
    pressure: np.ndarray
    concentration: np.ndarray
    porosity: np.ndarray
    blocked: np.ndarray
    jump: np.ndarray
    late_jump: np.ndarray
    closed_inside: int
    last: int
    cause: int
    end: float
    n_arrivals: int
    n_passed: int


@kernel
def simulate(
    graph: FlowGraph, adjacent: tuple[np.ndarray, np.ndarray, np.ndarray], clean_flowing: np.ndarray,
    length: np.ndarray, clean_radius: np.ndarray, ends: np.ndarray, band: np.ndarray, band_length: np.ndarray,
    extent: np.ndarray, affinity: np.ndarray, clean_pressure: np.ndarray, clean_order: np.ndarray, deposition: float,
    law: KernelDeposition | None, operation: KernelOperation, particles: KernelParticles | None, time_step: float,
    second_order: bool, tolerance: float, n_steps: int,
) -> tuple[Any, ...]:  # fmt: skip
    """Simulate the fouling of a network until the end of its life.

    Parameters
    ----------
    graph : FlowGraph
    adjacent : tuple of ndarray
        From :func:`~membrane_dask.physics.networks.connectivity.adjacency`.
    clean_flowing : (n_pores,) ndarray of bool
        Pores of the clean network that carry flow, in the network's order.
    length, clean_radius, affinity : (n_entries,) ndarray
        Length, radius and relative deposition coefficient of the pore of every entry of the graph.
    ends : (n_pores, 2) ndarray of int
        Nodes of ``adjacent`` at the ends of every pore, in the network's order.
    band : (n_entries,) ndarray of int
        Band of every pore.
    band_length : (bands, n_entries) ndarray
        Length of the pores in each band.
    extent : (bands, 2) ndarray of int
        Range of the entries that have pores in each band, without inlets and outlets.
    clean_pressure : (n,) ndarray
        Pressures of the clean network.
    clean_order : (n,) ndarray of int
        Junctions in order of decreasing pressure.
    deposition : float
        Mean deposition coefficient of the feed's foulant.
    law : KernelDeposition, optional
        Deposition and erosion; without it, one foulant narrows every pore at the rate of its concentration at the
        inlet of the pore, as published.
    operation : KernelOperation
    particles : KernelParticles, optional
    time_step : float
    second_order : bool
        Whether radii are integrated by the Adams-Bashforth method, else by Euler's.
    tolerance : float
        Relative error of the pressures.
    n_steps : int
        Largest number of steps.

    Returns
    -------
    tuple
        The fields of :class:`Histories`. A kernel must not return a named tuple: Python code would run where compiled
        code makes the Python object, and an exception that a signal raises there crashes the process.
    """
    first, pore, neighbour = adjacent
    n, n_entries, bands = graph.depth.size, length.size, band_length.shape[0]
    n_internal, n_inlets, n_outlets = graph.lower.size, graph.inlet.size, graph.outlet.size
    n_species = 1 if law is None else law.deposition.size
    segments = 1 if law is None else law.segments
    reversible = False if law is None else law.erosion_rate > 0.0
    residual = 1.0 if particles is None else particles.residual
    flux, inflow, transmembrane = np.zeros(n_steps + 1), np.zeros(n_steps + 1), np.ones(n_steps + 1)
    concentration_out = np.full((n_species, n_steps + 1), np.nan)
    porosity, blocked = np.zeros((n_steps + 1, bands)), np.zeros((n_steps + 1, bands))
    jump, late_jump = np.zeros(n_steps + 1), np.zeros(n_steps + 1)
    closed_inside = n_arrivals = n_passed = 0
    cause, last, end = EXTINCTION, NOT_ENDED, 0.0

    is_open = np.ones(pore.size // 2, np.bool_)  # in the order of the network
    flowing = clean_flowing
    per_length, shrinkage, retention = np.zeros(n_entries), np.empty(n_entries), np.empty((n_species, n_entries))
    for e in range(n_entries):
        if graph.pores[e] >= 0 and flowing[graph.pores[e]]:
            per_length[e] = 1.0 / length[e]
        shrinkage[e] = time_step * affinity[e]
        for s in range(n_species):
            coefficient = deposition if law is None else law.deposition[s]
            retention[s, e] = -coefficient * affinity[e] * length[e]
    radii = np.empty((segments, n_entries))
    for k in range(segments):
        radii[k] = clean_radius
    radius, square, conductance = radii[0], np.empty(n_entries), np.empty(n_entries)
    flow, carried = np.zeros(n_entries), np.empty(n_entries)  # the flow of padding stays 0
    rates, last_rates = np.zeros((segments, n_entries)), np.zeros((segments, n_entries))
    rate = rates[0]
    pressure, guess = clean_pressure.copy(), np.empty(n)
    previous = np.zeros((_EXTRAPOLATION, n))
    concentration = np.zeros((n_species, n))
    order = clean_order.copy()
    smooth_steps = 0  # since a pore closed
    stream = RandomStream(np.array([np.uint64(0) if particles is None else particles.key], np.uint64))
    outlets_of = group_indices(graph.outlet, n)
    mark, stamp = np.zeros(n + 2, np.int64), 0
    hits, n_hits = np.empty(16, np.int64), 0
    _narrow(shrinkage, rate, per_length, radius, square, conductance)
    if segments > 1:
        _conduct(radii, per_length, square, conductance)

    for step in range(n_steps + 1):
        for k in range(bands):
            volume = dot(square[n_internal:], band_length[k, n_internal:])
            a, b = extent[k]
            porosity[step, k] = bands * np.pi * (volume + dot(square[a:b], band_length[k, a:b]))
        has_flow = False
        for e in range(n_entries):
            has_flow |= conductance[e] > 0.0
        if not has_flow:
            last = step
            if operation.constant_flux:
                flux[step], transmembrane[step] = flux[max(step - 1, 0)], np.inf
            if cause != BLOCKED:
                end = float(step)
                if operation.constant_flux:
                    cause = PRESSURE_LIMIT
                elif operation.flux_fraction > 0.0:
                    cause = FLUX_FRACTION
            break

        _extrapolate(pressure, previous, min(smooth_steps, _EXTRAPOLATION), guess)
        for i in range(n):
            for j in range(_EXTRAPOLATION - 1, 0, -1):
                previous[j, i] = previous[j - 1, i]
            previous[0, i] = pressure[i]
            pressure[i] = guess[i]
        if solve_pressures(graph, conductance, pressure, tolerance) < 0:
            last = NOT_CONVERGED
            break

        _sort_by_pressure(order, pressure)
        pore_flows(graph, conductance, pressure, flow)
        if operation.constant_flux:
            at_unit_pressure = 0.0
            for e in range(n_internal + n_inlets, n_internal + n_inlets + n_outlets):
                at_unit_pressure += flow[e]
            if step == 0:
                target_flux = operation.flux if operation.flux > 0.0 else at_unit_pressure
            transmembrane[step] = target_flux / at_unit_pressure
            for e in range(n_entries):
                flow[e] *= transmembrane[step]
        for e in range(n_internal, n_internal + n_inlets):
            inflow[step] += flow[e]
        for e in range(n_internal + n_inlets, n_internal + n_inlets + n_outlets):
            flux[step] += flow[e]

        if law is None:
            for e in range(n_entries):
                carried[e] = flow[e] * exponential(retention[0, e] * radius[e] / max(abs(flow[e]), 1e-300))
            transport_foulant(graph, flow, carried, order, concentration[0])
            concentration_out[0, step] = outlet_concentration(graph, carried, concentration[0], flux[step])
            inlet_concentration(graph, flow, concentration[0], rate)
        else:
            deposit_foulant(
                graph, flow, order, deposition, law, length, affinity, clean_radius, retention, per_length, radii,
                time_step, carried, concentration, rates, concentration_out[:, step], flux[step],
            )  # fmt: skip

        if operation.constant_flux and transmembrane[step] >= operation.pressure_limit:
            cause, last = PRESSURE_LIMIT, step
        elif not operation.constant_flux and step > 0 and flux[step] <= operation.flux_fraction * flux[0]:
            cause, last = FLUX_FRACTION, step
        elif step == operation.end_time:
            cause, last = TIME, step
        if last >= 0 or step == n_steps:
            end = float(step)
            break

        n_hits = 0
        search_needed = False
        if particles is not None:
            blocked[step + 1] = blocked[step]
            elapsed = 0.0
            now = flux[step]
            before = pressure.copy()
            while True:
                arrivals = particles.rate * now / deposition if particles.by_volume else particles.rate
                elapsed += waiting_time(stream) / arrivals
                if elapsed >= time_step:
                    break
                n_arrivals += 1
                particle = particles.radius * spread_factor(
                    random_bits(stream), particles.code, particles.scale, particles.slope
                )
                blocked_entry = follow_flow(graph, outlets_of, conductance, pressure, radii, particle, stream)
                if blocked_entry < 0:
                    n_passed += 1
                    continue
                if n_hits == hits.size:
                    hits = np.append(hits, hits)
                hits[n_hits] = blocked_entry
                n_hits += 1
                blocked[step + 1, band[blocked_entry]] += 1.0
                conductance[blocked_entry] *= residual
                if residual == 0.0:
                    is_open[graph.pores[blocked_entry]] = False
                    stamp += 1
                    a, b = ends[graph.pores[blocked_entry]]
                    if not have_detour(first, pore, neighbour, is_open, a, b, mark, stamp):
                        search_needed = True
                        flowing = flowing_pores(first, pore, neighbour, is_open)
                        for e in range(n_entries):
                            if graph.pores[e] >= 0 and not flowing[graph.pores[e]]:
                                conductance[e] = 0.0
                        if not flowing.any():
                            cause, end = BLOCKED, step + elapsed / time_step
                            if not operation.constant_flux:  # the flux is 0 from now on
                                jump[step] -= now * (0.5 * time_step - elapsed)
                                late_jump[step] += (flux[step] - now) * (time_step - elapsed)
                            break
                if solve_pressures(graph, conductance, pressure, _EVENT_TOLERANCE) < 0:
                    last = NOT_CONVERGED
                    break
                after = _outflow(graph, conductance, pressure)  # at unit pressure
                if not operation.constant_flux:
                    jump[step] += (after - now) * (0.5 * time_step - elapsed)
                    late_jump[step] += (after - now) * (time_step - elapsed)
                if not operation.constant_flux:
                    now = after
            if last != NOT_ENDED:
                break
            for i in range(n):
                for j in range(_EXTRAPOLATION):
                    previous[j, i] += pressure[i] - before[i]

        if second_order:
            for k in range(segments):
                for e in range(n_entries):
                    current_rate = rates[k, e]
                    if step > 0:
                        rates[k, e] = 1.5 * current_rate - 0.5 * last_rates[k, e]
                        if not reversible:
                            rates[k, e] = max(rates[k, e], 0.0)
                    last_rates[k, e] = current_rate
        if law is None:
            closing = _narrow(shrinkage, rate, per_length, radius, square, conductance)
        else:
            closing = _change_radii(law.conserving, rates, clean_radius, time_step, per_length, radii)
            _conduct(radii, per_length, square, conductance)
        smooth_steps += 1
        if closing or n_hits > 0:
            if closing:
                for e in range(n_entries):
                    if graph.pores[e] >= 0 and narrowest_radius(radii, e) <= _CLOSED:
                        closed_inside += e < n_internal and is_open[graph.pores[e]]
                        for k in range(segments):
                            if radii[k, e] <= _CLOSED:
                                radii[k, e] = 0.0
                        is_open[graph.pores[e]] = False
                smooth_steps = 0
            for h in range(n_hits):
                per_length[hits[h]] *= residual
            if closing or search_needed:
                flowing = flowing_pores(first, pore, neighbour, is_open)
                for e in range(n_entries):
                    if graph.pores[e] >= 0 and not flowing[graph.pores[e]]:
                        per_length[e] = 0.0
            _conduct(radii, per_length, square, conductance)
    return (
        flux, inflow, transmembrane, concentration_out, porosity, blocked, jump, late_jump, closed_inside, last, cause,
        end, n_arrivals, n_passed,
    )  # fmt: skip


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
def _change_radii(
    conserving: bool, rates: np.ndarray, clean_radius: np.ndarray, time_step: float, per_length: np.ndarray,
    radii: np.ndarray,
) -> bool:  # fmt: skip
    """Change the radii of all pieces, in place; return whether a pore closed.

    ``rates`` are those at which the radius decreases or, where deposition conserves foulant, half its square.
    """
    closing = False
    for k in range(radii.shape[0]):
        for e in range(radii.shape[1]):
            if not per_length[e] > 0.0:
                continue
            if conserving:
                narrower = np.sqrt(max(radii[k, e] * radii[k, e] - 2.0 * time_step * rates[k, e], 0.0))
            else:
                narrower = radii[k, e] - time_step * rates[k, e]
            radii[k, e] = min(narrower, clean_radius[e])
            closing |= radii[k, e] <= _CLOSED
    return closing


@inline_kernel
def _conduct(radii: np.ndarray, per_length: np.ndarray, square: np.ndarray, conductance: np.ndarray) -> None:
    """Compute mean squares of the radii, and conductances, in place."""
    segments = radii.shape[0]
    if segments == 1:
        for e in range(square.size):
            square[e] = radii[0, e] * radii[0, e]
            conductance[e] = square[e] * square[e] * per_length[e]
        return
    for e in range(square.size):
        total = resistance = 0.0
        for k in range(segments):
            r_square = radii[k, e] * radii[k, e]
            total += r_square
            resistance += 1.0 / (r_square * r_square) if r_square > 0.0 else np.inf
        square[e] = total / segments
        conductance[e] = segments * per_length[e] / resistance if resistance > 0.0 else 0.0


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
def _sort_by_pressure(order: np.ndarray, pressure: np.ndarray) -> None:
    """Sort junctions by decreasing pressure, in place, by insertion: they are almost sorted after a step."""
    n = np.uint64(order.size)
    keys = pressure[order]
    for a in range(np.uint64(1), n):
        i, key = order[a], keys[a]
        b: Integer = a
        while b > np.uint64(0) and keys[b - np.uint64(1)] < key:
            keys[b], order[b] = keys[b - np.uint64(1)], order[b - np.uint64(1)]
            b -= np.uint64(1)
        keys[b], order[b] = key, i


@inline_kernel
def _outflow(graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray) -> float:
    """Return the flux at unit pressure."""
    first_outlet = graph.lower.size + graph.inlet.size
    total = 0.0
    for k in range(graph.outlet.size):
        total += conductance[first_outlet + k] * pressure[graph.outlet[k]]
    return total
