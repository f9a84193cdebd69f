"""Flow through a pore network, and its fouling until nothing passes (Gu, Secs. II to V).

All quantities are dimensionless as in the paper: pressure falls from 1 to 0 across the membrane, a
pore conducts ``r^4 / l``, and foulant enters at concentration 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.network import INLET, PhysicsError, PoreNetwork, adjacency, flowing

#: A pore whose radius falls to this is closed: r_1/dt steps of dt end at 0 only up to rounding.
_CLOSED = 1e-12
#: Largest difference of inflow and outflow, over the initial flux, that counts as solved.
_BALANCE = 1e-6


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
    mean_degree: float
    flux_residual: float
    flux: np.ndarray
    foulant_concentration_out: np.ndarray
    band_porosity: np.ndarray


def filter_life(
    network: PoreNetwork,
    *,
    deposition: float,
    time_step: float,
    flux_threshold: float,
    solver_tolerance: float = 1e-9,
) -> FilterLife:
    """Follow a clean network until no path from the feed to the filtrate is open.

    Parameters
    ----------
    network : PoreNetwork
        The clean filter.
    deposition : float
        Deposition coefficient ``lambda`` > 0 (Gu, Eq. 22).
    time_step : float
        Step of the explicit Euler method, > 0.
    flux_threshold : float
        Flux at which the filter would be taken out of service, > 0.
    solver_tolerance : float
        Relative error of the pressures in the norm of dissipation, in ``(0, 1)``.

    Returns
    -------
    FilterLife

    Raises
    ------
    PhysicsError
        If nothing passes even the clean filter, or inflow and outflow do not balance.

    Notes
    -----
    At each step: pressures from flow conservation at the junctions; concentrations in one sweep
    in the order of falling pressure, each pore passing on ``c exp(-lambda r l / q)``; and every
    pore that carries flow loses radius at the rate of the concentration that enters it (Gu,
    Eqs. 23 to 25). Pores that no path runs through carry no flow and do not foul.
    Integrals over time follow the trapezoid rule, the flux being 0 at the last step.
    """
    inlets = network.ends[:, 1] == INLET
    if not inlets.any():
        raise PhysicsError("no pore opens to the feed")
    # Every inlet pore that carries flow sees c = 1 and shrinks at rate 1.
    n_steps = math.ceil(network.radius[inlets].max() / time_step) + 2
    flux, inflow, concentration, porosity, last = _life(
        network.ends, network.length, network.radius, network.band_length,
        deposition, time_step, solver_tolerance, n_steps,
    )  # fmt: skip
    if last == -1:
        raise PhysicsError("no path leads through the network from the feed to the filtrate")
    if last == -2:
        raise PhysicsError(f"the pressures did not converge to a relative error of {solver_tolerance:g}")
    flux, concentration, porosity = (a[: last + 1] for a in (flux, concentration, porosity))
    residual = float(np.abs(inflow[:last] - flux[:last]).max() / flux[0])
    if not residual <= _BALANCE:
        raise PhysicsError(
            f"inflow and outflow differ by {residual:.1e} of the initial flux, more than {_BALANCE:g}; "
            "use a smaller solver_tolerance"
        )

    below = int(np.argmax(flux < flux_threshold))
    crossing = float(below)
    if below > 0:
        crossing -= float((flux_threshold - flux[below]) / (flux[below - 1] - flux[below]))
    metrics: dict[str, float] = {}
    usage: dict[str, np.ndarray] = {}
    for suffix, end in (("", last), ("_threshold", crossing), ("_threshold_step", below)):
        found, usage[suffix] = _until(flux, concentration, porosity, end, time_step)
        metrics |= {name + suffix: value for name, value in found.items()}
        metrics["throughput" + suffix] /= deposition  # Gu, Eq. 28a: in units of W^3 / (alpha C_0)
    inside = network.ends[:, 1] >= 0
    return FilterLife(
        **metrics,
        band_porosity_usage=usage[""],
        band_porosity_usage_threshold=usage["_threshold"],
        initial_flux=float(flux[0]),
        n_junctions=len(network.junctions),
        n_pores=len(network.length),
        n_inlets=int(inlets.sum()),
        mean_degree=float((len(inside) + inside.sum()) / len(network.junctions)),
        flux_residual=residual,
        flux=flux,
        foulant_concentration_out=concentration,
        band_porosity=porosity,
    )


def _until(
    flux: np.ndarray, concentration: np.ndarray, porosity: np.ndarray, end: float, time_step: float
) -> tuple[dict[str, float], np.ndarray]:
    """Metrics of a life that ends at step ``end``, which need not be whole, and each band's usage."""
    whole = int(end)
    part = end - whole

    def integral(values: np.ndarray) -> float:
        steps = float(np.trapezoid(values[: whole + 1]))
        if part > 0:
            steps += part * float(values[whole] + part / 2 * (values[whole + 1] - values[whole]))
        return time_step * steps

    volume = integral(flux)
    foulant = integral(np.where(flux > 0, flux * np.nan_to_num(concentration), 0.0))
    left = porosity[whole]
    if part > 0:
        left = left + part * (porosity[whole + 1] - left)
    usage = porosity[0] - left
    metrics = {
        "throughput": volume,
        "foulant_concentration": foulant / volume if volume > 0 else math.nan,
        "lifetime": end * time_step,
        "porosity_usage": float(usage.mean()),
    }
    return metrics, usage


