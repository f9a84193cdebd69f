"""Every benchmark runs from start to end on its smallest input."""

from __future__ import annotations

import os
import runpy
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
    "cli_latency", "design_intervals", "design_search", "durability", "engine_overhead", "explorer", "faults",
    "filter_life_laws", "flow_resolution", "flow_slabs", "foul_direct", "graded_calibration", "graded_study",
    "grey_volumes", "micrograph_truths", "network_extraction", "predicted_cost", "quickstart_intervals",
    "reconstruct_calibration", "reconstruct_coverage", "reconstruct_search", "reconstruct_truths", "remaining_time",
    "round_trip", "several_images", "stokes", "tortuosity_slabs", "virtual_bench", "volume_pipeline",
}  # fmt: skip


#: Benchmarks in processes of their own: those that start processes or set variables of the environment. The others run
#: in the process of the tests, as most take less time than the import of the package.
ALONE = SLOW | {"pressure_multigrid", "saturation"}


def _parameter(script: Path):
    return pytest.param(script, id=script.stem, marks=[pytest.mark.slow] if script.stem in SLOW else [])


@pytest.mark.parametrize("script", [_parameter(script) for script in SCRIPTS])
def test_a_benchmark_runs_with_its_smallest_input(script, tmp_path, monkeypatch, capsys):
    """In a folder without reference data. Packages of third parties may be absent: their rows are skipped."""
    if script.stem not in ALONE:
        monkeypatch.syspath_prepend(script.parent)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(script), "--smoke"])
        runpy.run_path(str(script), run_name="__main__")
        assert len(capsys.readouterr().out.splitlines()) >= 2
        return
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
