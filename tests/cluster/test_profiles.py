"""Merging of cluster profiles, the job scripts that follow from them, and commands of batch systems."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

import pytest

from membrane_dask.config import ClusterSettings
from membrane_dask.engine.cluster.driver_series import queued_drivers, submitted_profile
from membrane_dask.engine.cluster.profiles import profiles, resolve
from membrane_dask.engine.cluster.worker_jobs import worker_lifetime
from membrane_dask.engine.schedulers import batch_system
from membrane_dask.engine.schedulers.base import NOT_IN_QUEUE, SubmissionRefusedError, WorkerCommand, import_job_class
from membrane_dask.engine.schedulers.slurm import Slurm
from membrane_dask.errors import StudyError
from membrane_dask.files import write_json
from membrane_dask.study_file import parse_cluster

SYSTEMS = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """The folder of the user's profiles, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "membrane-dask"
    folder.mkdir(parents=True)
    return folder


def test_each_batch_system_has_a_profile():
    assert set(profiles()) == {*SYSTEMS, "local"}


@pytest.mark.parametrize("name", SYSTEMS)
def test_job_scripts_equal_the_golden_files(name, command):
    """To update a golden file, review the difference and write the output of the command below to it."""
    queue = [] if name == "htcondor" else ["--set", "queue=main"]
    process = command(
        "clusters", "show", name, "--set", "python=/opt/python/bin/python", "--set", "account=mine", *queue,
        "--set", "interface=ib0", "--set", "prologue=[module load python]",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    expected = (GOLDEN / f"{name}.txt").read_text()
    assert process.stdout == expected, "\n".join(difflib.unified_diff(expected.split("\n"), process.stdout.split("\n")))


def test_layers_override_one_another(home):
    (home / "clusters.yaml").write_text(
        "slurm:\n  queue: long\n  jobs: 7\nown:\n  scheduler: slurm\n  queue: own\n  walltime: 02:30:00\n"
    )
    merged = profiles()
    assert (merged["slurm"].queue, merged["slurm"].jobs, merged["slurm"].workers) == ("long", 7, 4)
    # A new profile starts from the one in the package, not from the user's `slurm`.
    assert (merged["own"].queue, merged["own"].jobs, merged["own"].walltime) == ("own", 4, 9000)
    study = resolve(ClusterSettings(profile="own", jobs=2))
    assert (study.queue, study.jobs, study.scheduler) == ("own", 2, "slurm")


def test_former_keys_are_accepted_with_a_warning(home):
    (home / "clusters.yaml").write_text("slurm:\n  about: fast\n  patience: 2 h\n")
    with pytest.warns(FutureWarning) as warnings:
        profile = profiles()["slurm"]
    assert (profile.description, profile.worker_timeout) == ("fast", 7200)
    messages = sorted(str(warning.message) for warning in warnings)
    assert len(messages) == 2
    assert "clusters.yaml:2:3: slurm.about is now slurm.description" in messages[0]
    assert "clusters.yaml:3:3: slurm.patience is now slurm.worker_timeout" in messages[1]


def test_a_key_under_both_names_is_refused(home):
    (home / "clusters.yaml").write_text("slurm:\n  worker_timeout: 1 h\n  patience: 2 h\n")
    with pytest.raises(StudyError, match=r"clusters.yaml:3:3: slurm.patience: .* keep 'worker_timeout'"):
        profiles()


def test_the_profile_of_a_run_submitted_by_version_0_1_is_read(tmp_path):
    """Its jobs.json holds the former keys; reading it gives no warning."""
    profile = {"name": "slurm", "scheduler": "slurm", "about": "jobs of Slurm", "patience": "3600 s", "jobs": 4}
    record = {"profile": profile, "chain": [0, 12], "drivers": [], "workers": ["7"], "workers_in": "Slurm"}
    write_json(tmp_path / "jobs.json", record)
    stored = submitted_profile(tmp_path)
    assert stored is not None
    assert (stored.scheduler, stored.description, stored.worker_timeout) == ("slurm", "jobs of Slurm", 3600.0)
    assert queued_drivers(tmp_path) == {}


def test_the_configuration_of_dask_jobqueue_applies(monkeypatch):
    """Keys that no profile sets come from jobqueue.yaml; directives of a profile replace those there."""
    import dask

    import_job_class(*Slurm.job_class)  # loads the defaults of dask-jobqueue
    site = {"jobqueue.slurm.account": "of-the-site", "jobqueue.slurm.job-extra-directives": ["--constraint=fast"]}
    with dask.config.set(site):
        site_profile = resolve(ClusterSettings(profile="slurm"))
        own_profile = resolve(ClusterSettings(profile="slurm", account="own", directives="--exclusive"))
        worker = WorkerCommand("tls://x:1", "w")
        site_script = batch_system(site_profile).worker_script(worker, "logs")
        own_script = batch_system(own_profile).worker_script(worker, "logs")
    assert "#SBATCH -A of-the-site\n" in site_script
    assert "#SBATCH --constraint=fast\n" in site_script
    assert "#SBATCH -A own\n" in own_script
    assert "#SBATCH --exclusive\n" in own_script
    assert "constraint" not in own_script


def test_the_size_of_a_job_follows_from_that_of_a_simulation():
    profile = resolve(parse_cluster("slurm", ["workers=3", "threads=2", "memory=2 GB"]))
    script = batch_system(profile).worker_script(WorkerCommand("tls://x:1", "w"), "logs")
    assert "--cpus-per-task=6\n" in script  # 3 simulations of 2 cores
    assert "--mem=6300M\n" in script  # 3 x 2 GB and 300 MB for the job itself
    assert "--nworkers 3 --nanny" in script
    assert "--nthreads 1 " in script  # one unit at a time in each process
    assert "export NUMBA_NUM_THREADS=2\n" in script


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("slurm:\n  wrokers: 3\n", ["clusters.yaml:2:3", "slurm.wrokers", "did you mean 'workers'?"]),
        ("slurm:\n  memory: 3\n", ["clusters.yaml:2:3", "slurm.memory", "a number with a unit"]),
        ("slurm:\n  walltime: 3\n", ["slurm.walltime", "a number with a unit", "90 min"]),
        ("slurm:\n  queue: \"a\\nb\"\n", ["slurm.queue", "must be one line"]),
        ("own:\n  queue: long\n", ["own.scheduler", "required", "slurm"]),
        ("own:\n  scheduler: slrum\n", ["own.scheduler", "did you mean 'slurm'?"]),
        ("../up:\n  scheduler: slurm\n", ["../up", "letters, digits"]),
        ("slurm: 3\n", ["slurm", "section of keys and values"]),
        ("slurm: !!python/object/apply:os.system [touch /tmp/never]\n", ["clusters.yaml"]),
    ],
)  # fmt: skip
def test_errors_in_a_file_of_profiles_name_line_and_key(home, text, messages):
    (home / "clusters.yaml").write_text(text)
    with pytest.raises(StudyError) as error:
        profiles()
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        ({"profile": "slrum"}, ["cluster.profile", "did you mean 'slurm'?", "membrane-dask clusters"]),
        ({"profile": "local", "queue": "main"}, ["cluster.queue", "on a batch system only"]),
        ({"profile": "htcondor", "queue": "main"}, ["cluster.queue", "HTCondor has no queues"]),
    ],
)
def test_unsupported_settings_are_refused(settings, messages):
    with pytest.raises(StudyError) as error:
        resolve(ClusterSettings.model_validate(settings))
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize("walltime", [60.0, 600.0, 3600.0, 86400.0])
def test_workers_stop_before_the_walltime(walltime):
    seconds, stagger = worker_lifetime(walltime)
    assert seconds - stagger > 0
    assert seconds + stagger < walltime
    assert walltime - seconds < max(0.35 * walltime, 1)  # most of the walltime is used
    assert stagger < seconds / 4


