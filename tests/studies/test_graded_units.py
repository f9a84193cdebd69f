"""Graded study in physical units: the four parameters, the variables that they give, and implausible filters."""

from __future__ import annotations

import math

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.networks.filter_units import FilterUnits
from membrane_dask.studies.graded.law_settings import fouling_laws
from membrane_dask.studies.graded.physical_units import PHYSICAL_VARIABLES
from membrane_dask.study_file import to_yaml

TINY = (
    "kind: graded\nl_max: 0.25\ngradient: [0, 2e-3]\nrealizations: 2\nporosity: 0.2\nporosity_tolerance: 0.02\n"
    "time_step: 5e-4\ndeposition: [5e-7, 1e-6]\ncluster: {profile: sync}\n"
)
UNITS = {"thickness": "100 um", "pressure": "1 bar", "viscosity": "1 mPa s", "foulant_volume_fraction": 1e-4}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def plain(study, tmp_path_factory):
    return md.run(study, tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def physical(study, tmp_path_factory):
    return md.run(md.load_study(study, **UNITS), tmp_path_factory.mktemp("physical") / "run")


def test_scales_of_the_reference_filter():
    """Filter of 15,697 pores at 1 bar: flux 71,099 LMH, 269.41 L m-2 in 0.011556 h (printed digits)."""
    units = FilterUnits(thickness=1e-4, pressure=1e5, viscosity=1e-3, foulant_volume_fraction=1e-4)
    assert units.permeate_flux(5.0292026308e-6) == pytest.approx(71_099, abs=0.5)
    assert units.filtrate_volume(0.0428772459999) == pytest.approx(269.41, abs=0.005)
    assert units.hours(0.013, 5e-7) == pytest.approx(0.011556, abs=5e-7)
    assert units.permeate_flux(1.0) == pytest.approx(1.413717e10, rel=5e-7)
    assert units.bar(5.0) == 5.0


def test_volume_is_the_integral_of_the_flux_over_time(physical):
    """The units of flux, time and volume agree with each other: the volume by the trapezoidal rule, to rounding."""
    graded, units = physical.result["graded"], physical.result["units"]
    flux = np.nan_to_num(graded["history/flux"].values) * float(units.flux_unit)
    step = float(graded["history/time"][1]) * units.time_unit.values
    volume = (flux[..., 1:] + flux[..., :-1]).sum(axis=-1) / 2 * step
    np.testing.assert_allclose(volume, graded.filtrate_volume.values, rtol=1e-12)


def test_units_change_no_other_value(plain, physical):
    """Variables in physical units exist only where the units are stated; all others are the same bits."""
    names = {variable.name for variable in PHYSICAL_VARIABLES} - {"pressure_limit_physical"}  # at constant flux
    before, after = plain.result["graded"].to_dataset(), physical.result["graded"].to_dataset()
    assert names <= set(after.data_vars)
    assert set(after.data_vars) - set(before.data_vars) == names
    assert "units" not in plain.result
    for name in before.data_vars:
        assert before[name].values.tobytes() == after[name].values.tobytes(), name
    assert after.service_time.attrs["units"] == "h"


@pytest.mark.parametrize("stated", [("thickness",), ("viscosity", "pressure"), tuple(UNITS)[:3], tuple(UNITS)[1:]])
def test_all_four_parameters_or_none(study, stated):
    settings = {name: UNITS[name] for name in stated}
    missing = next(name for name in UNITS if name not in stated)
    with pytest.raises(md.StudyError, match=f"state .*{missing}.* as well, or none"):
        md.load_study(study, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"foulant_volume_fraction": 1.0}, "foulant_volume_fraction: must be less than 1"),
        ({"thickness": "1 bar"}, "not a quantity in units like 'm'"),
        ({"pressure": 1.0}, "a number with a unit is needed"),
    ],
    ids=str,
)
def test_wrong_units_are_refused(study, settings, message):
    with pytest.raises(md.StudyError, match=message):
        md.load_study(study, **UNITS | settings)


def test_implausible_filters_are_reported(study, tmp_path):
    """Flux and life of a membrane of 1 cm at 100 bar, with the parameters that decide them."""
    settings = UNITS | {"thickness": "1 cm", "pressure": "100 bar", "foulant_volume_fraction": 0.1}
    run = md.run(md.load_study(study, gradient=0, realizations=1, **settings), tmp_path / "run")
    flux, life = run.result["units"].attrs["summary"]
    assert "thickness (10000 um)" in flux
    assert "pressure (100 bar)" in flux
    assert "foulant_volume_fraction (0.1)" in life
    shortest = float(run.result["graded"].service_time.min()) * 3600
    assert f"{shortest:.3g} s" in life
    assert math.isfinite(shortest)


