"""Flow through a pore network, and its fouling until nothing passes (Gu, Secs. II to V).

All quantities are dimensionless as in the paper: pressure falls from 1 to 0 across the membrane, a
pore conducts ``r^4 / l``, and foulant enters at concentration 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from membrane_dask.physics._jit import exponential, inline_kernel, kernel
from membrane_dask.physics.linear_solvers import dot
from membrane_dask.physics.networks.network_flow import flow_graph, place, solve_pressures
from membrane_dask.physics.networks.pore_network import INLET, PhysicsError, PoreNetwork, adjacency, flowing

#: A pore whose radius falls to this is closed: r_1/dt steps of dt end at 0 only up to rounding.
_CLOSED = 1e-12
#: Pressures are extrapolated by a polynomial of this degree.
_EXTRAPOLATION = 4


@dataclass(frozen=True)
class FilterLife:
    """What a filter did from clean to closed; see ``membrane_dask.variables.GRADED`` for each name.

    ``*_threshold`` ends where the flux, linear between steps, crosses the threshold;
    ``*_threshold_step`` at the first step below it. Histories have one entry a time step, from the
    clean filter to the step at which nothing passes any more, when the flux is 0.
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
    mean_degree: float
    flux_residual: float
    flux: np.ndarray
    foulant_concentration_out: np.ndarray
    band_porosity: np.ndarray


def filter_life(network: PoreNetwork, *, deposition: float, **how: Any) -> FilterLife:
    """Follow a clean network until no path from the feed to the filtrate is open.

    See :func:`filter_lives`, of which this is the case of one deposition coefficient.
    """
    return filter_lives(network, deposition=(deposition,), **how)[0]


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
    """Follow a clean network, once for every deposition coefficient, until nothing passes.

    Parameters
    ----------
    network : PoreNetwork
        The clean filter.
    deposition : sequence of float
        Deposition coefficients ``lambda`` > 0 (Gu, Eq. 22).
    time_step : float
        Step of the integration, > 0.
    flux_threshold : float
        Flux at which the filter would be taken out of service, > 0.
    band_deposition : sequence of float, optional
        Deposition coefficient of each band relative to ``deposition``, > 0; default 1. A pore has that
        of its band, along its whole length, in what it retains and in how fast it narrows.
    integrator : {"euler", "adams-bashforth"}
        Of the radii: explicit Euler as published, or the second-order method of Adams and Bashforth,
        which takes no more work a step.
    quadrature : {"trapezoid", "left"}
        Rule for the integrals over time; ``left`` counts each step at the flux it begins with.
    solver_tolerance : float
        Relative error of the pressures in the norm of dissipation, in ``[1e-12, 1)``. Inflow and outflow
        agree to rounding at any.

    Returns
    -------
    list of FilterLife

    Raises
    ------
    PhysicsError
        If nothing passes even the clean filter, or the pressures do not converge.

    Notes
    -----
    At each step: pressures from flow conservation at the junctions; concentrations in one sweep
    in the order of falling pressure, each pore passing on ``c exp(-lambda r l / q)``; and every
    pore that carries flow loses radius at the rate of the concentration that enters it (Gu,
    Eqs. 23 to 25). Pores that no path runs through carry no flow and do not foul. The flux counts
    as 0 at the last step.
    """
    inlets = network.ends[:, 1] == INLET
    if not inlets.any():
        raise PhysicsError("no pore opens to the feed")
    ratio = np.ones(network.n_bands) if band_deposition is None else np.asarray(band_deposition, float)
    if ratio.shape != (network.n_bands,) or not (ratio > 0).all():
        raise ValueError(f"band_deposition: must hold {network.n_bands} numbers greater than 0 (got {ratio.tolist()})")
    affinity = ratio[network.band]
    graph = flow_graph(network)
    # Every inlet pore that carries flow sees c = 1 and shrinks at the rate of its band.
    n_steps = math.ceil((network.radius[inlets] / affinity[inlets]).max() / time_step) + 2
    adjacent = adjacency(network.ends, len(network.junctions))
    length, radius = place(graph, network.length, 1.0), place(graph, network.radius, 0.0)
    band_length = np.stack([place(graph, lengths, 0.0) for lengths in np.ascontiguousarray(network.band_length.T)])
    # In the order of depth a band's pores stand together, but for those that open at the faces.
    inside = [np.flatnonzero(lengths[: len(graph.lower)]) for lengths in band_length]
    extent = np.array([(some[0], some[-1] + 1) if some.size else (0, 0) for some in inside])
    # The clean network's pressures do not depend on the foulant.
    pressure = 1.0 - graph.depth
    first, pore, other = adjacent
    live = flowing(first, pore, other, np.ones(len(network.length), bool))
    clean = place(graph, live.astype(float), 0.0) * radius**4 / length
    if not live.any():
        raise PhysicsError("no path leads through the network from the feed to the filtrate")
    unsolved = PhysicsError(f"the pressures did not converge to a relative error of {solver_tolerance:g}")
    if solve_pressures(graph, clean, pressure, solver_tolerance) < 0:
        raise unsolved
    falling = np.argsort(-pressure, kind="stable")

    lives = []
    for coefficient in deposition:
        flux, inflow, concentration, porosity, closed_inside, last = _life(
            graph, adjacent, live, length, radius, band_length, extent, place(graph, affinity, 1.0), pressure, falling,
            coefficient, time_step, integrator == "adams-bashforth", solver_tolerance, n_steps,
        )  # fmt: skip
        if last < 0:
            raise unsolved
        flux, inflow, concentration, porosity = (a[: last + 1] for a in (flux, inflow, concentration, porosity))
        counted = (int((inlets & ~live).sum()), int(closed_inside))
        how = (coefficient, time_step, flux_threshold, quadrature)
        lives.append(_metrics(network, flux, inflow, concentration, porosity, counted, *how))
    return lives


