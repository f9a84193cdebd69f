"""Mercury intrusion from coarse, printed readings."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.mercury import evaluate_intrusion, throat_radius

PRESSURES = np.geomspace(5e3, 2e8, 40)  # 0.05 to 2000 bar
TOTAL = 1.1e-3  # m3/kg: 1.1 mL/g


def printed_volume(pressures=PRESSURES, median=0.4e-6, width=0.3, total=TOTAL) -> np.ndarray:
    """Volume behind log-normal throats, printed to 0.0001 mL/g."""
    fraction = normal_cdf((math.log(median) - np.log(throat_radius(pressures))) / width)
    return 1e-3 * np.round(1e3 * total * fraction, 4)


def test_washburn_diameter_at_one_megapascal():
    assert 2e6 * throat_radius(1e6) == pytest.approx(1.486126, rel=1e-6)


def test_coarse_steps_give_median_and_volume():
    """Steps of 31 % in pressure; interpolation in the logarithm leaves 2 % of the radius."""
    intrusion = evaluate_intrusion(PRESSURES, printed_volume())
    assert intrusion.median_radius.value == pytest.approx(0.4e-6, rel=0.02)
    assert intrusion.median_radius.low < 0.4e-6 < intrusion.median_radius.high
    assert intrusion.median_radius.high / intrusion.median_radius.low == pytest.approx(
        PRESSURES[1] / PRESSURES[0], rel=1e-9
    )
    assert intrusion.total_volume == pytest.approx(TOTAL, rel=1e-12)
    assert math.isnan(intrusion.porosity)
    assert math.isnan(intrusion.trapped_fraction)
    assert intrusion.findings == ()
    assert (np.diff(intrusion.radius) < 0).all()


def test_a_reading_of_half_the_volume_is_the_median():
    intrusion = evaluate_intrusion(np.array([1e5, 2e5, 4e5]), np.array([0.0, 5e-4, 1e-3]))
    assert intrusion.median_radius.value == pytest.approx(throat_radius(2e5), rel=1e-12)


def test_porosity_of_a_skeleton():
    """1.1 mL/g in a solid of 1.78 g/mL."""
    intrusion = evaluate_intrusion(PRESSURES, printed_volume(), skeleton_density=1780.0)
    assert intrusion.porosity == pytest.approx(1.1 / (1.1 + 1 / 1.78), rel=1e-9)


def test_tension_and_angle_scale_the_radius_and_not_the_volume():
    first = evaluate_intrusion(PRESSURES, printed_volume())
    second = evaluate_intrusion(PRESSURES, printed_volume(), surface_tension=0.48, contact_angle=130.0)
    ratio = 0.48 * math.cos(math.radians(130)) / (0.485 * math.cos(math.radians(140)))
    assert second.median_radius.value == pytest.approx(ratio * first.median_radius.value, rel=1e-12)
    assert second.total_volume == first.total_volume


def test_the_extrusion_is_split_off():
    volume = printed_volume()
    pressure = np.concatenate([PRESSURES, PRESSURES[::-1][1:]])
    extrusion = np.linspace(volume[-1], 0.45 * volume[-1], 39)
    intrusion = evaluate_intrusion(pressure, np.concatenate([volume, extrusion]))
    alone = evaluate_intrusion(PRESSURES, volume)
    assert intrusion.median_radius == alone.median_radius
    assert intrusion.trapped_fraction == pytest.approx(0.45, rel=1e-9)


def test_gaps_between_pieces_are_excluded_from_the_lowest_pressure_on():
    """Gaps of 100 um hold a third of the mercury."""
    volume = printed_volume() + printed_volume(median=1e-4, width=0.2, total=0.55e-3)
    with_gaps = evaluate_intrusion(PRESSURES, volume)
    intrusion = evaluate_intrusion(PRESSURES, volume, lowest_pressure=6e4, skeleton_density=1780.0)
    assert with_gaps.median_radius.value > 1.2 * intrusion.median_radius.value
    assert intrusion.total_volume == pytest.approx(TOTAL, rel=1e-3)
    assert intrusion.median_radius.value == pytest.approx(0.4e-6, rel=0.02)
    late = evaluate_intrusion(PRESSURES[15:], volume[15:])
    assert any("gaps between pieces of the sample? lowest_pressure" in finding for finding in late.findings)
    with pytest.raises(
        PhysicsError, match=r"lowest_pressure: 1e\+04 bar is not between the first pressure \(0.05 bar\)"
    ):
        evaluate_intrusion(PRESSURES, volume, lowest_pressure=1e9)


def test_an_intrusion_that_is_not_complete_is_named():
    end = int(np.searchsorted(PRESSURES, 2e6))
    intrusion = evaluate_intrusion(PRESSURES[:end], printed_volume()[:end])
    assert any(finding.startswith("intrusion not complete: the last step adds") for finding in intrusion.findings)


def test_half_of_the_volume_at_the_first_pressure_gives_a_lower_bound():
    intrusion = evaluate_intrusion(np.array([1e6, 2e6]), np.array([0.9e-3, 1e-3]))
    assert math.isnan(intrusion.median_radius.value)
    assert intrusion.median_radius.low == pytest.approx(throat_radius(1e6))
    assert intrusion.median_radius.high == math.inf


def test_volumes_that_fall_and_pressures_out_of_order_are_refused_by_row():
    volume = printed_volume()
    volume[20] = 0.5 * volume[19]
    with pytest.raises(PhysicsError, match=r"row 22: the cumulative volume falls .* while the pressure rises"):
        evaluate_intrusion(PRESSURES, volume, rows=range(2, 42))
    pressure = PRESSURES.copy()
    pressure[5] = pressure[4]
    with pytest.raises(PhysicsError, match="reading 6: the pressure does not rise"):
        evaluate_intrusion(pressure, printed_volume())
    cycle = np.concatenate([PRESSURES, [1e6, 2e6]])
    with pytest.raises(PhysicsError, match="reading 42: the pressure rises again during the extrusion"):
        evaluate_intrusion(cycle, np.concatenate([printed_volume(), [1e-3, 1e-3]]))


def test_impossible_input_is_refused_together():
    with pytest.raises(PhysicsError) as failure:
        evaluate_intrusion(
            np.array([0.0, 1e5]), np.array([0.0, -1e-4]), contact_angle=60.0, surface_tension=0.0, skeleton_density=-1.0
        )
    for text in (
        "reading 1: the pressure must be above 0", "reading 2: the volume is below 0 (-0.1 mL/g)",
        "surface tension: above 0",
        "contact angle: above 90 and up to 180 degrees (got 60)", "skeleton density: above 0 (got -1)",
    ):  # fmt: skip
        assert text in str(failure.value)
    with pytest.raises(PhysicsError, match="no volume is intruded"):
        evaluate_intrusion(np.array([1e5, 2e5]), np.zeros(2))
    with pytest.raises(PhysicsError, match="at least two pressures"):
        evaluate_intrusion(np.array([1e5]), np.zeros(1))
    with pytest.raises(PhysicsError, match="1 volumes for 2 pressures"):
        evaluate_intrusion(np.array([1e5, 2e5]), np.zeros(1))
    with pytest.raises(PhysicsError, match="reading 2: the volume is nan, not a number"):
        evaluate_intrusion(np.array([1e5, 2e5]), np.array([0.0, np.nan]))


def test_shared_table_in_the_manner_of_an_instrument(shared):
    """An independent implementation gives 0.801667 um; the table was made with 0.80 um."""
    path = shared / "data" / "bench" / "S36_mercury.csv"
    if not path.is_file():
        pytest.skip(f"reference data not found: {path} does not exist")
    rows = np.array(list(csv.reader(path.read_text("utf-8").splitlines()))[3:], float)
    intrusion = evaluate_intrusion(rows[:, 0] * 6894.757, rows[:, 2] * 1e-3)
    assert 2e6 * intrusion.median_radius.value == pytest.approx(0.801667, rel=1e-4)
    assert 1e3 * intrusion.total_volume == pytest.approx(1.1, rel=1e-9)