def test_filters_of_the_bench_have_no_finding(physical):
    """A permeate flux below the limit: no finding."""
    assert float(physical.result["graded"].initial_permeate_flux.max()) < 1e6
    assert "summary" not in physical.result["units"].attrs


def test_pressure_limit_at_constant_flux(study, tmp_path):
    """The limit in bar, and the volume at a constant flux is the flux times the time."""
    operation = {"mode": "flux", "flux": "initial", "pressure_limit": 5}
    run = md.run(md.load_study(study, gradient=0, realizations=1, operation=operation, **UNITS), tmp_path / "run")
    graded = run.result["graded"]
    assert (graded.pressure_limit_physical == 5.0).all()
    expected = graded.service_time * graded.initial_permeate_flux
    np.testing.assert_allclose(graded.filtrate_volume.values, expected.values, rtol=1e-9)


# --- settings with units


def test_settings_with_units_are_those_without(study):
    """At 1 bar and 100 um: 50 LMH over 1.413717e10, 5 bar, 1.5 um; 20 h over 3200 s of a deposition of 5e-7."""
    laws = {
        "operation": {"mode": "flux", "flux": "50 LMH", "pressure_limit": "5 bar"},
        "end_of_life": {"time": "2 h"},
        "sieving": {"rate": 1e3, "particle_radius": "1500 nm"},
    }
    stated = md.load_study(study, deposition=5e-7, **UNITS, **laws)
    fouling = fouling_laws(stated)
    assert fouling.flux == pytest.approx(50 / 1.413717e10, rel=5e-7)
    assert fouling.pressure_limit == pytest.approx(5.0, rel=1e-12)
    assert fouling.end_time == round(2 * 3600 / 3200 / 5e-4)
    assert fouling.sieving.particle_radius == pytest.approx(0.015, rel=1e-12)
    notes = [text for name, text in md.plan(stated).rows() if name == "note"]
    assert "end_of_life.time 2 h is rounded to 4500 time steps, 2 h" in notes
    written = study.with_name("written.yaml")
    written.write_text(to_yaml(stated))
    again = md.load_study(written)
    assert again.identity() == stated.identity()
    assert fouling_laws(again) == fouling


def test_a_time_with_a_unit_is_that_of_the_mean_species(study):
    species = [{"deposition": 1e-7, "fraction": 0.5}, {"deposition": 9e-7, "fraction": 0.5}]
    path = study.with_name("species.yaml")
    path.write_text(study.read_text().replace("deposition: [5e-7, 1e-6]\n", ""))
    stated = md.load_study(path, species=species, end_of_life={"time": "2 h"}, **UNITS)
    assert fouling_laws(stated).end_time == round(2 * 3600 / 3200 / 5e-4)


@pytest.mark.parametrize(
    ("laws", "units", "message"),
    [
        ({"end_of_life": {"time": "10 h"}}, {}, "end_of_life.time: a quantity with a unit needs thickness, pressure"),
        ({"end_of_life": {"time": "10 h"}}, {"deposition": [5e-7, 1e-6]}, "needs a single deposition coefficient"),
        ({"end_of_life": {"time": "0.1 s"}}, UNITS, "less than half a time step"),
        ({"end_of_life": {"time": "10 bar"}}, UNITS, "end_of_life.time: not a quantity in units like 'h'"),
        ({"sieving": {"rate": 1.0, "particle_radius": "2 mm"}}, UNITS, "particle_radius: must be at most 1, .*got 20"),
        (
            {"operation": {"mode": "flux", "flux": "initial", "pressure_limit": "0.8 bar"}},
            UNITS,
            "pressure_limit: must be greater than 1 with flux: initial",
        ),
        (
            {"operation": {"mode": "flux", "flux": "first", "pressure_limit": 5}},
            UNITS,
            r"operation.flux: not a quantity .* example '50 LMH', or 'initial' \(got 'first'\)$",
        ),
        (
            {"operation": {"mode": "flux", "flux": [1], "pressure_limit": 5}},
            UNITS,
            r"operation.flux: a dimensionless number is needed, or a quantity such as '50 LMH', or initial \(got",
        ),
    ],
)
def test_settings_with_wrong_units_are_refused(study, laws, units, message):
    with pytest.raises(md.StudyError, match=message):
        md.load_study(study, **{"deposition": 5e-7, **units, **laws})
