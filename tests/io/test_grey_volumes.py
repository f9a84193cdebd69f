"""Segmentation of grey volumes whose pores are known: porosity, blocks, uneven slices, and what is refused.

The standard volume is blurred by one voxel and has noise of an eighth of the contrast. A threshold in the middle of the
levels then moves the porosity by less than 0.02: half a voxel of the blurred edges of pores eight voxels wide, which
cancels but for their curvature.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

import membrane_dask as md
from membrane_dask.io import grey_volumes
from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.io.grey_volumes import estimate_segmentation
from membrane_dask.physics.imaging.local_mean import local_mean

SHAPE = (48, 60, 70)
WHOLE = tuple(slice(0, n) for n in SHAPE)
SYNC = {"profile": "sync"}


@cache
def pores(graded: bool = False) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(SHAPE), 3.0)
    if graded:
        field -= 0.6 * field.std() * np.linspace(-1, 1, SHAPE[0])[:, None, None]
    return field < np.quantile(field, 0.35)


def grey(
    *, graded=False, blur=1.0, noise=0.05, drift=0.0, scatter=0.0, contrast_drift=0.0, shading=0.0, two=(0.3, 0.7)
) -> np.ndarray:
    """Grey values; drift and scatter of the slices relative to the contrast, shading to the brightness."""
    rng = np.random.default_rng(7)
    z, y, x = (np.linspace(-1, 1, n) for n in SHAPE)
    values = ndimage.gaussian_filter(np.where(pores(graded), *two), blur, mode="nearest")
    values *= 1 + shading * (0.7 * x + 0.5 * y[:, None] * x - 0.3 * np.square(y)[:, None])
    offset = 0.4 * (drift / 2 * z + scatter * rng.standard_normal(SHAPE[0]))
    values = 0.5 + (values - 0.5) * (1 + contrast_drift * z)[:, None, None] + offset[:, None, None]
    return np.round(255 * np.clip(values + noise * rng.standard_normal(SHAPE), 0, 1)).astype(np.uint8)


def errors(values, graded=False, **options) -> tuple[float, float]:
    """Error of the porosity, and fraction of the voxels of the wrong phase."""
    segmentation = estimate_segmentation(values, GreyOptions(sigma=1.0, **options))
    result, truth = segmentation.pores(values, WHOLE), pores(graded)
    return float(result.mean() - truth.mean()), float((result != truth).mean())


@pytest.mark.parametrize("method", ["auto", "otsu", "hysteresis"])
@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_porosity_of_an_even_volume(method, noise):
    porosity, wrong = errors(grey(noise=noise), method=method)
    assert abs(porosity) < 0.02
    assert wrong < 0.045  # a fifth of a voxel on a surface of 0.2 per voxel


@cache
def errors_of_the_even_volume(graded: bool) -> float:
    """Fraction of the voxels of the wrong phase."""
    return errors(grey(graded=graded), graded, method="auto")[1]


# On demand: further unevenness of a graded volume, which is corrected as that of an even one is.
@pytest.mark.parametrize(
    ("graded", "uneven"),
    [
        (False, {"drift": 0.6}), (True, {"drift": 0.6}),
        (False, {"drift": 0.8, "scatter": 0.1}), (False, {"drift": 0.3, "contrast_drift": 0.3}),
        pytest.param(True, {"drift": 0.8, "scatter": 0.1}, marks=pytest.mark.slow),
        pytest.param(True, {"drift": 0.3, "contrast_drift": 0.3}, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_brightness_of_slices_is_corrected(graded, uneven):
    """As if the slices were even, also where the porosity changes along them; one threshold leaves twice the errors."""
    porosity, wrong = errors(grey(graded=graded, **uneven), graded, method="auto")
    assert abs(porosity) < 0.02
    even = errors_of_the_even_volume(graded)
    assert wrong < 1.2 * even
    corrected = errors(grey(graded=graded, **uneven), graded, method="hysteresis", correction="slices")[1]
    assert corrected < 1.2 * even


def test_drift_is_measured():
    brightness = estimate_segmentation(grey(drift=0.5, scatter=0.04), GreyOptions(method="auto")).brightness
    # The range of 96 % of the slices, with scatter; medians of some thousand voxels have errors of a few tenths of %.
    assert 0.45 < brightness.drift < 0.65
    assert 0.02 < brightness.scatter < 0.06
    even = estimate_segmentation(grey(), GreyOptions(method="auto"))
    assert even.brightness.drift < 0.05
    assert even.slice_maps is None


def test_shading_is_corrected():
    """As if the volume were evenly bright, also where porosity and brightness change along the slices."""
    even = errors_of_the_even_volume(True)
    for uneven in ({"shading": 0.25}, {"shading": 0.25, "drift": 0.2}):
        porosity, wrong = errors(grey(graded=True, **uneven), True, method="auto")
        assert abs(porosity) < 0.02
        assert wrong < 1.3 * even
    segmentation = estimate_segmentation(grey(graded=True, shading=0.25), GreyOptions(method="auto"))
    z, y, x = (np.linspace(-1, 1, n) for n in SHAPE)
    truth = 1 + 0.25 * (0.7 * x + 0.5 * y[:, None] * x - 0.3 * np.square(y)[:, None])
    gain = segmentation.shading.gain(z[:, None, None], y[:, None], x).mean(axis=0)
    np.testing.assert_allclose(
        gain / gain.mean(), truth / truth.mean(), atol=0.04
    )  # a third of 5 %, at the corners 4 %


@pytest.mark.parametrize(
    ("noise", "threshold"),
    [(0.1, "otsu"), (0.05, "local mean"), pytest.param(0.05, "otsu", marks=pytest.mark.slow)],  # less noise than 0.1
)
def test_bias_of_the_segmentation(noise, threshold):
    """Of Otsu's threshold it is small; of one that is too high it is the error, but for the blur across the slices."""
    shape = (24, 150, 160)
    rng = np.random.default_rng(3)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 4.0)
    truth = field < np.quantile(field, 0.35)
    values = ndimage.gaussian_filter(np.where(truth, 0.3, 0.7), 1.0) + noise * rng.standard_normal(shape)
    options = {"method": "otsu"}
    if threshold == "local mean":
        options = {"method": "adaptive", "sensitivity": 0.6, "window": 60}
    segmentation = estimate_segmentation(values, GreyOptions(sigma=1.0, **options))
    whole = tuple(slice(0, n) for n in shape)
    error = float(segmentation.pores(values, whole).mean() - truth.mean())
    assert not segmentation.bias.failure
    # Three slices of 150 x 160 voxels; blur and filter across the slices, a third of all, are left out.
    # The largest of these differences is 0.004; 0.01 is a fifth of the error of the local mean.
    assert abs(segmentation.bias.porosity - error) < 0.01
    assert abs(segmentation.bias.half_length) < 0.1  # an eighth of the width of a pore


