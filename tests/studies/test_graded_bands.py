"""Graded study with a porosity and a largest pore length for each band, and with negative gradients."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.study_file import parse_study, to_yaml
from membrane_dask.yaml_files import parse_yaml

TINY = {
    "kind": "graded",
    "name": "bands",
    "gradient": 0.0,
    "realizations": 2,
    "porosity": 0.3,
    "cluster": {"profile": "sync"},
}


def study_with(**settings):
    return parse_study(TINY | settings)


def test_equal_values_by_band_give_the_networks_of_one_value(tmp_path, values_of):
    one = md.run(study_with(), tmp_path / "one")
    each = md.run(study_with(porosity=[0.3] * 4, band_l_max=[0.2] * 4), tmp_path / "each")
    assert values_of(one) == values_of(each)


def test_bands_with_short_pores_have_more_of_them(tmp_path):
    run = md.run(study_with(band_l_max=[0.2, 0.2, 0.15, 0.1], porosity=[0.35, 0.3, 0.3, 0.2]), tmp_path / "run")
    table = run.result["graded"]
    assert table.l_max.values.tolist() == [0.2]  # the largest one
    np.testing.assert_allclose(
        run.result["graded/history"].band_porosity.isel(time=0, deposition=0).values.reshape(-1, 4),
        [[0.35, 0.3, 0.3, 0.2]] * 2,
        rtol=0.005,
    )
    assert (table.band_coordination_number.values[..., 3] < table.band_coordination_number.values[..., 0]).all()


def test_widening_pores_are_noted_in_plan_and_result(tmp_path):
    study = study_with(gradient=[-1e-3, 0.0])
    assert [text for name, text in md.plan(study).rows() if name == "note"] == [
        "pores widen with depth at gradient -0.001 membrane thicknesses per band: the "
        "narrowest ones are at the feed side and close first"
    ]
    run = md.run(study, tmp_path / "run")
    assert any("pores widen with depth" in text for name, text in run.rows() if name == "finding")
    # The radius of the first band, to the step at which it is closed.
    np.testing.assert_allclose(run.result["graded"].lifetime.values.ravel(), [0.0085] * 2 + [0.01] * 2, rtol=1e-12)
    assert not md.plan(study_with()).program.summary


def test_lengths_by_band_survive_the_study_file():
    study = study_with(band_l_max=[0.2, 0.15, 0.1, 0.1], porosity=[0.4, 0.3, 0.3, 0.2])
    again = parse_study(parse_yaml(to_yaml(study))[0])
    assert again == study
    assert again.identity() == study.identity()
    assert study_with(porosity=[0.3]).identity() == study_with(porosity=0.3).identity()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"porosity": [0.7, 0.6]}, "porosity: must have one value, or one for each of the 4 bands"),
        ({"porosity": [0.7, 0.6, 1.0, 0.5]}, "porosity.2: must be less than 1"),
        ({"porosity": [0.5, 0.5, 1e-5, 0.5]}, "porosity: cannot be reached .* junctions in band 3"),
        ({"porosity": [0.5, 0.5, 0.5, 1e-5]}, "porosity: cannot be reached .* a porosity of 1e-05 .* in band 4"),
        ({"band_l_max": [0.2, 0.2, 0.15]}, "band_l_max: must have one value for each of the 4 bands"),
        ({"band_l_max": [0.3, 0.2, 0.2, 0.2]}, "band_l_max.0: must be at most 1/bands = 0.25"),
        ({"band_l_max": [0.2, 0.2, 0.2, 0.05]}, "band_l_max.3: must be greater than l_min"),
        ({"band_l_max": [0.2, 0.2, 0.2, 0.1], "l_max": [0.1, 0.2]}, "l_max: is given by band_l_max"),
        ({"band_l_max": ["a", 0.2, 0.2, 0.1]}, "band_l_max.0: must be a number"),
        ({"gradient": [-7e-3]}, "gradient.0: must be greater than -0.00666667"),
        ({"radius": [0.002, 0.01, 0.01, 0.01], "gradient": -2e-3}, "must be greater than -0.00133333"),
        ({"gradient": -4e-3, "time_step": 3e-3}, "the narrowest pores, of radius 0.004, must take at least two steps"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid_bands(settings, message):
    with pytest.raises(md.StudyError, match=message):
        md.plan(study_with(**settings))
