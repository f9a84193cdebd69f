"""Goodness of fit of whole reconstructions: tables, findings, report, and units."""

from __future__ import annotations

import re
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from scipy import ndimage

import membrane_dask as md
from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.reconstruction.goodness_of_fit import NOTHING_FLAGGED
from membrane_dask.physics.reconstruction.random_field import gaussian_field
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct.config import GoodnessOfFit
from membrane_dask.studies.reconstruct.fit import FitProgram
from membrane_dask.studies.reconstruct.fit_tasks import masked

DEPTH, WIDTH = 160, 224
#: Slope, or variation between strips, of which the slope explains more in some images than in others.
_GRADIENT = r"Porosity (rises|varies more along the width than in the model,) from 0\.\d\d to 0\.\d\d"
STUDY = """
kind: reconstruct
input: membrane.png
pixel_size: 3 nm
replicates: {replicates}
search: {{closing_radius: [0], roughness: [0]}}
volume: {{slices: 16, width: 64, block_size: 64}}
goodness_of_fit: {{sections: {sections}, refits: {refits}}}
cluster: {{profile: sync}}
"""


def micrograph(amplitude: float) -> np.ndarray:
    """Blurred and noisy section; the porosity rises from left to right by twice the amplitude."""
    model = Graded(knots=(0.0, 1.0), sigma=(1.9, 2.6), porosity=(0.5, 0.5))
    field = gaussian_field(model, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 1, WIDTH), seed=5)[0]
    solid = field >= normal_quantile(0.36 + amplitude * np.tanh(4 * np.linspace(-1, 1, WIDTH)))
    grey = ndimage.gaussian_filter(0.25 + 0.4 * solid, 0.8)
    grey += 0.04 * np.random.default_rng(2).standard_normal(grey.shape)
    return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def reconstruct(folder: Path, image: np.ndarray, text: str) -> md.Run:
    iio.imwrite(folder / "membrane.png", image)
    (folder / "study.yaml").write_text(text)
    return md.run(folder / "study.yaml", folder / "run")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A micrograph of the model, of which there are three replicates."""
    text = STUDY.format(replicates=3, sections=24, refits=3)
    return reconstruct(tmp_path_factory.mktemp("good"), micrograph(0.0), text)


def test_a_micrograph_of_the_model_is_not_flagged(good):
    fit = good.result["goodness_of_fit"].to_dataset().load()
    assert fit.attrs["summary"] == [NOTHING_FLAGGED]
    assert (fit.attrs["sections"], fit.attrs["replicates"], fit.attrs["significance"]) == (24, 3, 0.05)
    assert not fit.flagged.any()
    assert {"anisotropy", "voids by depth", "grey histogram", "noise", "objective"} <= set(fit.group.values.tolist())
    label = str(fit.statistic.values[0])
    assert label == "anisotropy: whole"
    deviation = (fit.observed - fit.predicted_mean) / fit.predicted_standard_deviation
    # Of some fifty statistics of a good image, the largest deviation is about 3, and 95 % lie within about 2.
    assert float(abs(deviation).quantile(0.9)) < 2.5
    assert ((fit.p_value >= 0) & (fit.p_value <= 1)).all()


def test_distance_distributions_with_envelopes(good):
    distances = good.result["distance_distributions"].to_dataset().load()
    for name in ("micrograph", "best_match", "envelope_low", "envelope_high"):
        values = distances[name]
        assert values.dims == ("phase", "section", "distance")
        assert (values.diff("distance") >= -1e-12).all()
        assert float(values.isel(distance=0).max()) == 0
        assert float(values.max()) <= 1 + 1e-12
    assert (distances.envelope_low <= distances.envelope_high).all()
    inside = (distances.micrograph >= distances.envelope_low) & (distances.micrograph <= distances.envelope_high)
    assert float(inside.mean()) > 0.7  # of 90 % of sections at each distance, which are not independent


def test_the_report_and_the_printed_run_begin_with_the_finding(good):
    text = md.write_report(good).read_text(encoding="utf-8")
    assert f'<p class="result">{NOTHING_FLAGGED}</p>' in text.split("<h2>")[0]
    assert 'class="note"' not in text  # a good fit is no warning
    section = text.split("<h2>Goodness of fit</h2>")[1].split("<h2>")[0]
    assert "24 sections of 3 replicates" in section
    assert section.count("<figure") == 1
    assert "5 to 95 % of sections" in section  # key of the band
    # The ten statistics that differ most; the others on request.
    shown, folded = section.split("<details>")
    assert shown.count("<tr>") == 11
    hidden = good.result["goodness_of_fit"].sizes["statistic"] - 10
    assert f"<summary>{hidden} more rows</summary>" in folded
    p_values = [float(p) for p in re.findall(r"</td><td>([^<]+)</td><td>[^<]*</td></tr>", section)]
    assert p_values == sorted(p_values)
    assert "anisotropy: whole" in section
    assert "rock" in section
    assert ("finding", NOTHING_FLAGGED) in good.rows()


def test_a_lateral_gradient_is_flagged_with_the_best_match_alone(tmp_path):
    run = reconstruct(tmp_path, micrograph(0.14), STUDY.format(replicates=1, sections=12, refits=0))
    fit = run.result["goodness_of_fit"].to_dataset().load()
    assert (fit.attrs["sections"], fit.attrs["replicates"], fit.attrs["significance"]) == (12, 1, 0.01)
    assert "objective" not in set(fit.group.values.tolist())
    assert re.search(_GRADIENT, str(run))


@pytest.mark.usefixtures("undrawn")
def test_the_intervals_of_a_misfit_have_no_confidence(tmp_path):
    run = reconstruct(tmp_path, micrograph(0.14), STUDY.format(replicates=4, sections=16, refits=0))
    text = md.write_report(run).read_text(encoding="utf-8")
    assert re.search(f'<p class="note">{_GRADIENT}', text.split("<h2>")[0])
    assert re.search(_GRADIENT, text.split("<h2>Goodness of fit</h2>")[1])
    assert "They do not have a confidence of 90%, as the micrograph differs from the model." in text
    assert "90% confidence intervals" not in text


def test_without_the_test_there_are_no_units_and_no_tables(tmp_path):
    text = STUDY.replace("{{sections: {sections}, refits: {refits}}}", "{{enabled: false}}").format(replicates=1)
    run = reconstruct(tmp_path, micrograph(0.0), text)
    assert not {"goodness_of_fit", "distance_distributions"} & set(run.result.children)
    assert not any(name == "finding" for name, _ in run.rows())


def test_pixels_outside_of_a_mask_are_alike_in_micrograph_and_sections():
    rng = np.random.default_rng(3)
    solid, grey, mask = rng.random((40, 50)) < 0.6, rng.random((40, 50)), rng.random((40, 50)) < 0.7
    filled, image = masked(solid, grey, mask)
    assert filled[~mask].all()
    assert (filled[mask] == solid[mask]).all()
    assert np.ptp(image[~mask]) == 0
    assert (image[mask] == grey[mask]).all()
    assert masked(solid, None, None) == (solid, None)


@pytest.mark.parametrize(
    ("replicates", "sections", "sources", "total"), [(1, 60, 1, 60), (2, 60, 1, 60), (5, 60, 5, 60), (20, 60, 8, 64)]
)
def test_sections_are_drawn_in_equal_numbers_from_up_to_eight_replicates(replicates, sections, sources, total):
    fit = FitProgram(GoodnessOfFit(sections=sections, refits=4), replicates, True, (1, 2, 0, 3))
    units = fit.units([{"kind": "Graded"}] * replicates)
    drawn = [unit for unit in units if unit.task == "fit_sections"]
    assert sum(unit.params["sections"] for unit in drawn) == total
    assert {unit.index[0] for unit in drawn} == set(range(sources))
    assert len(units) - len(drawn) == 4
    assert len({unit.seed for unit in units}) == len(units) == len({unit.key for unit in units})
    assert np.max([unit.index for unit in drawn], axis=0).tolist() == [n - 1 for n in fit.scratch[0].unit_shape]
    assert not FitProgram(GoodnessOfFit(enabled=False), 3, True, (1,)).units([{}] * 3)
