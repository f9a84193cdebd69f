"""Life of a porous structure as a filter: its pores lose foulant to their walls, and its throats close.

Every pore body of the network is well mixed and takes up foulant in proportion to its wall area; every throat narrows
at the rate of the concentration upstream of it. What the bodies take up is what they hold, so that foulant is conserved
to rounding errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import integer_power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores, group_indices
from membrane_dask.physics.networks.foulant_mixing import mix_foulant
from membrane_dask.physics.networks.fouling_laws import (
    BLOCKED,
    FLUX_FRACTION,
    PRESSURE_LIMIT,
    TIME,
    FoulingLaws,
    KernelParticles,
    kernel_particles,
)
from membrane_dask.physics.networks.network_flow import FlowGraph, flow_graph, pore_flows, scatter, solve_pressures
from membrane_dask.physics.networks.radius_distribution import spread_factor
from membrane_dask.physics.networks.sieving import RandomStream, follow_flow, random_bits, waiting_time
from membrane_dask.physics.networks.structure_erosion import body_shear, narrowest_body, throat_shear
from membrane_dask.physics.networks.structure_laws import FilterStructure, StructureLaws
from membrane_dask.physics.networks.wall_layers import LAYERS_PER_VOXEL, thickness_and_area

#: Relative error of the pressures: foulant is conserved as far as the flows of every pore body are.
_TOLERANCE = 1e-12
#: Largest number of time steps and of particles in a life.
_MAX_STEPS, _MAX_PARTICLES = 20_000, 1_000_000
#: Shortest time step that deposits are divided by.
_SHORTEST = 1e-300
#: Growth of deposits over the deposition, below which erosion takes all that is deposited.
_BALANCED = 1e-6
#: Foulant that is removed over that which walls take up, below which the former is a rounding error.
_MIN_REMOVED = 1e-9


@dataclass(frozen=True)
class Record:
    """State of the filter at the beginning of a time step.

    Parameters
    ----------
    time : float
    flow : float
        Flow at unit pressure.
    pressure : float
        Transmembrane pressure.
    concentration : (n_species,) ndarray
        Of the filtrate.
    volume : float
        Filtrate until then.
    passed : (n_species,) ndarray
        Integral of flow times concentration of the filtrate until then.
    deposit : (n_bins,) ndarray
        Volume of the deposit in each bin of the depth.
    open_throats : int
        Throats, inlets and outlets that carried flow in the clean structure and are not closed.
    """

    time: float
    flow: float
    pressure: float
    concentration: np.ndarray
    volume: float
    passed: np.ndarray
    deposit: np.ndarray
    open_throats: int


@dataclass(frozen=True)
class StructureHistory:
    """Records of a life from the clean structure to the first at or after its end.

    Parameters
    ----------
    records : list of Record
    cause : int
        Why the life ended, an index of :data:`membrane_dask.physics.networks.fouling_laws.END_CAUSES`.
    target : float
        Constant flow; NaN at constant pressure.
    deposited, removed : float
        Volume of the deposit at the last record, and volume of the foulant that the stream has lost until then; the
        latter is 0 where erosion returns all but rounding errors.
    balance_error : float
        Largest difference between foulant that is fed and foulant that is passed or taken up, over what is fed.
    n_arrivals, n_passed : int
        Particles that arrived, and that left with the filtrate.
    n_blocked : int
        Throats that particles have blocked, counting each hit.
    """

    records: list[Record]
    cause: int
    target: float
    deposited: float
    removed: float
    balance_error: float
    n_arrivals: int
    n_passed: int
    n_blocked: int


@dataclass(frozen=True)
class _Rates:
    """Flow and growth of the deposits in one state; ``fastest`` is the largest growth or erosion of a thickness."""

    flow: float
    pressure: float
    concentration: np.ndarray
    body_growth: np.ndarray
    throat_growth: np.ndarray
    taken_up: float
    removed: float
    imbalance: float
    fastest: float

    @property
    def is_balanced(self) -> bool:
        """Whether erosion takes all that is deposited, everywhere."""
        return bool(
            np.abs(self.body_growth).sum() <= _BALANCED * self.taken_up
            and np.abs(self.throat_growth).max(initial=0.0) <= _BALANCED * self.fastest
        )


@dataclass
class _Filter:
    """Arrays of the structure in the order of the solver, and what changes over its life."""

    structure: FilterStructure
    laws: StructureLaws
    graph: FlowGraph = field(init=False)
    stream: RandomStream = field(init=False)

    def __post_init__(self) -> None:
        network = self.structure.network
        n = len(network.junctions)
        self.graph = graph = flow_graph(network)
        self.adjacent = adjacency(network.throat_conns, n)
        self.order = np.argsort(network.junctions[:, 0], kind="stable")
        self.clean = scatter(graph, self.structure.conductance, 0.0)
        self.closing = scatter(graph, self.structure.closing_radius, 1.0)
        self.catch = scatter(graph, self.structure.catch_radius, math.inf)
        self.area = scatter(graph, math.pi * np.square(network.radius), 1.0)
        layers = self.structure.layers
        self.body_radius = (np.diff(layers.first) - 1)[self.order] / LAYERS_PER_VOXEL
        self.outlets_of = group_indices(graph.outlet, n)
        self.pressures = np.zeros(n)
        self.is_throat = graph.pores >= 0
        flowing = self.flowing(np.ones(len(self.clean)))
        if not flowing.any():
            raise PhysicsError("no path leads through the network from the inlet to the outlet")
        self.carries_flow = flowing
        self.median_radius = float(np.median(self.closing[flowing]))
        self.target = math.nan
        self.thickness = np.zeros(len(self.clean))  # of the deposit in every throat
        self.factor = np.ones(len(self.clean))  # that particles have left of every throat's conductance
        self.volume = np.zeros(n)  # of the deposit in every body, in the order of the network

    def conductance(self, thickness: np.ndarray) -> np.ndarray:
        """Conductance of every entry under deposits, without throats on no open path."""
        remaining = np.maximum(1.0 - thickness / self.closing, 0.0)
        conductance = self.clean * self.factor * integer_power(remaining, self.laws.exponent)
        return np.where(self.flowing(conductance), conductance, 0.0)

    def narrowing(self, volume: np.ndarray, thickness: np.ndarray) -> np.ndarray:
        """Thickness of the deposit that narrows every entry: its own or, where flow erodes that, that of a body."""
        if not self.laws.erosion.rate > 0:
            return thickness  # a body takes up no faster than the throats that leave it
        deposit, _ = thickness_and_area(self.structure.layers, volume)
        of_bodies = narrowest_body(self.graph, self.closing, self.body_radius, deposit[self.order])
        return np.asarray(np.maximum(thickness, of_bodies))

    def flowing(self, conductance: np.ndarray) -> np.ndarray:
        """Whether each entry is a throat on a path of open throats through the network."""
        is_open = np.zeros(len(self.structure.conductance), bool)
        is_open[self.graph.pores[self.is_throat]] = conductance[self.is_throat] > 0
        return np.asarray(np.append(flowing_pores(*self.adjacent, is_open), False)[self.graph.pores])

    def solve(self, conductance: np.ndarray) -> float:
        """Solve for the pressures; return the flow at unit pressure."""
        if not conductance.any():
            return 0.0
        if solve_pressures(self.graph, conductance, self.pressures, _TOLERANCE) < 0:
            raise PhysicsError(f"the pressures did not converge to a relative error of {_TOLERANCE:g}")
        first_outlet = len(self.graph.lower) + len(self.graph.inlet)
        return float((conductance[first_outlet:-1] * self.pressures[self.graph.outlet]).sum())

    def transmembrane_pressure(self, flow: float) -> float:
        """Pressure difference at which the structure is operated."""
        if self.laws.flux is None:
            return 1.0
        if math.isnan(self.target):
            self.target = flow if math.isinf(self.laws.flux) else self.laws.flux
        return self.target / flow if flow > 0 else math.inf

    def operating_flow(self, flow: float) -> float:
        """Flow at the operating pressure; at constant flux the constant one."""
        return flow if self.laws.flux is None else self.target

    def rates(self, volume: np.ndarray, thickness: np.ndarray, duration: float) -> _Rates:
        """Flow, concentrations and growth of the deposits of a state.

        Erosion takes at most what is deposited, and within ``duration`` the deposits of the beginning of the time step.
        """
        uptake, laws = self.laws.uptake, self.laws
        _, area = thickness_and_area(self.structure.layers, volume)
        conductance = self.conductance(self.narrowing(volume, thickness))
        total = self.solve(conductance)
        pressure = self.transmembrane_pressure(total)
        n, n_species = len(volume), len(uptake.fraction)
        body, growth = np.zeros(n), np.zeros(len(thickness))
        if not total > 0:
            return _Rates(0.0, pressure, np.full(n_species, math.nan), body, growth, 0.0, 0.0, 0.0, 0.0)
        flow = entry_flows(self.graph, conductance, self.pressures) * pressure
        order = np.argsort(-self.pressures, kind="stable")
        of_body, of_throat = np.zeros(n), np.zeros(len(flow))  # erosion of deposits without a limit
        if laws.erosion.rate > 0:
            capacity = self.structure.layers.capacity
            shear, room = np.empty(n), (capacity - volume) * (self.structure.pore_volume / float(capacity.sum()))
            shear[self.order] = body_shear(self.graph, flow, conductance, room[self.order])
            of_body = laws.erosion.of(shear) * area
            of_throat = laws.erosion.of(throat_shear(flow, self.area, self.closing, thickness, laws.exponent))
        present, present_in_throat = (x / max(duration, _SHORTEST) for x in (self.volume, self.thickness))
        concentration, removed, eroded, imbalance = np.empty(n_species), 0.0, np.zeros(n), 0.0
        species = range(n_species)
        for s in reversed(species) if laws.erosion.rate > 0 else species:  # eroded foulant joins the first one
            sink = uptake.affinity * uptake.body_rate[s] * area
            unit = uptake.affinity / uptake.fraction[s]  # of foulant, per volume of deposit
            returned = unit if s == 0 and laws.erosion.returned else 0.0
            c, upstream, back, passed, fed = mix_foulant(
                self.graph,
                flow,
                order,
                *(x[self.order] for x in (sink, returned * of_body, returned * (body + present))),
            )
            mixed, detached = np.empty(n), np.empty(n)
            mixed[self.order], detached[self.order] = c, back
            throat_rate = uptake.wall_rate[s] / (1.0 + uptake.throat_film[s] * self.closing)
            body += uptake.fraction[s] * uptake.body_rate[s] * area * mixed
            growth += uptake.fraction[s] * throat_rate * upstream
            concentration[s] = passed / fed
            taken_up = float((sink * mixed).sum() - detached.sum())
            imbalance = max(imbalance, abs(fed - passed - taken_up) / fed)
            removed += uptake.fraction[s] * (fed - passed) / uptake.affinity
            eroded += detached / unit
        if not laws.erosion.returned:
            eroded = np.minimum(of_body, body + present)
        fastest = max(
            float(growth.max(initial=0.0)),
            laws.erosion.fastest(of_throat, growth + present_in_throat),
            laws.erosion.fastest(of_body, body + present, area),
        )
        growth_of_bodies, growth_of_throats = body - eroded, growth - np.minimum(of_throat, growth + present_in_throat)
        return _Rates(
            total, pressure, concentration, growth_of_bodies, growth_of_throats, float(body.sum()), removed, imbalance,
            fastest,
        )  # fmt: skip

    def time_step(self, rates: _Rates, remaining: float) -> float:
        """Time in which no deposit grows, or is eroded, by more than the step of the laws."""
        fastest = rates.fastest
        return min(self.laws.step * self.median_radius / fastest, remaining) if fastest > 0 else remaining

    def deposit(self) -> np.ndarray:
        """Volume of the deposit in each bin of the depth."""
        return product(self.volume, self.structure.depth_fraction)

    def open_throats(self) -> int:
        """Number of throats that carried flow in the clean structure and are not closed."""
        thickness = self.narrowing(self.volume, self.thickness)
        return int((self.carries_flow & (thickness < self.closing) & (self.factor > 0)).sum())


@dataclass
class _Particles:
    """Particles that arrive one by one and block throats."""

    law: KernelParticles
    n_arrivals: int = 0
    n_passed: int = 0
    n_blocked: int = 0

    def __post_init__(self) -> None:
        self.stream = RandomStream(np.array([self.law.key], np.uint64))

    def advance(self, state: _Filter, rates: _Rates, duration: float) -> tuple[float, float | None]:
        """Let particles arrive for a time step, with the deposits of its beginning.

        Returns
        -------
        jump : float
            What the changes of the flow add to its integral: by the trapezoidal rule, or until the last path is blocked
            to that of the flow at the beginning of the step.
        blocked : float or None
            Time after the beginning of the step at which the last path is blocked.
        """
        elapsed, flow = 0.0, rates.flow
        changes: list[tuple[float, float]] = []  # of the flow, and their times
        thickness = state.narrowing(state.volume, state.thickness)
        conductance = state.conductance(thickness)
        radii = np.where(state.is_throat, state.catch - thickness, math.inf)[None]
        state.solve(conductance)
        while True:
            intensity = self.law.rate * (state.operating_flow(flow) if self.law.by_volume else 1.0)
            elapsed += draw_waiting_time(self.stream) / intensity
            if elapsed >= duration:
                return sum(change * (0.5 * duration - at) for change, at in changes), None
            self.n_arrivals += 1
            if self.n_arrivals > _MAX_PARTICLES:
                raise PhysicsError(f"more than {_MAX_PARTICLES:,} particles arrive in a life; lower sieving.rate")
            radius = self.law.radius * draw_size(self.stream, self.law.code, self.law.scale, self.law.slope)
            entry = catching_entry(
                state.graph, state.outlets_of, conductance, state.pressures, radii, radius, self.stream
            )
            if entry < 0:
                self.n_passed += 1
                continue
            self.n_blocked += 1
            state.factor[entry] *= self.law.residual
            conductance = state.conductance(thickness)
            before, flow = flow, state.solve(conductance)
            if state.laws.flux is None:
                changes.append((flow - before, elapsed))
            if not flow > 0:
                return sum(change * (elapsed - at) for change, at in changes), elapsed


def simulate_structure(structure: FilterStructure, laws: StructureLaws, key: int = 0) -> StructureHistory:
    """Simulate the fouling of a clean structure until the end of its life.

    Parameters
    ----------
    structure : FilterStructure
        The clean structure.
    laws : StructureLaws
        Uptake by the walls, operation and end of life.
    key : int
        Key of the random numbers of the particles.

    Returns
    -------
    StructureHistory

    Raises
    ------
    PhysicsError
        If no path leads through the network, the pressures do not converge, or the life does not end.

    Notes
    -----
    Midpoint rule: the rates in the middle of a step change the volumes of the deposits in the bodies and their
    thicknesses in the throats. A step ends early where it would overfill a pore body. The volume, not the thickness, is
    integrated, so that the deposit is the foulant that the stream loses. With erosion that is not returned it is less.
    """
    state = _Filter(structure, laws)
    sieving = kernel_particles(FoulingLaws(sieving=laws.sieving), key)
    particles = _Particles(sieving) if sieving else None
    rates = state.rates(state.volume, state.thickness, math.inf)
    capacity = structure.layers.capacity
    records = [_record(state, rates, 0.0, 0.0, np.zeros(len(rates.concentration)))]
    removed = taken_up = 0.0
    imbalance = rates.imbalance
    cause = PRESSURE_LIMIT if rates.pressure >= laws.pressure_limit else -1
    for _ in range(_MAX_STEPS):
        if cause >= 0:
            counts = (particles.n_arrivals, particles.n_passed, particles.n_blocked) if particles else (0, 0, 0)
            deposited = float(state.volume.sum())
            removed = removed if removed > _MIN_REMOVED * taken_up else 0.0
            return StructureHistory(records, cause, state.target, deposited, removed, imbalance, *counts)
        time = records[-1].time
        duration = state.time_step(rates, laws.end_time - time)
        if math.isinf(duration):
            raise PhysicsError("nothing is deposited, so that the life does not end; set end_of_life.time")
        if rates.is_balanced and math.isinf(laws.end_time) and particles is None:
            message = "erosion takes all that is deposited, so that the life does not end; set end_of_life.time"
            raise PhysicsError(message)
        middle = _middle(state, rates, capacity, duration)
        while not middle.flow > 0:  # the last path would close
            duration *= 0.5
            middle = _middle(state, rates, capacity, duration)
        with np.errstate(divide="ignore", invalid="ignore"):
            until_full = np.where(middle.body_growth > 0, (capacity - state.volume) / middle.body_growth, math.inf)
        duration = min(duration, float(until_full.min()))
        jump, blocked = particles.advance(state, rates, duration) if particles else (0.0, None)
        if blocked is not None:
            duration, cause = blocked, BLOCKED
        grown = np.maximum(state.volume + duration * middle.body_growth, 0.0)
        state.volume = np.where(duration >= until_full, capacity, np.minimum(grown, capacity))
        state.thickness = np.maximum(state.thickness + duration * middle.throat_growth, 0.0)
        removed += duration * middle.removed
        taken_up += duration * middle.taken_up
        before, rates = rates, state.rates(state.volume, state.thickness, duration)
        imbalance = max(imbalance, middle.imbalance, rates.imbalance)
        end = before if blocked is not None else rates  # the flow stops at the instant of the event
        volume, passed = _integrals(state, records[-1], end, duration, jump)
        records.append(_record(state, rates, time + duration, volume, passed))
        if cause >= 0:
            continue
        if laws.flux is not None and rates.pressure >= laws.pressure_limit:
            cause = PRESSURE_LIMIT
        elif laws.flux is None and rates.flow <= laws.flux_fraction * records[0].flow:
            cause = FLUX_FRACTION
        elif records[-1].time >= laws.end_time:
            cause = TIME
    raise PhysicsError(f"the life did not end within {_MAX_STEPS:,} time steps; set end_of_life.time")


def _middle(state: _Filter, rates: _Rates, capacity: np.ndarray, duration: float) -> _Rates:
    """Rates in the middle of a time step."""
    volume = np.clip(state.volume + 0.5 * duration * rates.body_growth, 0.0, capacity)
    thickness = np.maximum(state.thickness + 0.5 * duration * rates.throat_growth, 0.0)
    return state.rates(volume, thickness, duration)


def _record(state: _Filter, rates: _Rates, time: float, volume: float, passed: np.ndarray) -> Record:
    return Record(
        time, rates.flow, rates.pressure, rates.concentration, volume, passed, state.deposit(), state.open_throats()
    )


def _integrals(state: _Filter, before: Record, after: _Rates, duration: float, jump: float) -> tuple[float, np.ndarray]:
    """Filtrate, and foulant in it, at the end of a step: the trapezoidal rule, with jumps of the flow."""
    first, second = state.operating_flow(before.flow), state.operating_flow(after.flow)
    concentration = np.where(np.isnan(after.concentration), before.concentration, after.concentration)
    volume = before.volume + 0.5 * duration * (first + second) + jump
    foulant = 0.5 * duration * (first * before.concentration + second * concentration)
    return volume, before.passed + foulant + jump * before.concentration


@kernel
def entry_flows(graph: FlowGraph, conductance: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Flow of every entry, positive downwards."""
    flow = np.zeros(conductance.size)
    pore_flows(graph, conductance, pressure, flow)
    return flow


@kernel
def draw_waiting_time(stream: RandomStream) -> float:
    """Draw an exponential number of mean 1."""
    return waiting_time(stream)


@kernel
def draw_size(stream: RandomStream, code: int, scale: float, slope: float) -> float:
    """Draw the radius of a particle over the mean one."""
    return spread_factor(random_bits(stream), code, scale, slope)


@kernel
def catching_entry(
    graph: FlowGraph, outlets_of: tuple[np.ndarray, np.ndarray], conductance: np.ndarray, pressure: np.ndarray,
    radii: np.ndarray, particle_radius: float, stream: RandomStream,
) -> int:  # fmt: skip
    """Entry of the throat that catches a particle which follows the flow; negative for none."""
    return int(follow_flow(graph, outlets_of, conductance, pressure, radii, particle_radius, stream))
