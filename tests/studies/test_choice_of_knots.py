"""Knots of the best match where the micrograph leaves several sets likely."""

from __future__ import annotations

import imageio.v3 as iio
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct import observation
from membrane_dask.studies.reconstruct.program import ReconstructProgram

LINE, THREE = (0.0, 1.0), (0.0, 0.3, 1.0)
#: Skin on a coarse support: its profile has a kink.
KINKED = Graded(knots=THREE, sigma=(1.3, 3.4, 3.4), porosity=(0.34,) * 3)
STRAIGHT = Graded(knots=LINE, sigma=(1.4, 3.2), porosity=(0.34, 0.38))


@pytest.mark.parametrize(
    ("structure", "weights", "first"),
    [
        (KINKED, {LINE: 0.55, THREE: 0.45}, THREE),
        (STRAIGHT, {LINE: 0.55, THREE: 0.45}, LINE),
        (KINKED, {LINE: 0.97, THREE: 0.03}, LINE),
    ],
    ids=["the match decides", "no more than needed", "unlikely sets are not compared"],
)
def test_of_likely_sets_of_knots_the_better_match_is_first(structure, weights, first, tmp_path, monkeypatch):
    """Their weights for the other replicates remain."""
    monkeypatch.setattr(observation, "weigh_knots", lambda *_arguments: dict(weights))
    image = GradedMembrane(structure=structure, depth=160, slices=4, width=256, seed=12).micrograph()
    iio.imwrite(tmp_path / "membrane.png", image)
    path = tmp_path / "study.yaml"
    path.write_text("kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nvolume: {slices: 32}\n")
    plan = ReconstructProgram(md.load_study(path))
    assert plan._observation.knot_sets == weights
    assert next(iter(plan._observation.knot_sets)) == first
    assert plan.context["fit_knots"] == [first]
