"""Batch systems that run jobs: Slurm, PBS, LSF, Grid Engine, HTCondor and OAR."""

from __future__ import annotations

import os
import re
from pathlib import Path

from membrane_dask.engine.cluster.profiles import Profile
from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.engine.schedulers.grid_engine import GridEngine
from membrane_dask.engine.schedulers.htcondor import HTCondor
from membrane_dask.engine.schedulers.lsf import LSF
from membrane_dask.engine.schedulers.oar import OAR
from membrane_dask.engine.schedulers.pbs import PBS
from membrane_dask.engine.schedulers.slurm import Slurm

#: Classes by the value of `scheduler` in a profile.
BATCH_SYSTEM_CLASSES: dict[str, type[BatchSystem]] = {
    "slurm": Slurm, "pbs": PBS, "lsf": LSF, "sge": GridEngine, "htcondor": HTCondor, "oar": OAR,
}  # fmt: skip
#: Environment variables in which each batch system gives a job its id; HTCondor gives only the path of a job's record.
JOB_ID_VARIABLES = {
    "slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "sge": "JOB_ID", "htcondor": "_CONDOR_JOB_AD",
    "oar": "OAR_JOB_ID",
}  # fmt: skip


def batch_system(profile: Profile) -> BatchSystem:
    """The batch system of a profile."""
    return BATCH_SYSTEM_CLASSES[str(profile.scheduler)](profile)


def own_job_id(profile: Profile) -> str:
    """Id of the job in which this process runs; empty outside of jobs."""
    value = os.environ.get(JOB_ID_VARIABLES[str(profile.scheduler)], "")
    if profile.scheduler != "htcondor" or not value:
        return value
    try:
        cluster = re.search(r"^ClusterId\s*=\s*(\d+)", Path(value).read_text(errors="replace"), re.M)
    except OSError:
        return ""
    return cluster[1] if cluster else ""


def job_output_tail(folder: Path, job_id: str, lines: int = 12) -> str:
    """The last lines of a job's output files, which carry its id in their names.

    Parameters
    ----------
    folder : Path
        Folder of the output files.
    job_id : str
        Id of the job; its leading digits are compared.
    lines : int
        Number of lines of each file.
    """
    digits = re.match(r"\d+", job_id)
    if digits is None:
        return ""
    tails = []
    for path in sorted(folder.glob("*")):
        if path.suffix != ".sh" and path.is_file() and re.search(rf"(?<!\d){digits[0]}(?!\d)", path.name):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                tails.append("\n".join(text.splitlines()[-lines:]))
    return "\n".join(tails)
