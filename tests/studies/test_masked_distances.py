"""A mask in the distance distributions of a reconstruction: pixels outside of it do not count."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane

TRUTH = GradedMembrane(depth=128, slices=4, width=160)
MASK = np.full((128, 160), 255, np.uint8)
MASK[30:60, 40:90] = MASK[90:120, 100:140] = 0


@pytest.fixture
def run(tmp_path):
    """``run(content)``: a small reconstruction of a binary micrograph with this content where it is masked."""

    def make(content, method="direct"):
        folder = tmp_path / f"{method}-{content}"
        folder.mkdir()
        image = TRUTH.section(2).copy()
        image[MASK == 0] = {"noise": np.random.default_rng(1).choice((0, 255), (MASK == 0).sum()), "solid": 255}[
            content
        ]
        iio.imwrite(folder / "a.png", image)
        iio.imwrite(folder / "mask.png", MASK)
        search = {
            "direct": "{closing_radius: [0, 2], roughness: [0], slices: 1}",
            "published": "{method: published, trials: 4, initial: 3, in_flight: 2}",
        }
        model = {"direct": "model: {knots: [0, 1]}\n", "published": ""}
        fit = {"direct": "{sections: 10, refits: 0}", "published": "{sections: 10}"}
        (folder / "s.yaml").write_text(
            "kind: reconstruct\ninput: a.png\nmask: mask.png\npixel_size: 3 nm\n"
            f"{model[method]}search: {search[method]}\nvolume: {{slices: 16, width: 32}}\n"
            f"goodness_of_fit: {fit[method]}\ncluster: {{profile: sync}}\n"
        )
        return md.run(folder / "s.yaml", folder / "run").result

    return make


@pytest.mark.parametrize("method", ["direct", "published"])
def test_results_do_not_depend_on_what_is_masked(run, method):
    """To the last bit: binary images, whose segmentation does not depend on it either."""
    first, second = run("noise", method), run("solid", method)
    for group in ("trials", "structures", "distance_distributions"):
        for name, values in first[group].data_vars.items():
            np.testing.assert_array_equal(values.values, second[group][name].values, err_msg=f"{group}/{name}")
    features = [result["micrograph"].distance_features.values for result in (first, second)]
    np.testing.assert_array_equal(*features)
    assert features[0].sum(axis=(1, 2)) == pytest.approx([1, 1], abs=1e-12)