def test_spaces_in_a_path_are_refused(tmp_path):
    system = batch_system(resolve(ClusterSettings(profile="slurm")))
    with pytest.raises(SubmissionRefusedError, match="no spaces"):
        system.worker_script(WorkerCommand("tls://x:1", "w"), str(tmp_path / "my runs"))


# ---------------------------------------------------------------------------------------------
# Batch systems that are not installed here: their commands are replaced by scripts that print recorded output

LISTINGS = {
    "pbs": (
        "qstat",
        "Job Id: 11.head\n    Job_Name = w\n    job_state = Q\n    comment = Not Running: Insufficient\n\tamount of"
        " resource: ncpus\n    ctime = x\n\nJob Id: 12.head\n    job_state = R\n\nJob Id: 13.head\n    job_state = F\n",
        ("11.head", "12.head", "13.head", "14.head"),
        ("pending", "running", "ended", "ended"),
        "Not Running: Insufficient amount of resource: ncpus",
    ),
    "lsf": (
        "bjobs",
        "11|PEND|New job is waiting for scheduling;\n12|RUN|-\n13|EXIT|-\n",
        ("11", "12", "13", "14"),
        ("pending", "running", "ended", "ended"),
        "New job is waiting for scheduling;",
    ),
    "htcondor": (
        "condor_q",
        "11,1,undefined\n12,2,undefined\n13,4,undefined\n15,5,Out of disk\n",
        ("11", "12", "13", "14"),
        ("pending", "running", "ended", "ended"),
        "IDLE",
    ),
    "oar": (
        "oarstat",
        '{"11": {"state": "Waiting", "message": "no core is free"}, "12": {"state": "Running", "message": ""},'
        ' "13": {"state": "Terminated"}}\n',
        ("11", "12", "13", "14"),
        ("pending", "running", "ended", "ended"),
        "no core is free",
    ),
}
SUBMISSIONS = {
    "pbs": ("qsub", "11.head\n", "11.head", ["-W", "depend=afterany:7.head"]),
    "lsf": ("bsub", "Job <11> is submitted to queue <normal>.\n", "11", ["-w", "ended(7.head)"]),
    "htcondor": ("condor_submit", "Submitting job(s).\n1 job(s) submitted to cluster 11.\n", "11", []),
    "oar": ("oarsub", "[ADMISSION RULE] x 4\nOAR_JOB_ID=11\n", "11", ["-a", "7.head"]),
}


