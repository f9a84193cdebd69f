"""Table of the resistance across an edge of voxels that are not cubes, computed again from exact flows.

    python benchmarks/edge_resistance.py [--ratios 11]

A solid fills the quadrant of negative x and y. Around its edge the stream function is r^(1 + a) times an even function
of the angle from the bisector, with sin(3 pi a / 2) = a, the smallest root of Moffatt's equation (H. K. Moffatt, J.
Fluid Mech. 18, 1, 1964): the velocity increases with r^a. The velocity u along x at the face (0, h_y / 2) has the
velocity 0 of a wall below it. The additional resistance R of the link to that wall, over 1 / h_y^2, balances the
discrete forces with the exact velocities, means over the faces, and the exact pressures at the centres of the voxels:

    (u(h_x) + u(-h_x) - 2 u) / h_x^2 + (u(3 h_y / 2) - 2 u - R u) / h_y^2 = (p(h_x / 2) - p(-h_x / 2)) / (mu h_x)

Of voxels that are flat along the velocity, h_x < h_y, the flow around the edge extends over more than one face. Their
resistance is that with which the permeability of an array of square blocks, which fill a quarter of a square cell,
agrees with that of fine cubes; the velocity along y has the resistance of the balance. Printed are, by the ratio
h_x / h_y, the resistances over that of cubes by the balance and by the flow, the value in
``membrane_dask.physics.stokes.edge_resistance``, and the errors of the permeability of the array with the resistances
of the balance and with those of the package, for a flow along the short and along the long edge of the voxels. The
long edge is an eighth of the gap between the blocks.
"""

from __future__ import annotations

import math

import numpy as np
from _common import argument_parser
from scipy.optimize import brentq

from membrane_dask.physics.stokes import edge_resistance
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes

#: Angle from the bisector of the liquid to the walls.
HALF_ANGLE = 3 * math.pi / 4
#: Exponent of the velocity.
EXPONENT = float(brentq(lambda a: math.sin(2 * HALF_ANGLE * a) - a, 0.4, 0.7))
#: Points of a face, for the mean velocity.
FACE_POINTS = 4000
#: Steps to the resistance of an exact flow.
SECANT_STEPS = 3
#: Coefficient of the second term of the stream function, for which it is 0 at the walls.
SECOND = -math.cos((EXPONENT + 1) * HALF_ANGLE) / math.cos((EXPONENT - 1) * HALF_ANGLE)


def polar(x: float, y: float) -> tuple[float, float]:
    """Distance from the edge, and angle from the bisector."""
    return math.hypot(x, y), math.atan2(y, x) - math.pi / 4


def velocity(x: float, y: float) -> float:
    """Velocity along x, the derivative of the stream function along y."""
    r, phi = polar(x, y)
    n, m = EXPONENT + 1, EXPONENT - 1
    value = math.cos(n * phi) + SECOND * math.cos(m * phi)
    slope = -n * math.sin(n * phi) - SECOND * m * math.sin(m * phi)
    theta = phi + math.pi / 4
    return r**EXPONENT * (n * value * math.sin(theta) + slope * math.cos(theta))


def pressure(x: float, y: float) -> float:
    """Pressure over the viscosity: the harmonic function conjugate to the vorticity."""
    r, phi = polar(x, y)
    m = EXPONENT - 1
    return -4 * EXPONENT * SECOND * r**m * math.sin(m * phi)


def face_mean(x: float, y: float) -> float:
    """Mean of the velocity along x over a face of height 1 with its middle at ``y``."""
    return math.fsum(velocity(x, y - 0.5 + (k + 0.5) / FACE_POINTS) for k in range(FACE_POINTS)) / FACE_POINTS


def resistance(ratio: float) -> float:
    """Additional resistance by the balance, for voxels whose edge along x is ``ratio`` times that along y."""
    y, u = 0.5, face_mean(0, 0.5)
    along = (face_mean(ratio, y) + face_mean(-ratio, y) - 2 * u) / (ratio * ratio)
    across = face_mean(0, 1.5) - 2 * u
    drop = (pressure(ratio / 2, y) - pressure(-ratio / 2, y)) / ratio
    return (along + across - drop) / u


