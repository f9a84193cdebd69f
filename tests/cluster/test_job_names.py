"""Names and states of jobs in the listings of every batch system; ids that are no ids reach no command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.schedulers import batch_system
from membrane_dask.engine.schedulers.base import BatchSystem

#: Longer than the columns in which listings print names.
NAME = "worker-0123456789ab-c0ffee-12"
OTHER = "md-a_filter_with_a_long_name_0123456789-ba9876543210-c0ffee"
#: What each batch system's commands print for a job of that name and for another one.
LISTINGS = {
    "slurm": {"squeue": f"11|{NAME}\n12|{OTHER}\n"},
    "pbs": {
        "qselect": "11.head\n12.head\n",
        "qstat": f"Job Id: 11.head\n    Job_Name = {NAME}\n    job_state = Q\n\n"
        f"Job Id: 12.head\n    Job_Name = {OTHER[:50]}\n\t{OTHER[50:]}\n    job_state = R\n",
    },
    "lsf": {"bjobs": f"11|{NAME}\n12|{OTHER}\n"},
    "sge": {
        "qstat": "Notice: maintenance on Monday\n<?xml version='1.0'?><job_info><queue_info><job_list state='running'>"
        f"<JB_job_number>11</JB_job_number><JB_name>{NAME}</JB_name><state>r</state></job_list></queue_info>"
        f"<job_info><job_list state='pending'><JB_job_number>12</JB_job_number><JB_name>{OTHER}</JB_name>"
        "<state>qw</state></job_list></job_info></job_info>"
    },
    "htcondor": {"condor_q": f"11,{NAME}\n12,{OTHER}\n"},
    "oar": {
        "oarstat": f'{{"11": {{"name": "{NAME}", "state": "Running"}}, "12": {{"name": "{OTHER}", "state": "Hold"}}}}'
    },
}
#: States of jobs that have not ended for good, and of jobs that the batch system itself ended.
STATES = {
    "slurm": ("squeue", "{id}|{state}|None\n", ["REQUEUED", "REQUEUE_HOLD", "SUSPENDED"], ["COMPLETING"]),
    "pbs": ("qstat", "Job Id: {id}\n    job_state = {state}\n", ["S", "U", "H", "W"], ["E"]),
    "lsf": ("bjobs", "{id}|{state}|-\n", ["USUSP", "SSUSP", "PSUSP"], ["UNKWN"]),
    "sge": (
        "qstat",
        "<job_info><job_list><JB_job_number>{id}</JB_job_number><state>{state}</state></job_list></job_info>",
        ["Rq", "hRqw", "s", "S", "T"],
        ["Rr", "hr", "t"],
    ),
    "htcondor": ("condor_q", "{id},{state},undefined\n", ["1", "5", "7"], ["6"]),
    "oar": ("oarstat", '{{"{id}": {{"state": "{state}"}}}}', ["Suspended", "Resuming", "Hold"], ["Finishing"]),
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Replace commands by scripts that print a text and record their arguments in ``arguments``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def replace(outputs: dict[str, str]) -> Path:
        for name, output in outputs.items():
            (folder / f"{name}.out").write_text(output)
            (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/arguments\ncat {folder}/{name}.out\n')
            (folder / name).chmod(0o755)
        return folder / "arguments"

    return replace


def system_of(name: str) -> BatchSystem:
    return batch_system(resolve(ClusterSettings(profile=name)))


@pytest.mark.parametrize("name", LISTINGS)
def test_jobs_are_listed_with_their_full_names(name, commands):
    commands(LISTINGS[name])
    number = {"pbs": "{}.head"}.get(name, "{}")
    system = system_of(name)
    assert system.find_jobs("-0123456789ab-") == {number.format(11): NAME}
    assert system.find_jobs("-ba9876543210-") == {number.format(12): OTHER}
    assert system.find_jobs("-ffffffffffff-") == {}


@pytest.mark.parametrize("name", STATES)
def test_requeued_and_suspended_jobs_have_not_ended(name, commands):
    program, line, waiting, running = STATES[name]
    for state in [*waiting, *running]:
        commands({program: line.format(id="11", state=state)})
        expected = "pending" if state in waiting else "running"
        assert system_of(name).job_states(["11"])["11"].state == expected, state


def test_jobs_that_slurm_itself_ended_differ_from_those_that_failed(commands):
    for state, interrupted in (("PREEMPTED", True), ("NODE_FAIL", True), ("FAILED", False), ("TIMEOUT", False)):
        commands({"squeue": f"11|{state}|None\n"})
        job = system_of("slurm").job_states(["11"])["11"]
        assert (job.state, job.interrupted) == ("ended", interrupted), state


@pytest.mark.parametrize("name", LISTINGS)
def test_only_job_ids_reach_the_command_that_cancels(name, commands):
    system = system_of(name)
    arguments = commands({system.commands[2]: ""})
    for text in ("--user=root", "-u", "all", "11 --user=root", "11\n--user=root", "*", "", "11;ls"):
        assert system.cancel([text])
    assert not arguments.exists()
    job_id = "11.head" if name == "pbs" else "11"
    system.cancel(["--user=root", job_id])
    assert arguments.read_text().split() == [system.commands[2], *(["--"] if name == "slurm" else []), job_id]
