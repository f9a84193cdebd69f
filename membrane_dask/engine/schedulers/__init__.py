"""Batch systems that run jobs: Slurm, PBS, LSF, Grid Engine, HTCondor and OAR."""

from __future__ import annotations

import os
import re
from pathlib import Path

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.grid_engine import SGE
from membrane_dask.engine.schedulers.htcondor import HTCondor
from membrane_dask.engine.schedulers.lsf import LSF
from membrane_dask.engine.schedulers.oar import OAR
from membrane_dask.engine.schedulers.pbs import PBS
from membrane_dask.engine.schedulers.slurm import Slurm

SYSTEMS: dict[str, type[BatchSystem]] = {
    "slurm": Slurm, "pbs": PBS, "lsf": LSF, "sge": SGE, "htcondor": HTCondor, "oar": OAR,
}  # fmt: skip
#: Where a job of each batch system reads its own number.
OWN_NUMBER = {
    "slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "sge": "JOB_ID", "htcondor": "_CONDOR_JOB_AD",
    "oar": "OAR_JOB_ID",
}  # fmt: skip


def own_number(profile: Profile) -> str:
    """Number of the job that this process runs in; empty outside of any."""
    return os.environ.get(OWN_NUMBER[str(profile.scheduler)], "")


def batch_system(profile: Profile) -> BatchSystem:
    """The batch system of a profile."""
    return SYSTEMS[str(profile.scheduler)](profile)


def last_words(folder: Path, number: str, lines: int = 12) -> str:
    """The end of what a job wrote, from whichever file its batch system put it in."""
    digits = re.escape(re.match(r"\d+", number).group(0))  # type: ignore[union-attr]
    found = []
    for path in sorted(folder.glob("*")):
        if path.suffix != ".sh" and path.is_file() and re.search(rf"(?<!\d){digits}(?!\d)", path.name):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                found.append("\n".join(text.splitlines()[-lines:]))
    return "\n".join(found)
