"""Tensors of permeability and diffusivity of periodic media: exact solutions, rotations, symmetry and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import pore_space

from membrane_dask.physics.sample_tensors import sample_tensor
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor, sample_permeability
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.tensors import lower_bound_tensor, principal_values
from membrane_dask.physics.transport.diffusivity_tensor import diffusivity_tensor, sample_diffusivity
from membrane_dask.physics.voxel_spacing import permuted
from membrane_dask.physics.winding import winding_pores


def laminate(width: int, period: int) -> np.ndarray:
    """Slits normal to x."""
    pores = np.zeros((4, 4, period), bool)
    pores[..., :width] = True
    return pores


def inclined_slits(cell: int, width: int) -> np.ndarray:
    """Slits along x and along the diagonal of z and y, ``width`` voxels wide along y."""
    z, y = np.indices((cell, cell))
    return np.repeat((((y - z) % cell) < width)[:, :, np.newaxis], 2, axis=2)


def random_cell(seed: int = 0, shape: tuple[int, int, int] = (20, 24, 28)) -> np.ndarray:
    """A cell of a medium with more conductance along z than along x."""
    return pore_space(shape, seed, 0.45, 2.0, mode="wrap")


def test_principal_values_of_a_rotated_tensor():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    expected = np.array([5.0, 2.0, 1e-3])
    values, directions = principal_values(axes.T @ np.diag(expected) @ axes)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(directions * axes, axis=1)), 1, rtol=1e-12)
    assert (directions[np.arange(3), np.abs(directions).argmax(axis=1)] > 0).all()
    np.testing.assert_array_equal(principal_values(np.zeros((3, 3)))[0], 0)


def test_the_lower_bound_is_the_best_combination_of_fields():
    # Two fields, of which the second is the first one but for rounding: it must not add anything.
    work = np.array([[2.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    dissipation = np.array([[4.0, 4.0], [4.0, 4.0]])
    expected = np.outer([2.0, 1, 0], [2.0, 1, 0]) / 4
    np.testing.assert_allclose(lower_bound_tensor(work, dissipation), expected, atol=1e-12)


def test_pores_that_lead_to_other_images_of_the_cell():
    pores = np.zeros((6, 6, 6), bool)
    pores[:, 0, 0] = True  # along z
    pores[2, 3, 1:5] = True  # closed
    pores[4, 4, [0, 5]] = True  # across a face of the cell, but it ends there
    winding = winding_pores(pores)
    np.testing.assert_array_equal(winding.spans, [True, False, False])
    np.testing.assert_array_equal(winding.pores, np.indices(pores.shape)[1:].sum(axis=0) == 0)
    # A helix: it returns to the same place after one cell along z and one along y.
    helix = inclined_slits(6, 1).copy()
    helix[..., 1] = False
    helix |= np.roll(helix, 1, axis=1)
    np.testing.assert_array_equal(winding_pores(helix).spans, [True, True, False])
    assert not winding_pores(np.zeros((3, 3, 3), bool)).spans.any()


@pytest.mark.parametrize("width", [2, 5])
def test_a_laminate(width):
    pores = laminate(width, 8)
    tensor = permeability_tensor(pores, tolerance=1e-4)
    along = width / 8 * width * width / 12  # exact for any width, as in a single slit
    np.testing.assert_allclose(tensor.lower, np.diag([along, along, 0]), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(tensor.upper, tensor.lower, rtol=2e-4, atol=1e-9)
    diffusivity = diffusivity_tensor(pores)
    np.testing.assert_allclose(diffusivity.lower, np.diag([width / 8, width / 8, 0]), atol=1e-7)
    np.testing.assert_allclose(diffusivity.upper, diffusivity.lower, atol=1e-7)


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
def test_a_laminate_of_unequal_edges(spacing):
    pores = laminate(5, 8)
    tensor = permeability_tensor(pores, tolerance=1e-4, spacing=spacing)
    along = 5 / 8 * (5 * spacing[2]) ** 2 / 12
    np.testing.assert_allclose(tensor.lower, np.diag([along, along, 0]), rtol=1e-4, atol=1e-9)
    diffusivity = diffusivity_tensor(pores, spacing=spacing)
    np.testing.assert_allclose(diffusivity.lower, np.diag([5 / 8, 5 / 8, 0]), atol=1e-6)
    sample = sample_diffusivity(pores, spacing=spacing)
    np.testing.assert_allclose(np.diag(sample.tensor)[:2], 5 / 8, rtol=1e-5)


def test_tensors_of_unequal_edges_in_rotated_volumes():
    pores, spacing = random_cell(3, (14, 18, 16)), (2.0, 1.0, 3.0)
    order = (2, 0, 1)
    index, rotated_spacing = np.ix_(order, order), permuted(spacing, order)
    rotated = np.ascontiguousarray(pores.transpose(order))
    expected = permeability_tensor(pores, tolerance=1e-3, spacing=spacing)
    result = permeability_tensor(rotated, tolerance=1e-3, spacing=rotated_spacing)
    np.testing.assert_allclose(result.lower, expected.lower[index], atol=2e-4 * expected.lower.max())
    np.testing.assert_allclose(result.upper, expected.upper[index], atol=2e-3 * expected.lower.max())
    assert np.linalg.eigvalsh(expected.upper - expected.lower).min() > -1e-5 * np.trace(expected.lower)
    diffusivity = diffusivity_tensor(pores, spacing=spacing)
    np.testing.assert_allclose(
        diffusivity_tensor(rotated, spacing=rotated_spacing).lower, diffusivity.lower[index], atol=1e-6
    )
    np.testing.assert_allclose(diffusivity.upper, diffusivity.lower, atol=1e-6)
    for function in (sample_permeability, sample_diffusivity):
        expected_sample = function(pores, spacing=spacing).tensor
        sample = function(rotated, spacing=rotated_spacing).tensor
        np.testing.assert_allclose(sample, expected_sample[index], atol=1e-3 * np.abs(expected_sample).max())


def test_inclined_slits():
    # The width across the slit is that along y over the root of 2; the walls are staircases, whose error in the
    # permeability, of first order, is 2 % here. Straight steps do not hinder diffusion along x; along the slit they do.
    cell, width = 48, 34
    pores = inclined_slits(cell, width)
    across, porosity = width / np.sqrt(2), width / cell
    tensor = permeability_tensor(pores, tolerance=1e-3)
    unit = np.array([1, 1, 0]) / np.sqrt(2)
    expected = porosity * across**2 / 12 * (np.outer(unit, unit) + np.diag([0, 0, 1]))
    np.testing.assert_allclose(tensor.lower, expected, rtol=0.03, atol=0.03 * expected[2, 2])
    values, directions = principal_values(tensor.lower)
    assert values[2] < 1e-6 * values[0]
    np.testing.assert_allclose(np.abs(directions[2]), [unit[0], unit[1], 0], atol=1e-3)  # normal to the slits
    diffusivity = diffusivity_tensor(pores)
    assert diffusivity.lower[2, 2] == pytest.approx(porosity, rel=1e-6)
    np.testing.assert_allclose(diffusivity.lower[:2, :2], porosity / 2, rtol=0.06)


def test_tensors_are_symmetric_and_their_bounds_hold():
    pores = random_cell()
    coarse, fine = permeability_tensor(pores, tolerance=0.05), permeability_tensor(pores, tolerance=1e-4)
    np.testing.assert_array_equal(fine.lower, fine.lower.T)
    np.testing.assert_array_equal(fine.upper, fine.upper.T)
    scale = np.trace(fine.lower)
    for low, high in ((coarse.lower, fine.lower), (fine.lower, coarse.upper), (fine.lower, fine.upper)):
        assert principal_values(high - low)[0].min() > -1e-5 * scale  # single precision
    assert np.abs(fine.lower[0, 1]) > 1e-3 * scale  # the axes are not principal ones
    gap = np.diag(fine.upper - fine.lower)
    assert (gap < 1.1e-4 * np.diag(fine.lower)).all()
    diffusivity = diffusivity_tensor(pores)
    np.testing.assert_allclose(diffusivity.lower, diffusivity.upper, atol=1e-6)
    values = principal_values(diffusivity.lower)[0]
    assert values.min() > 0
    assert values.max() < pores.mean()  # Wiener bound


def test_tensors_of_rotated_media():
    pores = random_cell(3)
    expected, diffusivity = permeability_tensor(pores, tolerance=1e-3).lower, diffusivity_tensor(pores).lower
    shifted = np.roll(pores, (5, 7, 11), (0, 1, 2))
    np.testing.assert_allclose(permeability_tensor(shifted, tolerance=1e-3).lower, expected, atol=2e-4 * expected.max())
    for order in ((1, 2, 0), (2, 1, 0)):
        rotated = np.ascontiguousarray(pores.transpose(order))
        index = np.ix_(order, order)
        np.testing.assert_allclose(
            permeability_tensor(rotated, tolerance=1e-3).lower, expected[index], atol=2e-4 * expected.max()
        )
        np.testing.assert_allclose(diffusivity_tensor(rotated).lower, diffusivity[index], atol=1e-6)
    # A mirror image along y changes the sign of what couples y with the other axes.
    signs = np.outer([1, -1, 1], [1, -1, 1])
    mirrored = permeability_tensor(pores[:, ::-1].copy(), tolerance=1e-3).lower
    np.testing.assert_allclose(mirrored, expected * signs, atol=2e-4 * expected.max())


def test_a_medium_with_mirror_symmetry_agrees_with_the_flow_between_symmetry_planes():
    # The mirror images of a volume between its faces form a periodic medium, whose tensor is diagonal.
    pores = pore_space((14, 12, 10), 4, 0.5, 1.5)
    cell = pores
    for axis in range(3):
        cell = np.concatenate([cell, np.flip(cell, axis)], axis)
    tensor = permeability_tensor(cell, tolerance=1e-3).lower
    along = [stokes(Grid.of(pores.transpose([(k + j) % 3 for j in range(3)]).copy()), 1e-3) for k in range(3)]
    np.testing.assert_allclose(np.diag(tensor), [flow.permeability for flow in along], rtol=2e-3)
    assert np.abs(tensor - np.diag(np.diag(tensor))).max() < 1e-3 * tensor.max()


def test_a_homogeneous_medium_in_a_volume_of_any_boundaries():
    rng = np.random.default_rng(1)
    factor = rng.standard_normal((3, 3))
    expected, forces = factor @ factor.T, np.eye(3) + 0.3 * rng.standard_normal((3, 3))
    result = sample_tensor(expected @ forces, forces)
    np.testing.assert_allclose(result.tensor, expected, rtol=1e-10)
    assert result.asymmetry < 1e-12
    # Flows that all have the same force determine nothing.
    assert np.isnan(sample_tensor(np.ones((3, 3)), np.ones((3, 3))).tensor).all()


def test_a_sample_of_many_periods_agrees_with_the_periodic_medium():
    # Obstacles that are elongated along the diagonal of z and y: the flow along z is deflected to y.
    z, y, x = np.indices((12, 12, 8)) - np.array([5.5, 5.5, 3.5]).reshape(3, 1, 1, 1)
    cell = ((z + y) / 6.8) ** 2 + ((z - y) / 3.4) ** 2 + (x / 3.4) ** 2 > 1
    sample = np.tile(cell, (4, 4, 3))
    for expected, result in (
        (permeability_tensor(cell, tolerance=1e-3).lower, sample_permeability(sample)),
        (diffusivity_tensor(cell).lower, sample_diffusivity(sample)),
    ):
        assert expected[0, 1] > 0.04 * expected[0, 0]
        # Layers of about a pore at the faces, of four and three periods, are not those of the medium.
        np.testing.assert_allclose(result.tensor, expected, atol=0.02 * expected[0, 0])
        assert result.tensor[0, 1] == pytest.approx(expected[0, 1], rel=0.1)
        assert result.asymmetry < 1e-3  # z and y are equivalent


def test_samples_with_and_without_walls_along_an_axis():
    pores = laminate(5, 8)
    tensor = sample_diffusivity(np.tile(pores, (2, 2, 2)))
    np.testing.assert_allclose(tensor.tensor, np.diag([5 / 8, 5 / 8, 0]), atol=1e-6)
    assert sample_diffusivity(np.zeros((4, 4, 4), bool)).tensor.max() == 0