def array_permeability(n_z: int, n_x: int) -> float:
    """Permeability along z of an array of blocks whose square cell, of edge 1, has ``n_z`` by ``n_x`` voxels."""
    z, x = ((np.arange(n) + 0.5) / n - 0.5 for n in (n_z, n_x))
    pores = ~((abs(z) < 0.25)[:, None] & (abs(x) < 0.25))[:, None]
    edge = 1 / max(n_z, n_x)
    grid = Grid.of(pores, "periodic", "staircase", (1 / n_z / edge, 1.0, 1 / n_x / edge))
    return stokes(grid, 1e-4, max_iterations=200).permeability * edge * edge


def array_errors(n: int, ratio: float, exact: float, resistances: dict[float, float]) -> tuple[float, float]:
    """Relative errors of the permeability along the short and along the long edge, with ``n`` voxels of the latter.

    ``resistances`` are those of the ratio and of its inverse, over that of cubes.
    """
    ratios = sorted(resistances)
    of_package = edge_resistance._RATIOS, edge_resistance._ACROSS_TIMES_RATIO
    edge_resistance._RATIOS = tuple(ratios)
    edge_resistance._ACROSS_TIMES_RATIO = tuple(r * resistances[r] for r in ratios)
    try:
        short = round(n / ratio)
        return array_permeability(short, n) / exact - 1, array_permeability(n, short) / exact - 1
    finally:
        edge_resistance._RATIOS, edge_resistance._ACROSS_TIMES_RATIO = of_package


def resistance_by_flow(n: int, ratio: float, exact: float, balance: float, inverse: float) -> float:
    """Resistance over that of cubes with which the flow along the short edge is exact, by the secant method."""
    values = [balance, 1 / ratio]
    errors = [array_errors(n, ratio, exact, {ratio: value, 1 / ratio: inverse})[0] for value in values]
    for _ in range(SECANT_STEPS):
        (a, b), (error_a, error_b) = values[-2:], errors[-2:]
        values.append(b - error_b * (b - a) / (error_b - error_a))
        errors.append(array_errors(n, ratio, exact, {ratio: values[-1], 1 / ratio: inverse})[0])
    return values[-1]


def main() -> None:
    """Print the table, and the largest difference from that of the package."""
    parser = argument_parser(__doc__)
    parser.add_argument("--ratios", type=int, default=len(edge_resistance._RATIOS), help="number of ratios")
    arguments = parser.parse_args()
    rows = list(zip(edge_resistance._RATIOS, edge_resistance._ACROSS_TIMES_RATIO, strict=True))
    n = 32
    if arguments.smoke:
        rows, n = rows[3:4], 8
    cubes = resistance(1.0)
    print(f"exponent {EXPONENT:.4f}; resistance of cubes {cubes:.4f}, in the package {edge_resistance._ACROSS}")
    coarse, fine = array_permeability(2 * n, 2 * n), array_permeability(4 * n, 4 * n)
    exact = fine + (fine - coarse) / 3
    print("permeability of the array of blocks: error of cubes "
          f"{100 * (array_permeability(n, n) / exact - 1):.2f} %")  # fmt: skip
    print(f"{'h_x / h_y':>9}{'balance':>9}{'flow':>9}{'package':>9}   errors in %: balance, package", flush=True)
    differences = []
    for ratio, product in rows[: arguments.ratios]:
        balance, stated = max(0.0, resistance(ratio) / cubes), product / ratio
        if ratio >= 1:
            differences.append(abs(balance - stated))
            print(f"{ratio:9.3f}{balance:9.3f}{'':9}{stated:9.3f}", flush=True)
            continue
        inverse = max(0.0, resistance(1 / ratio) / cubes)
        by_flow = resistance_by_flow(n, ratio, exact, balance, inverse)
        differences.append(abs(by_flow - stated))
        errors = [
            f"{100 * error:+.2f}"
            for value in (balance, stated)
            for error in array_errors(n, ratio, exact, {ratio: value, 1 / ratio: inverse})
        ]
        print(f"{ratio:9.3f}{balance:9.3f}{by_flow:9.3f}{stated:9.3f}   {', '.join(errors)}", flush=True)
    print(f"largest difference {max(differences):.4f}")


if __name__ == "__main__":
    main()