@kernel
def _life(ends, length, clean_radius, band_length, deposition, time_step, tolerance, n_steps):
    """Histories of flux, inflow, outlet concentration and band porosity, and the last step.

    The last step is -1 if nothing passes the clean network, -2 if the pressures do not converge.
    """
    n = max(ends[:, 0].max(), ends[:, 1].max()) + 1
    n_pores, bands = band_length.shape
    first, pore, other = adjacency(ends, n)
    radius = clean_radius.copy()
    is_open = np.ones(n_pores, np.bool_)
    flux, inflow = np.zeros(n_steps + 1), np.zeros(n_steps + 1)
    leaving = np.full(n_steps + 1, np.nan)
    porosity = np.zeros((n_steps + 1, bands))
    conductance = np.zeros(n_pores)
    pressure, earlier, earliest = np.zeros(n), np.zeros(n), np.zeros(n)
    entering = np.zeros(n_pores)  # concentration at the upper end of a pore
    order = np.arange(n)
    live = flowing(first, pore, other, is_open)

    for step in range(n_steps + 1):
        for e in range(n_pores):
            area = bands * np.pi * radius[e] * radius[e]
            for k in range(bands):
                porosity[step, k] += area * band_length[e, k]
        if not live.any():
            return flux, inflow, leaving, porosity, step if step > 0 else -1
        for e in range(n_pores):
            conductance[e] = radius[e] ** 4 / length[e] if live[e] else 0.0

        # Pressures change smoothly: start from the parabola through the last three steps.
        guess = 3.0 * (pressure - earlier) + earliest if step >= 3 else pressure.copy()
        earliest, earlier = earlier, pressure
        pressure = _pressures(first, pore, other, conductance, n, guess, tolerance)
        if pressure.size == 0:
            return flux, inflow, leaving, porosity, -2
        _sort_falling(order, pressure)
        foulant = _transport(first, pore, other, conductance, radius, length, pressure, order, deposition, entering)
        for e in range(n_pores):
            if ends[e, 1] == -1:
                inflow[step] += conductance[e] * (1.0 - pressure[ends[e, 0]])
            elif ends[e, 1] == -2:
                flux[step] += conductance[e] * pressure[ends[e, 0]]
        if flux[step] > 0.0:
            leaving[step] = foulant / flux[step]

        closing = False
        for e in range(n_pores):
            if live[e] and entering[e] > 0.0:
                radius[e] -= time_step * entering[e]
                if radius[e] <= _CLOSED:
                    radius[e] = 0.0
                    is_open[e] = False
                    closing = True
        if closing:
            live = flowing(first, pore, other, is_open)
    return flux, inflow, leaving, porosity, -2


