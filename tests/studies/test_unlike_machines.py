"""A study has the same bits on machines whose processors differ.

Other processors are described by the environment: the kernels of OpenBLAS, the features that NumPy and the C library
may use, and the processor for which Numba compiles.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("unlike_machine.py")


#: Features of this processor by which NumPy chooses its code, as it spells them.
FEATURES = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])


#: Environment of each machine. Without AVX-512 a processor of 2013 remains, without FMA and AVX2 one of 2008.
MACHINES = {
    "2013": {
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": " ".join(f for f in FEATURES if f not in ("X86_V3", "AVX2", "FMA3")),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F",
    },
    "2008": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX",
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    },
}


def results(folder: Path, studies: list[str], environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the script prints on a machine."""
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder), *studies]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_same(here: dict[str, dict[str, str]], there: dict[str, dict[str, str]]) -> None:
    """All digests are equal, although the machines differ."""
    if there["machine"] == here["machine"]:
        pytest.skip("this processor, its C library or its BLAS has no features that can be switched off")
    assert here["digests"].keys() == there["digests"].keys()
    assert [name for name, value in here["digests"].items() if there["digests"][name] != value] == []


# On demand: other kinds, of which most compile more, and the machine of 2013, of which that of 2008 lacks more. All of
# them compute with functions whose bits are equal everywhere: tests/test_fixed_arithmetic.py allows no others.
@pytest.mark.parametrize(
    ("name", "studies"),
    [
        ("2008", ["graded"]),
        pytest.param("2008", ["reconstruct", "direct", "porometry", "curves"], marks=pytest.mark.slow),
        pytest.param("2008", ["characterize", "foul"], marks=pytest.mark.slow),
        pytest.param("2013", ["graded", "reconstruct", "direct", "porometry", "curves"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_other_processors_compute_the_same_bits(name, studies, tmp_path):
    here = results(tmp_path / "here", studies, {})
    check_same(here, results(tmp_path / "there", studies, MACHINES[name]))
