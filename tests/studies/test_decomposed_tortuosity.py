"""Tortuosity by slabs, compared with the same volume in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import exact_conductivity, pore_space

import membrane_dask as md
from membrane_dask.physics.transport.geodesic_paths import geodesic_distances, shortest_path
from membrane_dask.physics.transport.pore_space import PoreSpace
from membrane_dask.physics.voxel_spacing import CUBE
from membrane_dask.studies.characterize import decomposed_tortuosity, tortuosity_tasks

SYNC = {"profile": "sync"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tortuosity")
    np.save(folder / "volume.npy", np.where(pore_space((110, 24, 28), 3, 0.35, sigma=2.0), 0, 255).astype(np.uint8))
    path = folder / "study.yaml"
    path.write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 3 nm\n")
    return path


def characterized(study, run, **settings):
    settings.setdefault("cluster", SYNC)
    finished = md.run(md.load_study(study, **settings), run)
    assert finished.status()["state"] == "complete"
    return finished


def properties(run):
    return run.result["properties"].to_dataset().isel(replicate=0)


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    return characterized(study, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def divided(study, tmp_path_factory):
    return characterized(study, tmp_path_factory.mktemp("divided") / "run", tortuosity_slab_thickness=26)


def test_slabs_give_the_same_tortuosity(whole, divided):
    assert divided.counts["pore_slabs"] == 4
    a, b = properties(whole), properties(divided)
    assert float(b.tortuosity_geometric) == float(a.tortuosity_geometric)
    # The fluxes through all planes agree to 1e-3 in both.
    assert float(b.effective_diffusivity) == pytest.approx(float(a.effective_diffusivity), rel=1e-3)
    assert 0 < float(b.diffusion_flux_spread) <= 1e-3
    for lower, upper in ((a, b), (b, a)):  # the bounds hold for the same discrete problem
        assert (
            0.98 * upper.effective_diffusivity < lower.effective_diffusivity_lower_bound < upper.effective_diffusivity
        )


# On demand: workers. Those of tests/studies/test_graded_study.py and tests/engine/test_execute.py do not show either.
@pytest.mark.parametrize(
    ("planes", "cluster"), [(20, SYNC), pytest.param(52, {"workers": 2}, marks=pytest.mark.slow)], ids=str
)
def test_results_do_not_depend_on_slabs_and_workers(study, divided, values_of, tmp_path, planes, cluster):
    run = characterized(study, tmp_path / "run", tortuosity_slab_thickness=planes, cluster=cluster)
    assert run.counts["pore_slabs"] == {20: 5, 52: 2}[planes]
    assert values_of(run) == values_of(divided)


def test_an_interrupted_run_is_resumed(study, divided, values_of, interrupt_and_resume, tmp_path):
    path = study.with_name("killed.yaml")
    path.write_text(study.read_text() + "tortuosity_slab_thickness: 26\n")
    interrupt_and_resume(path, tmp_path / "run", after=25)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(divided)


def labyrinth() -> np.ndarray:
    """A path that leads from one face to the other, back and forth again, and two ducts that end in the middle."""
    pores = np.zeros((80, 30, 12), bool)
    pores[:, 2:5, 2:5] = True
    pores[78, 2:5, 2:5] = False  # at high z it leads on behind a wall only
    pores[70:73, 2:15, 2:5] = pores[4:73, 12:15, 2:5] = pores[4:7, 12:25, 2:5] = pores[4:, 22:25, 2:5] = True
    pores[:50, 8:10, 8:11] = pores[30:, 17:19, 8:11] = True
    return pores


def chambers() -> np.ndarray:
    """Two chambers, connected by a neck of one voxel."""
    pores = np.zeros((60, 14, 14), bool)
    pores[:28, 1:-1, 1:-1] = pores[32:, 1:-1, 1:-1] = True
    pores[28:32, 7, 7] = True
    return pores


# On demand: cubes, whose edges enter the numbers as those of other voxels do.
@pytest.mark.parametrize(
    ("volume", "spacing"),
    [
        (labyrinth, (1.0, 2.0, 3.0)), (chambers, (2.0, 1.0, 3.0)),
        pytest.param(labyrinth, CUBE, marks=pytest.mark.slow), pytest.param(chambers, CUBE, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_difficult_paths(volume, spacing, tmp_path):
    pores = volume()
    np.save(tmp_path / "volume.npy", np.where(pores, 0, 255).astype(np.uint8))
    path = tmp_path / "study.yaml"
    size = f"[{', '.join(f'{3 * edge} nm' for edge in spacing)}]"
    path.write_text(f"kind: characterize\ninput: volume.npy\nvoxel_size: {size}\ntortuosity_slab_thickness: 20\n")
    slabs = properties(characterized(path, tmp_path / "slabs"))
    space = PoreSpace.of([pores], pores.shape)
    distance = geodesic_distances(space, spacing)
    assert float(slabs.tortuosity_geometric) == shortest_path(space, distance, spacing=spacing)
    # The fluxes through all planes agree to 1e-3.
    exact = exact_conductivity(pores, spacing)
    assert float(slabs.effective_diffusivity) == pytest.approx(exact, rel=1e-3)
    # Conductances are rounded by 3e-5.
    assert 0.9 * exact < float(slabs.effective_diffusivity_lower_bound) < exact * (1 + 1e-4)


def test_pores_that_lead_nowhere(tmp_path):
    pores = labyrinth()
    pores[40] = False
    np.save(tmp_path / "volume.npy", np.where(pores, 0, 255).astype(np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 3 nm\ntortuosity_slab_thickness: 20\n")
    result = properties(characterized(path, tmp_path / "run"))
    assert np.isnan(result.tortuosity_geometric)
    assert float(result.effective_diffusivity) == 0.0


@pytest.mark.parametrize(
    ("limit", "message"),
    [("MAX_ITERATIONS", "after 2 iterations the flux still differs by"), ("MAX_VISITS", "more than 2 times")],
)
def test_iterations_that_do_not_end_fail_with_a_fix(study, tmp_path, monkeypatch, limit, message):
    for module in (decomposed_tortuosity, tortuosity_tasks):
        monkeypatch.setattr(module, limit, 2)
    np.save(tmp_path / "volume.npy", np.where(labyrinth(), 0, 255).astype(np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text("kind: characterize\ninput: volume.npy\nvoxel_size: 3 nm\ntolerance: 1e-4\n")
    settings = {"tortuosity_slab_thickness": 20, "execution": {"retries": 0}, "cluster": SYNC}
    run = md.run(md.load_study(path, **settings), tmp_path / "run")
    assert [failure["key"] for failure in run.failures] == ["tortuosity,replicate=0"]
    assert message in run.failures[0]["error"]
    assert "set tortuosity_slab_thickness to the depth" in run.failures[0]["error"]
