"""Reconstruction from several micrographs: of one place or several, of one magnification or several."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct.observation import Observation

SYNC = {"profile": "sync"}
#: Voxels of 2 nm; its skin is too fine for pixels of 8 nm.
TRUTH = Graded(knots=(0.0, 0.3, 1.0), sigma=(1.8, 4.0, 6.0), porosity=(0.32, 0.36, 0.42))
DEPTH, WIDTH = 320, 1200
MODEL = ImageModel(blur=0.8, noise=0.03, pore_level=0.25, solid_level=0.65)


def micrograph(
    plane: int, *, truth: Graded = TRUTH, rows: slice = slice(None), width: int = WIDTH, coarse: int = 1
) -> np.ndarray:
    """Image of rows of a section, of 8 bits, with pixels of ``coarse`` voxels."""
    solid = generate_window(truth, depth=DEPTH, start=(0, plane, 0), shape=(DEPTH, 1, width), seed=7)[:, 0] > 0
    shape = (DEPTH // coarse, width // coarse)
    image = MODEL.render(solid, MODEL.noise_of(3, plane, shape), coarse)[rows]
    return np.rint(image * 255).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A low magnification of the whole, three high ones of the skin, and three of the whole."""
    folder = tmp_path_factory.mktemp("images")
    iio.imwrite(folder / "low.png", micrograph(0, coarse=4))
    for number, plane in enumerate((400, 800, 1200)):
        iio.imwrite(folder / f"skin-{number}.png", micrograph(plane, rows=slice(0, 112), width=280))
        iio.imwrite(folder / f"whole-{number}.png", micrograph(plane, width=400)[::2, ::2])
    return folder


def load(folder, images, **settings):
    path = folder / "study.yaml"
    path.write_text("kind: reconstruct\nimages: [{input: low.png}]\nvolume: {slices: 16}\n")
    common = {"cluster": SYNC, "search": {"closing_radius": [0], "roughness": [0]}}
    return md.load_study(path, images=images, **(common | settings))


SKIN = [{"input": f"skin-{n}.png", "pixel_size": "2 nm", "depth": "0 to 224 nm"} for n in range(3)]
LOW = {"input": "low.png", "pixel_size": "8 nm"}
#: The left half of an image of the whole depth, where no number depends on the width.
HALF = {"pixel_size": "4 nm", "crop": {"right": 100}}


@pytest.mark.usefixtures("undrawn")
def test_low_and_high_magnification_give_the_whole_thickness(images, tmp_path):
    """Half-correlation lengths of the volume at five depths: within 10 % of the truth's in the mean, 20 % at worst."""
    run = md.run(load(images, [LOW, *SKIN], replicates=1, goodness_of_fit={"enabled": False}), tmp_path / "run")
    volume = run.volume("structure-0")
    assert volume.sizes["z"] == DEPTH
    assert float(volume.z[1]) == 2.0
    knots = run.result["structures"].to_dataset().isel(replicate=0)
    z = np.array([0.02, 0.15, 0.3, 0.6, 0.9])
    widths = np.exp(np.interp(z * DEPTH * 2, knots.knot, np.log(knots.sigma)))
    true = 2 * TRUTH.sigmas(z)[0]
    error = np.abs(widths / true - 1)
    # The low magnification does not resolve the skin: alone it overestimates it.
    assert error.mean() < 0.1
    assert error.max() < 0.2
    np.testing.assert_allclose(
        np.interp(z * DEPTH * 2, knots.knot, knots.porosity), np.interp(z, TRUTH.knots, TRUTH.porosity), atol=0.05
    )
    assert run.result["imaging"].sizes["image"] == 4
    assert {"micrograph-0", "micrograph-3"} < set(run.result.children)
    assert float(run.result["micrograph-1"].x[1]) == 2.0
    # What the low magnification does not resolve, the high one does.
    assert run.result["imaging"].resolved.values.tolist() == [0, 1, 1, 1]
    assert "upper bounds" not in str(run)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "Segmentation of micrograph-3" in text


def test_the_order_of_images_does_not_matter_for_targets(images):
    entries = [{"input": f"whole-{n}.png", **HALF} for n in range(3)]
    targets = [Observation(load(images, order), None) for order in (entries, entries[::-1])]
    first, second = (one.targets(one.prototype)[0] for one in targets)
    np.testing.assert_allclose(first.porosity, second.porosity, rtol=1e-12)
    np.testing.assert_allclose(first.descriptors.two_point, second.descriptors.two_point, rtol=1e-12)


def test_the_same_image_three_times_is_that_image(images):
    """Its target is the same; as sections of one series at one place, the three count as one."""
    one = Observation(load(images, [{"input": "whole-0.png", **HALF}]), None)
    entries = [{"input": "whole-0.png", **HALF, "position": "10 nm"}] * 3
    three = Observation(load(images, entries), None)
    for a, b in zip(one.targets(one.prototype), three.targets(one.prototype), strict=True):
        np.testing.assert_allclose(a.porosity, b.porosity, rtol=1e-12)
    assert "together they count as 1.0 images" in dict(three.summary)["images"]
    distant = [entry | {"position": f"{400 * n} nm"} for n, entry in enumerate(entries)]
    assert "together they count as" not in str(Observation(load(images, distant), None).summary)


