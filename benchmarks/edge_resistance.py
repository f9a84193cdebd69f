"""Table of the resistance across an edge of voxels that are not cubes, computed again from Moffatt's flow.

    python benchmarks/edge_resistance.py [--ratios 11]

A solid fills the quadrant of negative x and y. Around its edge the stream function is r^(1 + a) times an even function
of the angle from the bisector, with sin(3 pi a / 2) = a, the smallest root of Moffatt's equation (H. K. Moffatt, J.
Fluid Mech. 18, 1, 1964): the velocity increases with r^a. The velocity u along x at the face (0, h_y / 2) has the
velocity 0 of a wall below it. The additional resistance R of the link to that wall, over 1 / h_y^2, balances the
discrete forces with the exact velocities at the faces and the exact pressures at the centres of the voxels:

    (u(h_x) + u(-h_x) - 2 u) / h_x^2 + (u(3 h_y / 2) - 2 u - R u) / h_y^2 = (p(h_x / 2) - p(-h_x / 2)) / (mu h_x)

The resistance is printed for all ratios h_x / h_y of the table in ``membrane_dask.physics.stokes.edge_resistance``,
over that of cubes; a negative one is replaced by 0. The package multiplies the resistance of cubes for velocities that
are means over the faces by these ratios, which are those for velocities at the middle of the faces: the last column has
the ratios for means.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from _common import argument_parser
from scipy.optimize import brentq

from membrane_dask.physics.stokes import edge_resistance

#: Angle from the bisector of the liquid to the walls.
HALF_ANGLE = 3 * math.pi / 4
#: Exponent of the velocity.
EXPONENT = float(brentq(lambda a: math.sin(2 * HALF_ANGLE * a) - a, 0.4, 0.7))
#: Points of a face, for the mean velocity.
FACE_POINTS = 4000
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


def resistance(ratio: float, face: Callable[[float, float], float]) -> float:
    """Additional resistance for voxels whose edge along x is ``ratio`` times that along y; ``face`` is a velocity."""
    y, u = 0.5, face(0, 0.5)
    along = (face(ratio, y) + face(-ratio, y) - 2 * u) / (ratio * ratio)
    across = face(0, 1.5) - 2 * u
    drop = (pressure(ratio / 2, y) - pressure(-ratio / 2, y)) / ratio
    return (along + across - drop) / u


def main() -> None:
    """Print the table, and the largest difference from that of the package."""
    parser = argument_parser(__doc__)
    parser.add_argument("--ratios", type=int, default=len(edge_resistance._RATIOS), help="number of ratios")
    arguments = parser.parse_args()
    middle, mean = resistance(1.0, velocity), resistance(1.0, face_mean)
    print(f"exponent {EXPONENT:.4f}; resistance of cubes, velocities at the middle of the faces {middle:.4f}")
    print(f"means over the faces {mean:.4f}, in the package {edge_resistance._ACROSS}")
    print(f"{'h_x / h_y':>9}{'middle':>9}{'package':>9}{'means':>9}")
    differences = []
    rows = list(zip(edge_resistance._RATIOS, edge_resistance._ACROSS_BY_RATIO, strict=True))
    for ratio, stated in rows[: 2 if arguments.smoke else arguments.ratios]:
        value, of_means = (
            max(0.0, resistance(ratio, face) / each) for face, each in ((velocity, middle), (face_mean, mean))
        )
        differences.append(abs(value - stated))
        print(f"{ratio:9.3f}{value:9.3f}{stated:9.3f}{of_means:9.3f}", flush=True)
    print(f"largest difference {max(differences):.4f}")


if __name__ == "__main__":
    main()
