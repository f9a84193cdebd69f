"""The search of Chamani's program: a trial, the segmentation and the interval, each by a second implementation."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
from scipy import ndimage, optimize
from scipy.special import ndtr
from skimage.filters import threshold_local

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.noise import uniform
from membrane_dask.physics.reconstruction.structures import TwoLayers
from membrane_dask.studies.reconstruct import tasks
from membrane_dask.studies.reconstruct.program import ReconstructProgram

pytestmark = pytest.mark.paper

DEPTH, WIDTH, PLANES = 160, 200, 5
#: Edges of the bins of the distance distributions, pixels: 50 bins of 0.58.
EDGES = 1 + 0.58 * np.arange(51)


@pytest.fixture(scope="module")
def study(tmp_path_factory, root):
    """The study of the paper, with a small micrograph and few trials."""
    folder = tmp_path_factory.mktemp("study")
    iio.imwrite(folder / "membrane.png", GradedMembrane(depth=DEPTH, slices=4, width=WIDTH).micrograph())
    return md.load_study(
        root / "configs/reconstruct-chamani-2023.yaml",
        input=str(folder / "membrane.png"),
        search={"method": "published", "trials": 6, "initial": 4, "in_flight": 1},
        volume={"slices": 12},
        cluster={"profile": "sync"},
    )


def features(solid: np.ndarray) -> np.ndarray:
    """Fractions of a section's pixels by distance to the other phase: upper fifth and lower half, pores and solid."""
    fractions = []
    for rows in (solid[: round(0.2 * len(solid))], solid[round(0.5 * len(solid)) :]):
        for phase in (~rows, rows):
            distance = ndimage.distance_transform_edt(phase)[phase]
            fractions.append(np.histogram(distance, EDGES)[0] / rows.size)
    return np.concatenate(fractions)


def trial_section(structure: TwoLayers, seed: int) -> np.ndarray:
    """Middle plane of five that repeat along y, from whole arrays in double precision."""
    pad = 60
    shape = (DEPTH + 2 * pad, PLANES, WIDTH + 2 * pad)
    z = np.arange(DEPTH)
    fine = (1 - z / (DEPTH - 1)) ** structure.blend_power
    total = 0.0
    for number, (sigma, weight) in enumerate(((structure.sigma_1, fine), (structure.sigma_2, 1 - fine))):
        noise = uniform(seed, number, (-pad, 0, -pad), shape).astype(float)
        reach = int(4 * sigma + 0.5)
        taps = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
        taps /= taps.sum()
        for axis, mode in enumerate(("constant", "wrap", "constant")):
            noise = ndimage.correlate1d(noise, taps, axis, mode=mode)
        # The noise repeats along y; it is divided by the deviation that it has where it does not.
        deviation = np.sqrt(np.square(taps).sum() ** 3 / 12)
        # Beyond the faces the structure continues with the weights at the face.
        total = total + np.pad(weight, pad, mode="edge")[:, None, None] * noise / deviation
    heights = np.linspace(0, 1, 20_001)
    spread = np.hypot((1 - heights) ** structure.blend_power, 1 - (1 - heights) ** structure.blend_power)
    level = optimize.brentq(lambda t: ndtr(t / spread).mean() - structure.porosity, -5, 5)
    solid = total >= level
    radius = int(structure.closing_radius)
    sphere = (np.mgrid[(slice(-radius, radius + 1),) * 3] ** 2).sum(0) <= int(structure.closing_radius**2)
    periodic = np.concatenate([solid] * 5, axis=1)
    closed = ndimage.binary_closing(periodic, sphere)[:, 2 * PLANES : 3 * PLANES]
    below = np.arange(-pad, DEPTH + pad) >= 0.25 * DEPTH
    solid = np.where(below[:, None, None], closed, solid)
    return solid[pad : pad + DEPTH, 2, pad : pad + WIDTH]


@pytest.mark.parametrize("closing_radius", [1.0, 2.3])
def test_a_trial_has_the_objective_of_the_papers_program(study, closing_radius):
    """Sections of five periodic planes, and the mean of |F - F0| / (1 + F0) over 200 fractions."""
    program = ReconstructProgram(study)
    structure = program.structure(
        {"sigma_0": 1.3, "sigma_1": 3.4, "porosity_0": 0.35, "closing_radius": closing_radius}
    )
    unit = program._trial(0, 3, {"structure": tasks.as_params(structure)})
    values, _ = tasks.work(program.context, unit)
    noise = int(unit.seed_sequence().generate_state(2, np.uint64)[0])
    own = np.random.SeedSequence(entropy=noise, spawn_key=(3,))
    section = trial_section(structure, int(own.generate_state(1, np.uint64)[0]))
    # Pixels at the level differ in single precision: a few of 32,000.
    assert float(values["section_porosity"]) == pytest.approx((~section).mean(), abs=2e-4)
    image = iio.imread(study.input) / 255.0
    target, trial = features(segmented(image)), features(section)
    expected = (np.abs(trial - target) / (1 + target)).mean()
    assert float(values["objective"]) == pytest.approx(expected, rel=2e-3)


def segmented(image: np.ndarray) -> np.ndarray:
    """Gaussian filter of one pixel, 0.95 of the local mean of an eighth of the image, and a median of 3 x 3 pixels."""
    smoothed = ndimage.gaussian_filter(image, 1.0, mode="nearest")
    window = tuple(2 * (n // 16) + 1 for n in image.shape)
    solid = smoothed > 0.95 * threshold_local(smoothed, window, method="mean", mode="nearest")
    return ndimage.median_filter(solid, 3, mode="nearest")


def test_the_micrograph_is_segmented_as_in_the_paper(study):
    solid = md.run(study, study.input.parent / "run").result["micrograph"].solid.values > 0
    assert (solid != segmented(iio.imread(study.input) / 255.0)).mean() < 1e-4  # grey values at the threshold


def test_parameters_of_the_search_and_interval_of_the_five_runs(study):
    """Widths up to 4.01 and 10.01 voxels, porosities 0.06 to 0.52, radii 1 to 4; mean +- 1.96 s / sqrt(5)."""
    run = md.open_run(study.input.parent / "run")
    trials = run.result["trials"].to_dataset().load()
    assert trials.sizes["replicate"] == 5
    widths = trials.sigma / 3.0
    assert float(widths[..., 0].max()) <= 4.01
    assert float(widths[..., 1].max()) <= 10.01
    assert 0.06 <= float(trials.porosity.min()) <= float(trials.porosity.max()) <= 0.52
    assert 1 <= float(trials.closing_radius.min()) / 3 <= float(trials.closing_radius.max()) / 3 <= 4
    porosity = run.result["structures"].volume_porosity.load()
    low, high = md.replicate_interval(porosity, 0.95)
    half = 1.96 * float(porosity.std("replicate", ddof=1)) / np.sqrt(5)
    assert float(high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert float(high + low) / 2 == pytest.approx(float(porosity.mean()), rel=1e-12)
