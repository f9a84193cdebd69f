"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: `configs/`, `notebooks/` and `README.md` stand in it."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that are not part of the project, beside the checkout; absent on most machines."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference data not found: {folder} does not exist")
    return folder
