"""Tables of properties with intervals: reference, quantiles, infinite values, and independent searches."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES
from membrane_dask.schema import Coordinate
from membrane_dask.studies.characterize.property_intervals import (
    are_independent_searches,
    misses_exceed_chance,
    property_intervals,
    reference_coverage,
)
from membrane_dask.studies.characterize.variables import REPLICATE_TABLES

TABLE = REPLICATE_TABLES["properties"]
VALUES = {
    "porosity": [0.32, 0.30, 0.35, 0.33],
    "closed_porosity": [0.001, 0.0, 0.002, 0.0],
    "n_pores": [900, 950, 870, 920],
    "throat_radius_mean": [8.0, 8.4, 7.7, 8.1],
    "diffusion_flux_spread": [1e-4, 2e-4, 1e-4, 3e-4],
    "log_reduction_value": [2.0, np.inf, 3.0, 2.5],
}


def table(values: dict, dims: tuple[str, ...] = ("replicate",)) -> xr.Dataset:
    return xr.Dataset(
        {
            name: xr.Variable(dims, np.array(numbers, float), TABLE.variable(name).attributes())
            for name, numbers in values.items()
        }
    ).assign_coords({dim: np.arange(4) for dim in dims})


def test_rows_of_a_run_with_a_reference():
    reference = table({name: numbers[0] for name, numbers in VALUES.items()}, ()).assign(throat_radius_mean=6.0)
    rows = {row.variable.name: row for row in property_intervals(table(VALUES), reference)}
    assert {name: row.contains_reference for name, row in rows.items()} == {
        "porosity": True, "closed_porosity": True, "n_pores": True, "throat_radius_mean": False,
        "diffusion_flux_spread": None, "log_reduction_value": None,
    }  # fmt: skip
    assert (rows["closed_porosity"].low, rows["closed_porosity"].high) == (0, 0.002)
    assert [name for name, row in rows.items() if row.quantiles] == ["closed_porosity"]
    assert (rows["log_reduction_value"].n_infinite, rows["log_reduction_value"].n_replicates) == (1, 4)
    assert reference_coverage(list(rows.values())) == (3, 4)
    unequal = property_intervals(table(VALUES), reference, equal_size=False)
    assert reference_coverage(unequal) == (2, 3)


def test_a_reference_misses_exceed_chance_beyond_two_standard_deviations():
    """Of 20 intervals two miss on average, with a standard deviation of 1.34."""
    assert [n for n in range(21) if misses_exceed_chance(20 - n, 20)] == list(range(5, 21))


def test_independent_searches_have_their_mean():
    searches = table(VALUES).assign_coords(replicate=("replicate", np.arange(4), {"design": INDEPENDENT_SEARCHES}))
    rows = property_intervals(searches, table({name: numbers[0] for name, numbers in VALUES.items()}, ()))
    assert reference_coverage(rows) == (0, 0)
    row = rows[0]
    assert row.value == pytest.approx(np.mean(VALUES["porosity"]))
    half = 1.96 * np.std(VALUES["porosity"], ddof=1) / 2
    assert (row.low, row.high) == pytest.approx((row.value - half, row.value + half), rel=1e-4)


def test_a_declared_coordinate_is_replaced():
    coordinate = Coordinate("replicate", "1", "number of the search", {"design": INDEPENDENT_SEARCHES})
    changed = TABLE.with_coordinate(coordinate)
    assert changed.coordinate("replicate").attributes()["design"] == INDEPENDENT_SEARCHES
    assert changed.variables == TABLE.variables
    assert "design" not in TABLE.coordinate("replicate").attributes()


@pytest.mark.usefixtures("undrawn")
def test_published_searches_remain_independent_from_run_to_run(tmp_path):
    """Reports of both runs say that intervals describe the search, and nothing on image or truth."""
    iio.imwrite(tmp_path / "membrane.png", GradedMembrane(depth=128, slices=4, width=160).micrograph())
    (tmp_path / "study.yaml").write_text(
        "kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nreplicates: 3\n"
        "search: {method: published, trials: 3, initial: 2, in_flight: 1}\nvolume: {slices: 24, width: 64}\n"
        "cluster: {profile: sync}\n"
    )
    run = md.run(tmp_path / "study.yaml", tmp_path / "published")
    structures = run.result["structures"].to_dataset().load()
    assert are_independent_searches(structures)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "Means of 3 independent searches" in text
    mean, half = float(structures.volume_porosity.mean()), 1.96 * float(structures.volume_porosity.std(ddof=1)) / 3**0.5
    assert f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]" in text  # two digits of the half-width
    assert "image is large enough" not in text
    assert "of images is needed" not in text
    (tmp_path / "properties.yaml").write_text(
        "kind: characterize\ninput: published\nreference: other.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
        "cluster: {profile: sync}\n"
    )
    other = gaussian_filter(np.random.default_rng(1).standard_normal((128, 24, 64)), 6) > -0.02
    np.save(tmp_path / "other.npy", np.where(other, 0, 255).astype(np.uint8))
    properties = md.run(tmp_path / "properties.yaml", tmp_path / "properties")
    assert are_independent_searches(properties.result["properties"].to_dataset())
    text = md.write_report(properties).read_text(encoding="utf-8")
    assert "independent searches of one image" in text
    assert "best match" not in text.split("<svg")[0]
    # Wide pores, unlike those of the micrograph: intervals of the mean of searches make no statement on them.
    assert "The reference lies outside" not in text
    assert not any(name == "finding" for name, _ in properties.rows())