def test_perturbations_fall_with_the_number_of_images(images):
    """Targets of three images scatter by 1/sqrt(3) of that of one, those of one place three times as much as one."""
    truth = Graded(knots=(0.0, 1.0), sigma=(1.8, 2.6), porosity=(0.35, 0.38))
    entry = {"input": "whole-0.png", **HALF, "position": "0 nm"}
    scatter = []
    for entries in ([entry], [{**entry, "position": f"{400 * n} nm"} for n in range(3)], [entry] * 3):
        (group,) = Observation(load(images, entries), None).groups
        porosity = [group.perturbed_target(truth, truth, seed).porosity for seed in range(24)]
        scatter.append(np.std(porosity, axis=0).mean())
    # Each of 24 values and two knots: known within 10 %.
    assert scatter[1] / scatter[0] == pytest.approx(1 / np.sqrt(3), rel=0.3)
    assert scatter[2] / scatter[0] == pytest.approx(1, rel=0.3)


def test_settings_of_the_study_hold_for_all_images(images):
    study = load(
        images, ["whole-0.png", {"input": "whole-1.png", "crop": {"left": 20}}], pixel_size="4 nm", flip="width"
    )
    assert [image.pixel_size for image in study.images] == [4.0, 4.0]
    assert [image.flip for image in study.images] == ["width", "width"]
    assert [image.crop.left for image in study.images] == [0, 20]
    again = load(images, [image.model_dump(mode="json") for image in study.images])
    assert [image.crop.left for image in again.images] == [0, 20]


def test_results_do_not_depend_on_where_the_files_are(images, tmp_path):
    """The run keeps copies of all images."""
    study = load(
        images,
        SKIN[:2],
        thickness="224 nm",
        search={"closing_radius": [0], "roughness": [0], "slices": 1},
        goodness_of_fit={"enabled": False},
    )
    run = md.run(study, tmp_path / "run")
    assert {path.name for path in (run.path / "inputs").iterdir()} == {"skin-0.png", "skin-1.png"}
    again = md.load_study(run.path / "study.yaml")
    assert again.identity() == study.identity()


WHOLE = {"input": "whole-0.png", "pixel_size": "4 nm"}
BRIGHT = {**WHOLE, "pores": "bright"}
REFUSED = {
    "no thickness": ([SKIN[0]], {}, "thickness: required, as no image shows the whole"),
    "gap": ([SKIN[0]], {"thickness": "900 nm"}, "images: no image shows the depth from 0.224 to 0.9 um"),
    "depth": (
        [WHOLE, {**SKIN[0], "depth": "0 to 400 nm"}],
        {},
        "images.1.depth: is a range of 0.4 um, but the image is 0.224",
    ),
    "below": ([WHOLE, {**SKIN[0], "depth": "500 nm"}], {}, "images.1.depth: the image ends at 0.724 um"),
    "falling": ([WHOLE, {**SKIN[0], "depth": "3 to 1 um"}], {}, "images.1.depth: must rise from at least 0"),
    "no depth": ([WHOLE, {"input": "skin-0.png", "pixel_size": "2 nm"}], {}, "set the depth that it shows"),
    "contradiction": ([WHOLE, BRIGHT], {}, "images.1: images 0 and 1 contradict each other"),
    "both": ([WHOLE], {"input": "whole-0.png"}, "input: is given as well as images"),
    "published": (
        [WHOLE, WHOLE],
        {"search": {"method": "published"}},
        "images: needs search.method: direct or bayesian",
    ),
    "anisotropy": (
        [WHOLE, WHOLE],
        {"model": {"anisotropy": "auto"}},
        "model.anisotropy: is fitted to a single micrograph",
    ),
    "crop": ([WHOLE, {**WHOLE, "crop": {"left": 999}}], {}, "images.1.crop: leaves nothing"),
    "pixel": ([WHOLE, {"input": "whole-0.png"}], {}, "images.1.pixel_size: required"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_several_images_contradict_is_refused(name, images):
    """With the field and the remedy, before any work starts."""
    entries, settings, message = REFUSED[name]
    with pytest.raises(md.StudyError) as error:
        Observation(load(images, entries, **settings), None)
    assert message in str(error.value)


def test_contradictions_can_be_ignored(images):
    observation = Observation(load(images, [WHOLE, BRIGHT], contradictions="ignore"), None)
    assert "images 0 and 1 contradict each other" in dict(observation.summary)["contradiction"]


def test_a_low_magnification_is_not_compared_where_a_high_one_shows_finer_pores_than_it_resolves(images):
    """With two knots for a kink, its own length in the wide window of the top seems to be resolved."""
    observation = Observation(load(images, [LOW, *SKIN], model={"knots": [0, 1]}), None)
    skin = observation.sections[0].z < 112 / DEPTH
    assert not observation._resolved_rows(0)[skin].any()
    assert observation._resolved_rows(0)[~skin].all()
    assert all(observation._resolved_rows(number).all() for number in (1, 2, 3))


def test_files_of_one_name_are_refused(images, tmp_path):
    other = tmp_path / "whole-0.png"
    other.write_bytes((images / "whole-0.png").read_bytes())
    with pytest.raises(md.StudyError, match=r"images\.1\.input: must have another name"):
        load(images, [WHOLE, {**WHOLE, "input": str(other)}])


def test_depths_of_windows_join(images):
    """The weights of all images in a window are those of their rows; each row of the membrane is in some window."""
    observation = Observation(load(images, [LOW, *SKIN]), None)
    for one in observation.groups:
        windows = one.magnification.windows(observation.prototype)
        for each in windows.each:
            assert set(np.round(each.sigma.sum(axis=1), 12)) <= {0.0, 1.0}
    shown = np.any([one.magnification.windows(observation.prototype).is_shown for one in observation.groups], axis=0)
    assert shown.all()