def _metrics(
    network: PoreNetwork,
    flux: np.ndarray,
    inflow: np.ndarray,
    concentration: np.ndarray,
    porosity: np.ndarray,
    counted: tuple[int, int],
    deposition: float,
    time_step: float,
    flux_threshold: float,
    quadrature: str,
) -> FilterLife:
    """All that is known of a life from its histories."""
    last = len(flux) - 1
    metrics: dict[str, float] = {}
    usage: dict[str, np.ndarray] = {}
    crossing, below = threshold_crossing(flux, flux_threshold)
    for suffix, end in (("", last), ("_threshold", crossing), ("_threshold_step", below)):
        found, usage[suffix] = until(flux, concentration, porosity, end, deposition, time_step, quadrature)
        metrics |= {name + suffix: float(value) for name, value in found.items()}
    between = int((network.ends[:, 1] >= 0).sum())
    return FilterLife(
        **metrics,
        band_porosity_usage=usage[""],
        band_porosity_usage_threshold=usage["_threshold"],
        initial_flux=float(flux[0]),
        n_junctions=len(network.junctions),
        n_pores=len(network.length),
        n_inlets=int((network.ends[:, 1] == INLET).sum()),
        n_stagnant_inlets=counted[0],
        n_closed_inside=counted[1],
        mean_degree=(len(network.length) + between) / len(network.junctions),
        flux_residual=float(np.abs(inflow[:last] / flux[:last] - 1).max()),
        flux=flux,
        foulant_concentration_out=concentration,
        band_porosity=porosity,
    )


