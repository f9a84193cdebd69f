"""The reconstruct study: independence of blocks and workers, a synthetic membrane, and a rock."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.descriptors import average, describe, half_correlation_length
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct.micrograph_group import independent_sections
from membrane_dask.studies.reconstruct.program import ReconstructProgram

SYNC = {"profile": "sync"}
NO_FIT = {"enabled": False}  # the goodness of fit has tests of its own


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small micrograph and a short search."""
    folder = tmp_path_factory.mktemp("study")
    image = GradedMembrane(depth=128, slices=4, width=160).micrograph()
    iio.imwrite(folder / "membrane.png", image)
    path = folder / "membrane.yaml"
    path.write_text(
        "kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nreplicates: 2\n"
        "model: {knots: [0, 1]}\nsearch: {closing_radius: [0, 2], roughness: [0, 0.2], slices: 2}\n"
        "volume: {slices: 100, width: 90, block_size: 64}\ngoodness_of_fit: {sections: 10, refits: 3}\n"
    )
    return path


@pytest.fixture(scope="module")
def reference(study, tmp_path_factory, values_of):
    run = md.run(md.load_study(study, cluster=SYNC), tmp_path_factory.mktemp("reference") / "run")
    assert run.status()["state"] == "complete"
    return values_of(run)


@pytest.mark.parametrize(
    ("block_size", "cluster"),
    [
        (100, SYNC),
        # On demand: workers, which do not show in tests/studies/test_graded_study.py and tests/engine/test_execute.py,
        # and a single block.
        pytest.param(33, {"workers": 2}, marks=pytest.mark.slow),
        pytest.param(128, SYNC, marks=pytest.mark.slow),
        pytest.param(64, {"workers": 1}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_results_are_independent_of_blocks_and_workers(study, reference, values_of, tmp_path, block_size, cluster):
    run = md.run(md.load_study(study, volume={"block_size": block_size}, cluster=cluster), tmp_path / "run")
    assert values_of(run) == reference


def test_an_interrupted_run_is_resumed(study, reference, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(study, tmp_path / "run", after=5)
    assert values_of(md.open_run(tmp_path / "run")) == reference


def test_replicates_are_independent(study, reference):
    assert reference["structure-0"] != reference["structure-1"]


def test_trials_are_compared_by_sections_of_the_volume(study, tmp_path):
    """The objective of the best trial is that of the generated volume."""
    from membrane_dask.physics.reconstruction.depth_windows import DepthWindows
    from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average
    from membrane_dask.physics.reconstruction.matching import objective

    settings = {"replicates": 1, "volume": {"width": None}, "imaging": "none"}
    run = md.run(md.load_study(study, cluster=SYNC, **settings), tmp_path / "run")
    solid = run.result["micrograph"].to_dataset().solid.values > 0
    sections = [run.volume("structure-0").isel(y=y).values > 0 for y in (25, 75)]
    scales = DescriptorScales.suited_to(solid)
    windows = DepthWindows.of(Graded(knots=(0, 1), sigma=(1, 1), porosity=(0.5, 0.5)), len(solid), ())
    target = windows.target(average([scales.describe(section) for section in sections]))
    best = run.result["structures"].to_dataset().isel(replicate=0)
    expected = objective(target.descriptors, windows.target(scales.describe(solid)).descriptors)
    assert float(best.objective) == pytest.approx(expected, rel=1e-12)
    trials = run.result["trials"].to_dataset().isel(replicate=0)
    assert int(best.best_trial) == int(trials.objective.argmin("trial"))
    volume = run.volume("structure-0").values
    assert float(best.volume_porosity) == pytest.approx((volume == 0).mean(), rel=1e-12)
    np.testing.assert_allclose(best.quarter_porosity, (volume == 0).reshape(4, 32, -1).mean(2).mean(1), rtol=1e-12)
    assert set(np.unique(volume)) == {0, 255}


def test_a_depth_without_pores(tmp_path):
    """Resin above the skin: the message gives the depth and a remedy."""
    image = GradedMembrane(depth=224, slices=4, width=256).micrograph()
    image[:24] = 170
    path = tmp_path / "membrane.yaml"
    iio.imwrite(tmp_path / "membrane.png", image)
    path.write_text("kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nmodel: {knots: [0, 0.1, 1]}\n")
    with pytest.raises(md.StudyError, match=r"hardly any pores around 0% of its depth .* crop"):
        md.plan(path, measure=False)
    assert md.plan(md.load_study(path, crop={"top": 24}), measure=False)


def test_imaging_is_estimated_set_or_switched_off(study, tmp_path):
    """The plan prints what is used, and a blur that contradicts the image."""
    plan = str(md.plan(study, measure=False))
    assert re.search(r"imaging +blur 1\.[01]\d \+- 0\.\d\d pixels, noise 0\.05", plan)
    assert re.search(r"note +no intervals: they need replicates: 3 or more \(is 2\)", plan)
    plan = str(md.plan(md.load_study(study, imaging={"blur": "6 +- 0.3 nm"}, replicates=3), measure=False))
    assert "no intervals" not in plan
    assert re.search(
        r"blur 2\.00 \+- 0\.10 pixels.*imaging.blur: 2\.00 pixels are used; the image shows 1\.", plan, re.S
    )
    without_error = str(md.plan(md.load_study(study, imaging={"blur": "1 px"}), measure=False))
    assert re.search(r"blur 1\.00 \+- 0\.(0[89]|1\d) pixels", without_error)  # that of an estimate, not none
    assert "imaging" not in str(md.plan(md.load_study(study, imaging="none"), measure=False))
    with pytest.raises(md.StudyError, match=r"imaging\.blur.* 1\.2 \+- 0\.1 px"):
        md.load_study(study, imaging={"blur": 1.2})
    with pytest.raises(md.StudyError, match=r"imaging\.method.*'auto' or 'none'"):
        md.load_study(study, imaging="sharp")
    binary = np.where(GradedMembrane(depth=128, slices=4, width=160).section(2) > 0, 255, 0).astype("u1")
    iio.imwrite(tmp_path / "binary.png", binary)
    (tmp_path / "b.yaml").write_text("kind: reconstruct\ninput: binary.png\npixel_size: 3 nm\nmodel: {knots: [0, 1]}\n")
    assert "imaging" not in str(md.plan(tmp_path / "b.yaml", measure=False))
    assert "blur 0.50" in str(md.plan(md.load_study(tmp_path / "b.yaml", imaging={"blur": "0.5 px"}), measure=False))
    with pytest.raises(md.StudyError, match="a binary image shows no blur"):
        md.plan(md.load_study(tmp_path / "b.yaml", imaging={"noise": 0.1}), measure=False)


@pytest.mark.usefixtures("undrawn")
def test_pores_finer_than_the_blur_are_upper_bounds(study, tmp_path):
    """A skin whose half-correlation length is the blur: summary and report say so."""
    structure = Graded(knots=(0.0, 1.0), sigma=(0.8, 3.0), porosity=(0.42, 0.42))
    fine = GradedMembrane(structure, depth=160, slices=4, width=200)
    iio.imwrite(tmp_path / "fine.png", fine.micrograph(blur=1.4, noise=0.02))
    settings = {"input": str(tmp_path / "fine.png"), "imaging": {"blur": "1.4 +- 0.1 px"}, "replicates": 4}
    settings["goodness_of_fit"] = NO_FIT
    settings["volume"] = {"slices": 32, "width": 32}  # the message comes from the image and the trials
    settings["search"] = {"closing_radius": [0], "roughness": [0], "slices": 2}
    run = md.run(md.load_study(study, cluster=SYNC, **settings), tmp_path / "run")
    assert int(run.result["imaging"].resolved[0]) == 0
    assert "are upper bounds" in str(run)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "are upper bounds" in text.split("<h2>")[0]
    assert "90% confidence" not in text
    (tmp_path / "properties.yaml").write_text("kind: characterize\ninput: run\ntortuosity: false\n")
    properties = md.run(md.load_study(tmp_path / "properties.yaml", cluster=SYNC), tmp_path / "properties")
    assert "Reconstruction: " in str(properties)
    text = md.write_report(properties).read_text(encoding="utf-8")
    assert "are upper bounds" in text.split("<h2>")[0]
    assert "value [scatter of the replicates]" in text
    assert "less often than in 90% of the cases" in text


def test_masked_pixels_do_not_enter_perturbations(study):
    """Targets from the left quarter of sections scatter twice as much as those from whole sections."""
    program = ReconstructProgram(md.load_study(study))
    structure = program.structure({"sigma_0": 1.6, "sigma_1": 3.0, "porosity_0": 0.35, "porosity_1": 0.35})
    (group,) = program.context["groups"]
    (sections,) = program.context["sections"]
    quarter = np.arange(sections.width) < sections.width // 4
    inside = np.broadcast_to(quarter, (sections.depth, sections.width))
    scatter = []
    for mask in (None, inside):
        masked = replace(group, inside=(mask,))
        pairs = independent_sections(structure, sections.seeded(5), 32)
        scatter.append(np.std([masked.target_of(structure, [solid]).porosity for solid, _ in pairs], axis=0).mean())
    assert 1.5 < scatter[1] / scatter[0] < 2.6  # of 32, each deviation is known within 13 %


def test_the_pixel_size_is_read_from_the_file(study, tmp_path):
    image = iio.imread(study.parent / "membrane.png")
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(0.5, 0.5), metadata={"unit": "nm"})
    (tmp_path / "a.yaml").write_text("kind: reconstruct\ninput: a.tif\nsearch: {closing_radius: [0], roughness: [0]}\n")
    settings = {"replicates": 1, "volume": {"slices": 8}, "goodness_of_fit": NO_FIT}
    run = md.run(md.load_study(tmp_path / "a.yaml", cluster=SYNC, **settings), tmp_path / "run")
    assert float(run.volume("structure-0").z[1]) == pytest.approx(2.0)
    (tmp_path / "b.yaml").write_text(f"kind: reconstruct\ninput: {study.parent / 'membrane.png'}\n")
    with pytest.raises(md.StudyError, match="pixel_size: required: the file has no pixel size"):
        md.plan(tmp_path / "b.yaml", measure=False)
    with pytest.raises(md.StudyError, match="crop: leaves nothing"):
        md.plan(md.load_study(tmp_path / "a.yaml", crop={"left": 100, "right": 60}), measure=False)


BAYESIAN = {"method": "bayesian", "trials": 8, "initial": 4, "in_flight": 3, "slices": 1}


@pytest.fixture(scope="module")
def searched(study, tmp_path_factory, values_of):
    """A Bayesian search of two layers."""
    settings = {"search": BAYESIAN, "model": {"depth": "layers", "knots": "auto"}, "replicates": 1}
    settings |= {"volume": {"slices": 32, "width": 32}, "goodness_of_fit": NO_FIT}
    with pytest.warns(UserWarning, match=r"search\.roughness is not used: needs the graded model"):
        checked, on_workers = (md.load_study(study, cluster=cluster, **settings) for cluster in (SYNC, {"workers": 2}))
    return (
        on_workers,
        checked,
        values_of(md.run(checked, tmp_path_factory.mktemp("searched") / "run")),
    )


@pytest.mark.slow  # tests/studies/test_optimum.py searches on two workers
def test_a_bayesian_search_is_independent_of_the_workers(searched, values_of, tmp_path):
    """Trials end in another order, on which the proposals do not depend."""
    on_two_workers, _, expected = searched
    assert values_of(md.run(on_two_workers, tmp_path / "run")) == expected


def test_an_interrupted_bayesian_search_is_resumed(searched, values_of, tmp_path):
    _, study, expected = searched
    for limit in (2, 3, 2):  # within the initial design, and twice after it
        run = md.run(study, tmp_path / "run", limit=limit)
    assert run.status()["state"] == "partial"
    run = md.run(study, tmp_path / "run")
    assert values_of(run) == expected


def test_the_published_search(study, tmp_path):
    """Its trials have noise of their own in five periodic planes, and another objective."""
    search = {"method": "published", "trials": 8, "initial": 6, "in_flight": 2}
    with pytest.warns(UserWarning, match=r"search\.slices is not used: has no effect with method: published"):
        checked = md.load_study(
            study, replicates=1, search=search, model={"knots": "auto"}, cluster=SYNC, goodness_of_fit=NO_FIT
        )
    run = md.run(checked, tmp_path / "run")
    trials = run.result["trials"].to_dataset().isel(replicate=0)
    assert trials.sizes == {"trial": 8, "knot": 2}
    assert (trials.sigma[:, 0] <= 3 * 4.01).all()
    assert (trials.objective < trials.distance_objective).all()  # a mean of 200 terms, not half their sum
    assert float(trials.roughness.max()) == 0


@pytest.fixture(scope="module")
def quickstart(root, tmp_path_factory):
    """The best match alone, which is compared with the membrane."""
    settings = {"replicates": 1, "volume": {"slices": 96}, "goodness_of_fit": NO_FIT, "cluster": SYNC}
    study = md.load_study(root / "configs/reconstruct-quickstart.yaml", **settings)
    return md.run(study, tmp_path_factory.mktemp("quick") / "run")


def test_the_micrograph_of_the_quickstart_shows_the_synthetic_membrane(root):
    image = iio.imread(root / "configs/graded-membrane.png").astype(int)
    rendered = GradedMembrane().micrograph().astype(int)
    assert np.abs(image - rendered).max() <= 1  # rounding may depend on the machine
    assert image.shape == (256, 512)


def _half_length(volume: np.ndarray) -> float:
    """Half-correlation length along x, voxels."""
    lags = np.arange(40)
    whole = np.full((1, len(volume)), 1 / len(volume))
    sections = [describe(volume[:, y] > 0, lags=lags, radii=np.array([1.0])) for y in range(0, volume.shape[1], 16)]
    return float(half_correlation_length(average(sections).mean(whole).correlation, lags)[0])


def test_the_quickstart_reconstructs_the_synthetic_membrane(quickstart):
    """The membrane has two layers, which the knots of the structure approximate, and is closed below a quarter."""
    assert quickstart.status()["state"] == "complete"
    best = quickstart.result["structures"].to_dataset().isel(replicate=0)
    assert best.sizes["knot"] > 1
    truth = GradedMembrane()
    section = truth.section(truth.slices // 2) == 0  # its porosity deviates from that of the volume
    volume = quickstart.volume("structure-0").values
    assert volume.shape == (256, 96, 256)
    # The standard error of the porosity of a section is 7 %.
    assert (volume == 0).mean() == pytest.approx(section.mean(), rel=0.15)
    membrane = replace(truth, slices=96).volume()
    # Half-correlation lengths of the structure, not of its blurred image, which is 45 % coarser at the skin.
    assert _half_length(volume[:32]) == pytest.approx(_half_length(membrane[:32]), rel=0.12)
    assert _half_length(volume[128:]) == pytest.approx(_half_length(membrane[128:]), rel=0.12)
    assert float(best.distance_objective) < 0.08  # between sections of the true structure it is 0.05 to 0.1


# The synthetic membrane above has a micrograph as well, and its truth is known.
@pytest.mark.slow
def test_a_slice_of_a_rock(shared, tmp_path):
    """Berea sandstone, reconstructed from a slice of its tomogram and compared with it."""
    with zipfile.ZipFile(shared / "data/berea.zip") as archive:
        rock = tifffile.imread(io.BytesIO(archive.read("berea.tif")))
    iio.imwrite(tmp_path / "berea.png", rock[200])
    path = tmp_path / "berea.yaml"
    path.write_text(
        "kind: reconstruct\ninput: berea.png\npixel_size: 5.345 um\nseed: 1\nsegmentation: {method: otsu}\n"
        "replicates: 1\nvolume: {slices: 256, width: 256}\n"
    )
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "run")
    assert run.status()["state"] == "complete"
    solid = run.result["micrograph"].to_dataset().solid.values > 0
    assert (solid != (rock[200] > 0)).mean() < 0.03  # smoothing shifts the outline of the grains
    volume = run.volume("structure-0")
    assert volume.shape == (400, 256, 256)
    assert float(volume.z[1]) == pytest.approx(5345)
    best = run.result["structures"].to_dataset().isel(replicate=0)
    # The standard deviation of the porosity between sections of this rock is 5 %.
    assert float((volume == 0).mean()) == pytest.approx((~solid).mean(), rel=0.15)
    assert float(best.roughness) > 0  # grains have rough walls
    assert float(best.distance_objective) < 0.1


def test_a_replicate_without_trials_has_no_volume(study):
    """Slabs are not asked for when all trials of their replicate have failed."""
    from membrane_dask.engine.rounds import Schedule
    from membrane_dask.program import Outcome

    program = ReconstructProgram(md.load_study(study))
    history: dict[str, Outcome] = {}
    schedule = Schedule(program, history)
    trials = [unit.key for unit in schedule.propose()]
    assert trials == ["trial,replicate=0,trial=0", "trial,replicate=0,trial=1"]
    while trials:
        history |= dict.fromkeys(trials, Outcome("failed"))
        trials = [unit.key for unit in schedule.propose(trials)]
        assert all(key.startswith("trial") for key in trials)
    assert len(history) == 4
