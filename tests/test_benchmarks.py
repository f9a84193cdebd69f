"""Every benchmark runs from start to end on its smallest input."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("[a-z]*.py"))


#: Benchmarks whose smallest input takes more than 5 s of one core: on demand. They call the package as the others do,
#: and compute studies of which other tests compute smaller ones.
SLOW = {
    "anisotropic_voxels", "anisotropy", "bench_calibration", "chamani_table", "characterize_quickstart",
    "design_intervals", "durability", "engine_overhead", "faults", "filter_life_laws", "flow_resolution", "flow_slabs",
    "foul_direct", "graded_calibration", "graded_study", "grey_volumes", "micrograph_truths", "network_extraction",
    "predicted_cost", "quickstart_intervals", "reconstruct_calibration", "reconstruct_coverage", "reconstruct_search",
    "reconstruct_truths", "remaining_time", "several_images", "stokes", "tortuosity_slabs", "virtual_bench",
    "volume_pipeline",
}  # fmt: skip


def _parameter(script: Path):
    return pytest.param(script, id=script.stem, marks=[pytest.mark.slow] if script.stem in SLOW else [])


@pytest.mark.parametrize("script", [_parameter(script) for script in SCRIPTS])
def test_a_benchmark_runs_with_its_smallest_input(script, tmp_path):
    """In a folder without reference data. Packages of third parties may be absent: their rows are skipped."""
    completed = subprocess.run(
        [sys.executable, script, "--smoke"],
        cwd=tmp_path,
        # Compiled kernels are those of all tests: compiling them anew takes longer than most benchmarks.
        env={"MEMBRANE_DASK_CACHE": tempfile.gettempdir(), **os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert len(completed.stdout.splitlines()) >= 2, completed.stdout