def threshold_crossing(flux: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps until the flux, linear between steps, falls to ``threshold``; and the first step below it.

    Parameters
    ----------
    flux : (..., n_times) ndarray
        Histories that end with 0; NaN may follow.
    threshold : float
        > 0.

    Returns
    -------
    crossing : (...) ndarray of float
        0 where the clean filter is below the threshold already.
    below : (...) ndarray of int
    """
    below = np.argmax(flux < threshold, axis=-1)
    before, after = (_at(flux, np.maximum(below + step, 0)) for step in (-1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(below > 0, (threshold - after) / (before - after), 0.0)
    return below - part, below


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values at one index of the last axis for each of the others."""
    return np.take_along_axis(values, np.asarray(index)[..., None], axis=-1)[..., 0]


def until(
    flux: np.ndarray,
    concentration: np.ndarray,
    porosity: np.ndarray,
    end: np.ndarray | float,
    deposition: float,
    time_step: float,
    quadrature: str = "trapezoid",
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Metrics of lives that end at step ``end``, which need not be whole, and each band's usage.

    Parameters
    ----------
    flux, concentration : (..., n_times) ndarray
        Histories; the concentration is NaN where the flux is 0.
    porosity : (..., n_times, n_bands) ndarray
        Histories of the bands' porosities.
    end : (...) ndarray or float
        Time steps that count, between 0 and ``n_times - 1``.
    deposition, time_step : float
        As the histories were made with.
    quadrature : {"trapezoid", "left"}
        Rule for the integrals.

    Returns
    -------
    metrics : dict of str to (...) ndarray
        ``throughput`` (Gu, Eq. 28a), ``foulant_concentration`` (Eq. 28b), ``lifetime``, ``porosity_usage`` (Eq. 21b).
    usage : (..., n_bands) ndarray
        Porosity lost in each band (Eq. 21a).
    """
    end = np.asarray(end, float)
    whole = end.astype(np.int64)
    part = end - whole
    following = np.minimum(whole + 1, flux.shape[-1] - 1)

    def integral(values: np.ndarray) -> np.ndarray:
        steps = values[..., :-1] if quadrature == "left" else (values[..., :-1] + values[..., 1:]) / 2
        sums = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)
        here = _at(values, whole)
        rise = 0.0 if quadrature == "left" else _at(values, following) - here
        return time_step * (_at(sums, whole) + part * (here + part / 2 * rise))

    flux = np.nan_to_num(flux)
    volume = integral(flux)
    foulant = integral(flux * np.nan_to_num(concentration))
    bands = np.moveaxis(porosity, -1, 0)
    left = np.stack([_at(band, whole) + part * (_at(band, following) - _at(band, whole)) for band in bands], axis=-1)
    usage = porosity[..., 0, :] - left
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            "throughput": volume / deposition,  # in units of W^3 / (alpha C_0)
            "foulant_concentration": foulant / volume,
            "lifetime": end * time_step,
            "porosity_usage": usage.mean(axis=-1),
        }
    return metrics, usage


@kernel
def _life(
    graph, adjacent, clean_live, length, clean_radius, band_length, extent, affinity, start, falling, deposition,
    time_step, second_order, tolerance, n_steps,
):  # fmt: skip
    """Histories of flux, inflow, outlet concentration and band porosity; pores closed inside; the last step.

    Arrays of pores are by places in the graph, ``band_length`` is ``(bands, n_places)``, ``extent`` the
    places between which each band has pores, ``start`` the first pressures and ``falling`` the
    junctions in their order, ``clean_live`` the pores of the network that some path runs through. The
    last step is -1 if the pressures do not converge.
    """
    first, pore, other = adjacent
    n, places, bands = graph.depth.size, length.size, band_length.shape[0]
    between, inlets, outlets = graph.lower.size, graph.inlet.size, graph.outlet.size
    flux, inflow = np.zeros(n_steps + 1), np.zeros(n_steps + 1)
    leaving = np.zeros(n_steps + 1)
    leaving[:] = np.nan
    porosity = np.zeros((n_steps + 1, bands))

    is_open = np.ones(pore.size // 2, np.bool_)  # by the network's numbers
    live = clean_live
    per_length, retention, shrinkage = np.zeros(places), np.empty(places), np.empty(places)
    for e in range(places):
        if graph.pores[e] >= 0 and live[graph.pores[e]]:
            per_length[e] = 1.0 / length[e]
        retention[e] = -deposition * affinity[e] * length[e]
        shrinkage[e] = time_step * affinity[e]
    radius, square, conductance = clean_radius.copy(), np.empty(places), np.empty(places)
    flow, passed = np.zeros(places), np.empty(places)  # nothing flows where no pore is
    rate, last_rate = np.zeros(places), np.zeros(places)  # concentration at each pore's upper end
    pressure, guess = start.copy(), np.empty(n)
    earlier = np.zeros((_EXTRAPOLATION, n))
    concentration = np.zeros(n)
    order = falling.copy()
    smooth = 0  # steps since a pore closed
    closed_inside = 0
    _narrow(shrinkage, rate, per_length, radius, square, conductance)

    for step in range(n_steps + 1):
        for k in range(bands):
            volume = dot(square[between:], band_length[k, between:])
            a, b = extent[k]
            porosity[step, k] = bands * np.pi * (volume + dot(square[a:b], band_length[k, a:b]))
        flowing_on = False
        for e in range(places):
            flowing_on |= conductance[e] > 0.0
        if not flowing_on:
            return flux, inflow, leaving, porosity, closed_inside, step

        _extrapolate(pressure, earlier, min(smooth, _EXTRAPOLATION), guess)
        for i in range(n):
            for j in range(_EXTRAPOLATION - 1, 0, -1):
                earlier[j, i] = earlier[j - 1, i]
            earlier[0, i] = pressure[i]
            pressure[i] = guess[i]
        if solve_pressures(graph, conductance, pressure, tolerance) < 0:
            return flux, inflow, leaving, porosity, closed_inside, -1

        _sort_falling(order, pressure)
        _flows(graph, conductance, pressure, flow)
        for e in range(places):
            passed[e] = retention[e] * radius[e] / max(abs(flow[e]), 1e-300)
        exponential(passed)
        _transport(graph, flow, passed, order, concentration)

        foulant = 0.0
        for e in range(between, between + inlets):
            inflow[step] += flow[e]
        for e in range(between + inlets, between + inlets + outlets):
            flux[step] += flow[e]
            foulant += flow[e] * passed[e] * concentration[graph.outlet[e - between - inlets]]
        if flux[step] > 0.0:
            leaving[step] = foulant / flux[step]

        _enter(graph, flow, concentration, rate)
        if second_order:
            for e in range(places):
                now = rate[e]
                if step > 0:
                    rate[e] = max(1.5 * now - 0.5 * last_rate[e], 0.0)
                last_rate[e] = now
        closing = _narrow(shrinkage, rate, per_length, radius, square, conductance)
        smooth += 1
        if closing:
            for e in range(places):
                if graph.pores[e] >= 0 and radius[e] <= _CLOSED:
                    closed_inside += e < between and is_open[graph.pores[e]]
                    radius[e] = 0.0
                    is_open[graph.pores[e]] = False
            live = flowing(first, pore, other, is_open)
            for e in range(places):
                if graph.pores[e] >= 0 and not live[graph.pores[e]]:
                    per_length[e] = 0.0
            smooth = 0
            _narrow(shrinkage, np.zeros(places), per_length, radius, square, conductance)
    return flux, inflow, leaving, porosity, closed_inside, -1


@inline_kernel
def _narrow(shrinkage, rate, per_length, radius, square, conductance):
    """Let the pores shrink, and give them their new conductance; whether any closed."""
    closing = False
    for e in range(radius.size):
        narrower = radius[e] - shrinkage[e] * rate[e] if per_length[e] > 0.0 else radius[e]
        closing |= per_length[e] > 0.0 and narrower <= _CLOSED
        radius[e] = narrower
        square[e] = narrower * narrower
        conductance[e] = square[e] * square[e] * per_length[e]
    return closing


@inline_kernel
def _extrapolate(pressure, earlier, order, guess):
    """Next pressures from the polynomial through the last ones: they change smoothly."""
    for i in range(pressure.size):
        guess[i] = (order + 1.0) * pressure[i]
    weight = order + 1.0
    for j in range(order):
        weight *= -(order - j) / (j + 2.0)
        for i in range(pressure.size):
            guess[i] += weight * earlier[j, i]


@inline_kernel
def _flows(graph, conductance, pressure, flow):
    """Flow of every pore: from the upper to the lower junction, from the feed, to the filtrate."""
    between, inlets = graph.lower.size, graph.inlet.size
    for i in range(pressure.size):
        here = pressure[i]
        for e in range(graph.first[i], graph.first[i + 1]):
            flow[e] = conductance[e] * (here - pressure[graph.lower[e]])
    for e in range(inlets):
        flow[between + e] = conductance[between + e] * (1.0 - pressure[graph.inlet[e]])
    for e in range(graph.outlet.size):
        flow[between + inlets + e] = conductance[between + inlets + e] * pressure[graph.outlet[e]]


@inline_kernel
def _sort_falling(order, pressure):
    """Bring ``order`` into falling pressure, in place; quick, as steps leave it almost sorted."""
    for a in range(1, order.size):
        i = order[a]
        b = a
        while b > 0 and pressure[order[b - 1]] < pressure[i]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = i


@inline_kernel
def _transport(graph, flow, passed, order, concentration):
    """Concentration at every junction, in one sweep in the order of falling pressure."""
    first, lower = graph.first, graph.lower
    first_above, above, pore_above = graph.first_above, graph.above, graph.pore_above
    arriving, carried = np.zeros(concentration.size), np.zeros(concentration.size)
    for e in range(graph.inlet.size):
        q = max(flow[lower.size + e], 0.0)
        arriving[graph.inlet[e]] += q
        carried[graph.inlet[e]] += q * passed[lower.size + e]
    flow_above, passed_above = np.empty(above.size), np.empty(above.size)
    for s in range(above.size):
        e = pore_above[s]
        flow_above[s] = max(flow[e], 0.0)
        passed_above[s] = flow_above[s] * passed[e]
    for i in order:
        c0 = c1 = q0 = q1 = 0.0
        s = first_above[i]
        while s < first_above[i + 1]:
            t = s + np.uint64(1)
            q0 += flow_above[s]
            q1 += flow_above[t]
            c0 += passed_above[s] * concentration[above[s]]
            c1 += passed_above[t] * concentration[above[t]]
            s += np.uint64(2)
        s = first[i]
        while s < first[i + 1]:
            t = s + np.uint64(1)
            up, too = min(flow[s], 0.0), min(flow[t], 0.0)
            q0 -= up
            q1 -= too
            c0 -= up * passed[s] * concentration[lower[s]]
            c1 -= too * passed[t] * concentration[lower[t]]
            s += np.uint64(2)
        total = arriving[i] + (q0 + q1)
        concentration[i] = (carried[i] + (c0 + c1)) / total if total > 0.0 else 0.0


@inline_kernel
def _enter(graph, flow, concentration, rate):
    """Concentration that enters every pore; 0 where nothing flows."""
    between, inlets = graph.lower.size, graph.inlet.size
    for i in range(concentration.size):
        here = concentration[i]
        for e in range(graph.first[i], graph.first[i + 1]):
            there = concentration[graph.lower[e]] if flow[e] < 0.0 else 0.0
            rate[e] = here if flow[e] > 0.0 else there
    for e in range(between, between + inlets):
        rate[e] = 1.0
    for e in range(graph.outlet.size):
        rate[between + inlets + e] = concentration[graph.outlet[e]]
