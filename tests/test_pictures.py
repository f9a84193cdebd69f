"""Three-dimensional pictures: what is in front, areas of projections, streamlines of a known flow."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from membrane_dask.io.exported_items import GridItem, NetworkItem
from membrane_dask.report.pictures import coarse_solid, draw_network, draw_solid, draw_streamlines
from membrane_dask.report.scene import Scene
from membrane_dask.report.streamlines import streamlines

RED, BLUE = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])


def test_a_sphere_has_its_projected_area_and_hides_what_is_behind():
    scene = Scene((100, 100, 100), 200)
    centre = np.array([[50.0, 50.0, 50.0]])
    scene.add_spheres(centre, np.array([20.0]), RED)
    area = np.isfinite(scene.depth).sum() / scene.scale**2
    assert area == pytest.approx(np.pi * 400, rel=0.01)  # the boundary is a pixel wide: 1 of 110
    towards_viewer = scene.view[2]
    scene.add_spheres(centre - 30 * towards_viewer, np.array([10.0]), BLUE)  # behind, and smaller
    assert not (scene.color == BLUE).all(axis=2).any()
    scene.add_spheres(centre + 30 * towards_viewer, np.array([10.0]), BLUE)
    front = (scene.color == BLUE).all(axis=2).sum() / scene.scale**2
    assert front == pytest.approx(np.pi * 100, rel=0.02)
    # The normal points towards the viewer in the middle.
    column, row, _ = scene.project(centre)[0]
    np.testing.assert_allclose(scene.normal[int(row), int(column)], [0, 0, 1], atol=0.1)


def test_a_tube_has_its_projected_area():
    scene = Scene((100, 100, 100), 200)
    across = np.array([50.0, 50.0, 50.0]) + 30 * np.outer([-1, 1], scene.view[0])  # perpendicular to the view
    scene.add_tubes(across[:1], across[1:], np.array([8.0]), RED)
    area = np.isfinite(scene.depth).sum() / scene.scale**2
    assert area == pytest.approx(60 * 16, rel=0.02)
    along = np.array([50.0, 50.0, 50.0]) + 30 * np.outer([-1, 1], scene.view[2])
    scene.add_tubes(along[:1], along[1:], np.array([8.0]), BLUE)  # seen along its axis
    assert not (scene.color == BLUE).all(axis=2).any()


def test_a_solid_box_shows_three_faces_and_a_pore_its_depth():
    solid = np.ones((20, 20, 20))
    scene = Scene((100, 100, 100), 150)
    scene.add_solid(solid)
    normals = np.unique(np.round(scene.normal[np.isfinite(scene.depth)] @ scene.view, 3), axis=0)
    assert sorted(map(tuple, normals)) == [(-1, 0, 0), (0, -1, 0), (0, 0, 1)]  # feed side, front, right
    solid[:12, 5:15, 5:15] = 0  # a pit in the feed side
    pit = Scene((100, 100, 100), 150)
    pit.add_solid(solid)
    both = np.isfinite(scene.depth) & np.isfinite(pit.depth)
    assert both.sum() == np.isfinite(scene.depth).sum()
    deeper = scene.depth[both] - pit.depth[both]
    assert deeper.min() > -1e-3
    assert 0.05 < (deeper > 1).mean() < 0.4
    image = pit.image()
    assert image.shape[2] == 4
    assert image[..., 3].max() == 1
    assert image[0, 0, 3] == 0  # nothing in the corner


def poiseuille() -> np.ndarray:
    """Flow along z between plates at the ends of x, 24 voxels apart."""
    x = np.arange(24) + 0.5
    velocity = np.zeros((3, 30, 6, 24), np.float32)
    velocity[0] = x * (24 - x)
    return velocity


def test_streamlines_are_straight_and_carry_equal_flows():
    lines = streamlines(poiseuille(), (2.0, 2.0, 2.0), 200)
    assert len(lines) == 200
    starts = []
    for points, speed in lines:
        assert np.ptp(points[:, 1:], axis=0).max() == 0
        assert points[0, 0] == pytest.approx(1)
        assert points[-1, 0] > 58
        np.testing.assert_allclose(np.diff(points[:, 0]), 1, rtol=1e-6)
        assert np.ptp(speed) < 1e-3 * speed[0]
        starts.append(points[0, 2])
    # The flow up to x is x^2 (3 - 2 x) of the width: half of the lines are between 0.326 and 0.674 of it.
    inside = (np.abs(np.array(starts) / 48 - 0.5) < 0.174).mean()
    assert inside == pytest.approx(0.5, abs=0.08)  # two standard deviations of 200 random lines
    assert streamlines(np.zeros((3, 4, 4, 4), np.float32), (1.0, 1.0, 1.0), 5) == []


def test_items_are_drawn():
    with mpl.rc_context():
        figure = Figure(figsize=(9, 3))
        axes = figure.subplots(1, 3)
        solid = np.random.default_rng(0).random((200, 9, 10)) < 0.5
        volume = GridItem(
            "phase",
            "",
            (200, 9, 10),
            (1.0, 1.0, 1.0),
            np.dtype(np.uint8),
            lambda a, b: 255 * solid[a:b].astype(np.uint8),
        )
        coarse = coarse_solid(volume)
        assert coarse.shape == (100, 5, 5)
        assert coarse[3, 1, 2] == solid[6:8, 2:4, 4:6].mean()
        assert coarse[3, 4, 2] == solid[6:8, 8:, 4:6].mean()
        draw_solid(axes[0], coarse, (200.0, 9.0, 10.0))
        position = 2.0 + 6.0 * np.stack(np.unravel_index(np.arange(4096), (16, 16, 16)), axis=1)
        network = NetworkItem(
            "", position, np.stack([np.arange(4096), np.arange(4096) - 1], axis=1),
            {"inscribed_radius": np.full(4096, 1.0)}, {"throat_inscribed_radius": np.full(4096, 0.5)},
            (100.0, 100.0, 100.0), lambda: None,
        )  # fmt: skip
        draw_network(axes[1], network)
        assert any(text.get_text() == "depth 90.14 nm" for text in axes[1].texts)  # 3000 of 4096 pores
        velocity = poiseuille()
        flow = GridItem(
            "velocity", "", (30, 6, 24), (2.0, 2.0, 2.0), np.dtype(np.float32), lambda a, b: velocity[:, a:b], True
        )
        draw_streamlines(axes[2], flow)
        assert [axis.get_ylabel() for axis in figure.axes[3:]] == ["inscribed pore radius [nm]", "speed [mm s⁻¹]"]
        figure.canvas.draw()
