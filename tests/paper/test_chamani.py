"""The search of Chamani's program and its Table 1, compared with second implementations of their steps."""

from __future__ import annotations

import importlib
import json
import re

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
        # Response to a single number, which repeats along y as the noise does.
        repeated = ndimage.correlate1d(np.eye(PLANES)[0], taps, mode="wrap")
        deviation = np.sqrt(np.square(taps).sum() ** 2 * np.square(repeated).sum() / 12)
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


@pytest.mark.parametrize("sigma", [2.0, 6.0])
def test_a_trial_has_the_porosity_of_the_volume(study, sigma):
    """Before closing, as the quantiles of the authors' five planes and of their final volume have."""
    structure = TwoLayers(sigma_1=sigma, sigma_2=sigma, porosity=0.3, keep_variance=False)
    program = ReconstructProgram(study)
    units = [program._trial(0, number, {"structure": tasks.as_params(structure)}) for number in range(6)]
    sections = [float(tasks.work(program.context, unit)[0]["section_porosity"]) for unit in units]
    # Four standard errors; pixels of six sections are correlated within areas of 4 pi sigma^2.
    tolerance = 4 * np.sqrt(0.3 * 0.7 * 4 * np.pi * sigma**2 / (6 * DEPTH * WIDTH))
    assert np.mean(sections) == pytest.approx(0.3, abs=tolerance)


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


@pytest.fixture(scope="module")
def searches(study):
    """Run of the study."""
    return md.run(study, study.input.parent / "run")


def test_the_micrograph_is_segmented_as_in_the_paper(study, searches):
    solid = searches.result["micrograph"].solid.values > 0
    assert (solid != segmented(iio.imread(study.input) / 255.0)).mean() < 1e-4  # grey values at the threshold


def test_parameters_of_the_search_and_interval_of_the_five_runs(searches):
    """Widths up to 4.01 and 10.01 voxels, porosities 0.06 to 0.52, radii 1 to 4; mean +- 1.96 s / sqrt(5)."""
    trials = searches.result["trials"].to_dataset().load()
    assert trials.sizes["replicate"] == 5
    widths = trials.sigma / 3.0
    assert float(widths[..., 0].max()) <= 4.01
    assert float(widths[..., 1].max()) <= 10.01
    assert 0.06 <= float(trials.porosity.min()) <= float(trials.porosity.max()) <= 0.52
    assert 1 <= float(trials.closing_radius.min()) / 3 <= float(trials.closing_radius.max()) / 3 <= 4
    porosity = searches.result["structures"].volume_porosity.load()
    low, high = md.replicate_interval(porosity, 0.95)
    half = 1.96 * float(porosity.std("replicate", ddof=1)) / np.sqrt(5)
    assert float(high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert float(high + low) / 2 == pytest.approx(float(porosity.mean()), rel=1e-12)


@pytest.fixture(scope="module")
def benchmark(root):
    """Import a module of the benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        yield importlib.import_module


def test_intervals_of_the_papers_table_have_the_divisor_n(benchmark):
    """Its seven half-widths follow from the printed columns with the divisor N; only two of them also with N - 1."""
    columns = benchmark("_chamani_paper").TABLE_1.values()
    for column in columns:
        assert round(float(np.mean(column.searches)), column.digits) == column.mean
        assert round(column.half_width_by_divisor(unbiased=False), column.digits) == column.half_width
        assert abs(column.mean / column.original - 1) * 100 == pytest.approx(column.error, abs=1)
    unbiased = [round(column.half_width_by_divisor(unbiased=True), column.digits) for column in columns]
    assert sum(half == column.half_width for half, column in zip(unbiased, columns, strict=True)) == 2


def test_the_micrograph_of_the_study_shows_the_true_membrane(benchmark, root):
    micrograph = benchmark("chamani_table").steady_membrane().micrograph().astype(int)
    # Filters of other versions of SciPy round differently.
    assert abs(micrograph - iio.imread(root / "configs/steady-membrane.png")).max() <= 1


@pytest.mark.slow
def test_the_table_has_the_values_of_the_volumes(benchmark, tmp_path, monkeypatch):
    """Porosities from the volumes, throats and coordination numbers from the networks, the flow from another run."""
    table = benchmark("chamani_table")
    monkeypatch.chdir(tmp_path)
    inputs = table.small_inputs(tmp_path)
    comparison = table.compare(inputs, default=False)
    header, *rows = table.table_1(comparison)
    assert header == ["property", "#1", "#2", "#3", "mean ± 95 %", "true", "error"]
    cells = {row[0]: [float(number) for number in re.findall(r"[-+]?\d[\d.e+-]*", " ".join(row[1:]))] for row in rows}

    def assert_row(label: str, searches: list[float], true_value: float, digits: int) -> None:
        mean = np.mean(searches)
        half_width = 1.96 * np.std(searches, ddof=1) / np.sqrt(3)
        error = 100 * (mean / true_value - 1)
        rounding = 0.51 * 10.0**-digits
        *values, printed_error = cells[label]
        assert values == pytest.approx([*searches, mean, half_width, true_value], abs=rounding)
        assert printed_error == pytest.approx(error, abs=0.51)

    run = comparison.reconstructions["searches"]
    pores = [run.volume(f"structure-{number}").values == 0 for number in range(3)]
    true_pores = inputs.membrane.volume() == 0
    assert_row("porosity", [volume.mean() for volume in pores], true_pores.mean(), 3)
    last = slice(72, 96)
    assert_row("porosity, quarter 4", [volume[last].mean() for volume in pores], true_pores[last].mean(), 3)
    names = [f"network_{number}" for number in range(3)]
    networks = [comparison.structures["searches"].result[name].to_dataset() for name in names]
    networks.append(comparison.structures["true"].result["network_0"].to_dataset())
    throats = [(network.throat_conns.values[:, 1] >= 0).sum() for network in networks]  # without those to the faces
    coordination = [2 * n / network.sizes["pore"] for n, network in zip(throats, networks, strict=True)]
    assert_row("mean coordination number", coordination[:-1], coordination[-1], 2)
    assert set(comparison.flows) == {"true", *(f"search {number}" for number in range(3))}
    corner = tmp_path / "corner.npy"
    np.save(corner, np.where(pores[2][:, :24, :24], 0, 255).astype(np.uint8))
    flow = {"flow": {"enabled": True}, "tortuosity": False, "cluster": {"profile": "sync"}}
    settings = {"kind": "characterize", "input": str(corner), "voxel_size": "3 nm", **flow}
    (tmp_path / "corner.yaml").write_text(json.dumps(settings))
    permeance = md.run(tmp_path / "corner.yaml").result["properties"].permeance_psi
    assert cells["permeance, L m-2 h-1 psi-1"][2] == pytest.approx(float(permeance[0]), abs=0.051)
    benchmark("_chamani_figures").draw_figures(comparison, tmp_path)
    assert {path.name for path in tmp_path.glob("chamani-2023-*.png")} == {
        "chamani-2023-structures.png", "chamani-2023-distributions.png",
    }  # fmt: skip