def _replace_command(folder: Path, name: str, output: str, code: int = 0) -> Path:
    """A script that records its arguments in a file, whose path is returned, and prints ``output``."""
    folder.mkdir(exist_ok=True)
    (folder / "output").write_text(output)
    script = folder / name
    script.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\ncat {folder}/output\nexit {code}\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return folder / "arguments"


@pytest.mark.parametrize("name", LISTINGS)
def test_job_states_are_read(name, tmp_path, monkeypatch):
    program, output, job_ids, states, reason = LISTINGS[name]
    _replace_command(tmp_path / "bin", program, output)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    jobs = batch_system(resolve(ClusterSettings(profile=name))).job_states(job_ids)
    assert [jobs[job_id].state for job_id in job_ids] == list(states)
    assert reason in jobs[job_ids[0]].description
    assert jobs[job_ids[3]] == NOT_IN_QUEUE


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_job_ids_are_read(name, tmp_path, monkeypatch):
    program, output, job_id, options = SUBMISSIONS[name]
    arguments = _replace_command(tmp_path / "bin", program, output)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    system = batch_system(resolve(ClusterSettings(profile=name)))
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n")
    assert system.submit(script, after="7.head") == job_id
    assert arguments.read_text().split()[: len(options)] == options
    _replace_command(tmp_path / "bin", program, "no such queue\n", code=1)
    with pytest.raises(SubmissionRefusedError, match="no such queue"):
        system.submit(script)
