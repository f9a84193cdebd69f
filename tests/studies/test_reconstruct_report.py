"""The report of a reconstruction, finished or not."""

from __future__ import annotations

import imageio.v3 as iio
import pytest

import membrane_dask as md
from membrane_dask.number_text import interval_text
from membrane_dask.physics.analytic_problems import GradedMembrane


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four replicates of a small membrane."""
    folder = tmp_path_factory.mktemp("study")
    iio.imwrite(folder / "membrane.png", GradedMembrane(depth=128, slices=4, width=160).micrograph())
    path = folder / "membrane.yaml"
    path.write_text(
        "kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nreplicates: 4\nmodel: {knots: [0, 1]}\n"
        "search: {closing_radius: [0, 2], roughness: [0], slices: 1}\nvolume: {slices: 24, width: 64}\n"
        "cluster: {profile: sync}\n"
    )
    return path


def test_the_report_of_a_complete_run(study, tmp_path):
    run = md.run(study, tmp_path / "run")
    text = md.write_report(run).read_text(encoding="utf-8")
    for title in (
        "Segmentation",
        "Segmentation methods",
        "Imaging",
        "Reconstruction",
        "Structure",
        "Descriptors",
        "Search",
        "Bias of the segmentation",
    ):
        assert f"<h2>{title}</h2>" in text
    assert text.count("<svg") == 6
    bias = run.result["segmentation_bias"].to_dataset().load()
    assert dict(bias.sizes) == {"image": 1, "quarter": 4}
    assert f"{float(bias.porosity[0, 0]):+.3f}" in text
    structures = run.result["structures"].to_dataset().load()
    low, high = (float(limit) for limit in md.replicate_interval(structures.volume_porosity, 0.9))
    assert interval_text(float(structures.volume_porosity[0]), float(low), float(high)) in text
    assert "those of a volume of this size, 128 x 24 x 64 voxels or 384 x 72 x 192 nm" in text
    assert "The porosity is determined within" in text
    assert " nan" not in text.split("<svg")[0]


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_an_incomplete_run(study, tmp_path):
    run = md.run(md.load_study(study), tmp_path / "run", limit=1)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "This run is not complete" in text
    assert "<h2>Segmentation</h2>" in text
    assert "<h2>Reconstruction</h2>" not in text


@pytest.mark.usefixtures("undrawn")
def test_an_interval_needs_three_replicates(study, tmp_path):
    run = md.run(md.load_study(study, replicates=1), tmp_path / "run")
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "For confidence intervals set replicates: 3 or more" in text
    low, high = md.replicate_interval(run.result["structures"].volume_porosity.load())
    assert low.isnull()
    assert high.isnull()