def correlated_noise(level: float) -> np.ndarray:
    """A 16-bit volume with noise that is correlated over 0.6 voxels, relative to the contrast."""
    rng = np.random.default_rng(7)
    shape = (64, 96, 96)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 5.0)
    truth = field > field.std() * np.linspace(0.4, 0.1, shape[0])[:, None, None]
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 0.6)
    values = ndimage.gaussian_filter(np.where(truth, 9000.0, 21000.0), 0.8) + 12000 * level / noise.std() * noise
    return np.clip(values, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize(("level", "is_noisy"), [(0.05, False), (0.25, True)])
def test_noise_is_reported_with_the_filter_that_removes_it(level, is_noisy):
    values = correlated_noise(level)
    unfiltered, filtered = (estimate_segmentation(values, GreyOptions(method="auto", sigma=s)) for s in (0.0, 1.0))
    assert ("noise" in dict(unfiltered.remarks)) == is_noisy
    if is_noisy:
        assert "set grey.sigma: 1" in dict(unfiltered.remarks)["noise"]
    assert "noise" not in dict(filtered.remarks)
    # Imaging a slice with noise as structure would give a bias of the wrong sign.
    assert bool(unfiltered.bias.failure) == is_noisy
    assert not filtered.bias.failure


def test_bias_that_cannot_be_measured():
    even = GreyOptions(method="otsu")
    values = np.full((40, 40, 40), 200, np.uint8)
    values[:, 10:20, 10:20] = 50  # too few edges for an estimate of the blur
    values[0, 0, 0] = 120
    assert "not measured: only" in str(estimate_segmentation(values, even).bias)


def test_local_mean():
    """In the middle of slices it is that of a window; a threshold by it follows shading without a correction."""
    values = np.random.default_rng(0).normal(100, 5, (9, 80, 80)) + np.linspace(0, 60, 80)
    means = {name: local_mean(values, name, 20) for name in ("slice", "block")}
    at = means["slice"].at(*(np.arange(n) for n in values.shape))
    window = ndimage.uniform_filter(values, (1, 21, 21))
    np.testing.assert_allclose(at[:, 12:-12, 12:-12], window[:, 12:-12, 12:-12], atol=1.5)  # 5 / 20 a mean, six times
    assert means["block"].means.std(axis=0).mean() < means["slice"].means.std(axis=0).mean() / 2
    # The local mean is 0.65 of the contrast above the pores: after a blur of 1.4 voxels the edge moves by 0.54 voxels,
    # on a surface of 0.2 per voxel.
    shaded = grey(shading=0.3)
    for neighbourhood in ("slice", "block"):
        options = {"method": "adaptive", "sensitivity": 0.6, "window": 36, "neighbourhood": neighbourhood}
        porosity, wrong = errors(shaded, **options)
        assert 0 < porosity < 0.1
        assert wrong < errors(shaded, method="otsu")[1]
    with pytest.raises(ValueError, match=r"grey.window: must be at least 4 voxels for slices of 80 x 80 \(got 3\)"):
        local_mean(values, "slice", 3)


@pytest.mark.parametrize("method", ["auto", "hysteresis", "adaptive"])
@pytest.mark.parametrize("phase", ["dark", "bright"])
def test_windows_do_not_change_the_result(method, phase, monkeypatch):
    values = grey(drift=0.5, shading=0.2)
    options = GreyOptions(method=method, sigma=0.8, closing_radius=1.0, pores=phase, correction="both", slice_axis=1)
    segmentation = estimate_segmentation(values, options)
    whole = segmentation.pores(values, WHOLE)
    monkeypatch.setattr(grey_volumes, "_SLAB", 17)
    np.testing.assert_array_equal(segmentation.pores(values, WHOLE), whole)
    for window in ((slice(0, 20), slice(13, 60), slice(5, 6)), (slice(47, 48), slice(0, 60), slice(31, 70))):
        np.testing.assert_array_equal(segmentation.pores(values, window), whole[window])


def test_bright_pores_are_the_same_in_the_negative():
    values = grey()
    dark = estimate_segmentation(values, GreyOptions(method="hysteresis")).pores(values, WHOLE)
    negative = 255 - values
    bright = estimate_segmentation(negative, GreyOptions(method="hysteresis", pores="bright")).pores(negative, WHOLE)
    assert (dark != bright).mean() < 1e-2  # the middle of a bin of the histogram is not symmetric


def test_hysteresis_removes_pores_without_a_core():
    values = np.full((40, 40, 40), 200, np.uint8)
    values[:, 10:20, 10:20] = 50  # a pore with a core, and a faint one
    values[20:24, 30:34, 30:34] = 118
    pores_by = {}
    for method in ("otsu", "hysteresis"):
        segmentation = estimate_segmentation(values, GreyOptions(method=method))
        pores_by[method] = segmentation.pores(values, tuple(slice(0, 40) for _ in range(3)))
    assert pores_by["otsu"][22, 32, 32]
    assert not pores_by["hysteresis"][22, 32, 32]
    np.testing.assert_array_equal(pores_by["hysteresis"], values == 50)


def test_volumes_without_two_phases():
    noise = np.random.default_rng(0).normal(100, 10, (40, 40, 40))
    with pytest.raises(ValueError, match=r"no slice of it shows two phases|do not separate into two phases: 0\.6"):
        estimate_segmentation(noise, GreyOptions(method="otsu"))
    with pytest.raises(ValueError, match=r"do not separate into two phases.*grey.method: auto"):
        estimate_segmentation(grey(drift=1.2), GreyOptions(method="otsu"))
    with pytest.raises(ValueError, match=r"grey.method: adaptive needs grey values of at least 0"):
        estimate_segmentation(grey() - np.float32(200), GreyOptions(method="adaptive"))
    invalid = grey().astype(np.float32)
    invalid[3, 4, 5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        estimate_segmentation(invalid, GreyOptions(method="otsu"))


def plan_of(folder, values, lines):
    np.save(folder / "v.npy", values)
    (folder / "s.yaml").write_text(f"kind: characterize\ninput: v.npy\nvoxel_size: 3 nm\ntortuosity: false\n{lines}\n")
    return md.plan(folder / "s.yaml", measure=False).program


def test_the_plan_names_drift_and_threshold(tmp_path):
    rows = dict(plan_of(tmp_path, grey(drift=0.5), "grey: {method: auto, sigma: 1}").summary)
    assert rows["segmentation"].startswith("auto: threshold 1")
    assert "along z the brightness drifts by 5" in rows["slices"]
    assert ", corrected" in rows["slices"]
    assert rows["shading"].endswith("within slices, not corrected")
    assert rows["bias"]
    assert rows["values"].endswith("pores are the dark phase")
    fixed = dict(plan_of(tmp_path, grey(drift=0.5, noise=0.13), "grey: {threshold: 128}").summary)
    assert "set grey.sigma: 1" in fixed["noise"]
    assert "drifts by 5" in fixed["slices"]
    assert "grey.method: auto corrects it" in fixed["slices"]
    assert "not measured" in fixed["bias"]
    with pytest.raises(md.StudyError, match=r"input: v.npy: its grey values do not separate into two phases"):
        plan_of(tmp_path, grey(drift=1.2), "grey: {method: otsu}")
    rows = dict(plan_of(tmp_path, grey(drift=0.3), "grey: {method: otsu, sigma: 1}").summary)
    assert "not corrected; grey.correction: slices corrects it" in rows["slices"]
    turned = np.moveaxis(grey(drift=0.5), 0, 2)
    rows = dict(plan_of(tmp_path, turned, "axis: x\ngrey: {method: auto, slice_axis: z}").summary)
    assert "along z the brightness drifts by 5" in rows["slices"]


def test_labels_are_not_merged_by_a_threshold(tmp_path):
    labels = np.where(grey() > 128, 255, 0).astype(np.uint8)
    rows = dict(plan_of(tmp_path, labels, "grey: {method: auto}").summary)
    assert rows["values"].endswith("pores are 0")  # two values are taken as they are
    assert "segmentation" not in rows
    labels[:10] = 127
    with pytest.raises(md.StudyError, match=r"more than two values: 0 .*127 .*255 .*would merge labels.* pores: 0"):
        plan_of(tmp_path, labels, "grey: {method: otsu}")
    with pytest.raises(md.StudyError, match=r"more than two values: 0 .*127"):
        plan_of(tmp_path, labels, "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("grey: {method: otsu, threshold: 3}", "grey.threshold: must be left out with method: otsu"),
        ("grey: {correction: slices, threshold: 3}", "grey.correction: needs grey.method: auto or otsu"),
        ("grey: {slice_axis: z}", "grey.slice_axis: needs grey.method"),
        ("grey: {method: otsu, window: 30}", "grey.window: needs grey.method: adaptive"),
        ("grey: {method: otsu}\npores: 3", "pores: must be dark or bright where grey.method"),
        ("grey: {method: triangle}", "grey.method"),
    ],
)
def test_invalid_settings(tmp_path, lines, message):
    with pytest.raises(md.StudyError, match=message):
        plan_of(tmp_path, grey(), lines)


@pytest.mark.usefixtures("undrawn")
def test_blocks_and_orientation_do_not_change_a_study(tmp_path, values_of):
    corner = (slice(None), slice(40), slice(44))
    values = grey(drift=0.5)[corner]
    runs = []
    for name, array, lines in (
        ("a", values, "grey: {method: auto, sigma: 1}"),
        ("b", np.moveaxis(values, 0, 1), "axis: y\nblock_size: 32\ngrey: {method: auto, sigma: 1, slice_axis: z}"),
    ):
        (tmp_path / name).mkdir()
        plan_of(tmp_path / name, array, lines)
        runs.append(md.run(md.load_study(tmp_path / name / "s.yaml", cluster=SYNC), tmp_path / name / "run"))
    assert values_of(runs[0]) == values_of(runs[1])
    report = md.write_report(runs[0]).read_text()
    assert ">Segmentation<" in report
    assert "the brightness drifts by 5" in report
    assert abs(float(runs[0].result["properties"].porosity[0]) - pores()[corner].mean()) < 0.02