@kernel
def _pressures(first, pore, other, conductance, n, guess, tolerance):
    """Pressures at the junctions, by conjugate gradients with diagonal scaling.

    The residual is measured where it matters, as an error in the dissipation ``sum k (dp)^2``, which
    equals the flux: a pore cut short at a face conducts hundreds of times the mean and would drown
    the rest in a plain norm. Junctions without a conducting pore are left at 0. Returns an empty
    array on failure.
    """
    diagonal, inverse, rhs = np.zeros(n), np.zeros(n), np.zeros(n)
    # Rows of the Laplacian's off-diagonal part, without the faces.
    start = np.zeros(n + 1, np.int64)
    column = np.empty(first[n], np.int32)
    weight = np.empty(first[n])
    count = 0
    for i in range(n):
        for s in range(first[i], first[i + 1]):
            k = conductance[pore[s]]
            if k > 0.0:
                diagonal[i] += k
                if other[s] < n:
                    column[count] = other[s]
                    weight[count] = k
                    count += 1
                elif other[s] == n:
                    rhs[i] += k
        start[i + 1] = count
        if diagonal[i] > 0.0:
            inverse[i] = 1.0 / diagonal[i]

    x = np.empty(n)
    residual, direction, product = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        x[i] = guess[i] if diagonal[i] > 0.0 else 0.0
    inflow = 0.0
    rho = 0.0
    for i in range(n):
        total = rhs[i] - diagonal[i] * x[i]
        for s in range(start[i], start[i + 1]):
            total += weight[s] * x[column[s]]
        residual[i] = total
        direction[i] = inverse[i] * total
        rho += inverse[i] * total * total
        inflow += rhs[i] * (1.0 - x[i])
    iteration = 0
    while rho > tolerance * tolerance * abs(inflow):
        iteration += 1
        if iteration > 20 * n + 1000:
            return x[:0]
        curvature = 0.0
        for i in range(n):
            total = diagonal[i] * direction[i]
            for s in range(start[i], start[i + 1]):
                total -= weight[s] * direction[column[s]]
            product[i] = total
            curvature += total * direction[i]
        alpha = rho / curvature
        inflow = 0.0
        following = 0.0
        for i in range(n):
            x[i] += alpha * direction[i]
            residual[i] -= alpha * product[i]
            inflow += rhs[i] * (1.0 - x[i])
            following += inverse[i] * residual[i] * residual[i]
        beta = following / rho
        rho = following
        for i in range(n):
            direction[i] = inverse[i] * residual[i] + beta * direction[i]
    return x


@kernel
def _sort_falling(order, pressure):
    """Bring ``order`` into falling pressure, in place; quick, as steps leave it almost sorted."""
    moves = 0
    for a in range(1, order.size):
        i = order[a]
        b = a
        while b > 0 and pressure[order[b - 1]] < pressure[i]:
            order[b] = order[b - 1]
            b -= 1
            moves += 1
        order[b] = i
        if moves > 40 * order.size:  # far from sorted, as at first
            order[:] = np.argsort(-pressure, kind="mergesort")
            return


@kernel
def _transport(first, pore, other, conductance, radius, length, pressure, order, deposition, entering):
    """Concentrations at the upper ends of all pores, into ``entering``; foulant that leaves per time."""
    n = order.size
    entering[:] = 0.0
    leaving = 0.0
    for i in order:
        arrived, carried = 0.0, 0.0
        for s in range(first[i], first[i + 1]):
            e, j = pore[s], other[s]
            above = 1.0 if j == n else (0.0 if j == n + 1 else pressure[j])
            if conductance[e] > 0.0 and above > pressure[i]:
                q = conductance[e] * (above - pressure[i])
                if j == n:
                    entering[e] = 1.0
                arrived += q
                carried += q * entering[e] * np.exp(-deposition * radius[e] * length[e] / q)
        if arrived == 0.0:
            continue
        c = carried / arrived
        for s in range(first[i], first[i + 1]):
            e, j = pore[s], other[s]
            below = 1.0 if j == n else (0.0 if j == n + 1 else pressure[j])
            if conductance[e] > 0.0 and below < pressure[i]:
                entering[e] = c
                if j == n + 1:
                    q = conductance[e] * pressure[i]
                    leaving += q * c * np.exp(-deposition * radius[e] * length[e] / q)
    return leaving
