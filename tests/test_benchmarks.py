"""Every benchmark runs from start to end on its smallest input."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("[a-z]*.py"))


#: Benchmarks whose smallest input takes more than 25 s of one core. Each computes whole studies, as other tests do.
SLOW = {
    "anisotropic_voxels", "bench_calibration", "chamani_table", "characterize_quickstart", "faults", "flow_resolution",
    "flow_slabs", "graded_study", "micrograph_truths", "network_extraction", "quickstart_intervals",
    "reconstruct_coverage", "reconstruct_search", "reconstruct_truths", "several_images", "stokes", "tortuosity_slabs",
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
