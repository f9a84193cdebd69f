"""Profiles are laid over one another, and lead to exactly these job scripts."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

import pytest

from membrane_dask.config import ClusterSettings
from membrane_dask.engine import batch
from membrane_dask.engine.cluster.profiles import profiles, resolve
from membrane_dask.engine.cluster.worker_jobs import lifetime
from membrane_dask.errors import StudyError
from membrane_dask.study_file import parse_cluster

SYSTEMS = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Nobody's own profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "membrane-dask"
    folder.mkdir(parents=True)
    return folder


def test_every_profile_of_the_design_is_there():
    assert set(profiles()) == {*SYSTEMS, "local"}


@pytest.mark.parametrize("name", SYSTEMS)
def test_job_scripts_are_these(name, command):
    """To renew one, after reading what changed: the command below > tests/cluster/golden/NAME.txt."""
    queue = [] if name == "htcondor" else ["--set", "queue=main"]
    said = command(
        "clusters", "show", name, "--set", "python=/opt/python/bin/python", "--set", "account=mine", *queue,
        "--set", "interface=ib0", "--set", "prologue=[module load python]",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    expected = (GOLDEN / f"{name}.txt").read_text()
    assert said.stdout == expected, "\n".join(difflib.unified_diff(expected.split("\n"), said.stdout.split("\n")))


def test_layers_are_laid_over_one_another(home):
    (home / "clusters.yaml").write_text(
        "slurm:\n  queue: long\n  jobs: 7\nmine:\n  scheduler: slurm\n  queue: mine\n  walltime: 02:30:00\n"
    )
    found = profiles()
    assert (found["slurm"].queue, found["slurm"].jobs, found["slurm"].workers) == ("long", 7, 4)
    # One's own profile starts from what comes with the package, not from one's own `slurm`.
    assert (found["mine"].queue, found["mine"].jobs, found["mine"].walltime) == ("mine", 4, 9000)
    study = resolve(ClusterSettings(profile="mine", jobs=2))
    assert (study.queue, study.jobs, study.scheduler) == ("mine", 2, "slurm")


def test_what_dask_jobqueue_is_told_stays(monkeypatch):
    """Words that we do not set come from its own configuration, ours are added to its directives."""
    import dask

    batch._job_class(*batch.Slurm.job_class)  # brings dask-jobqueue's own defaults
    site = {"jobqueue.slurm.account": "of-the-site", "jobqueue.slurm.job-extra-directives": ["--constraint=fast"]}
    with dask.config.set(site):
        script = batch.batch_system(resolve(ClusterSettings(profile="slurm"))).worker_script(
            batch.WorkerCall("tls://x:1", "w"), "logs"
        )
        ours = resolve(ClusterSettings(profile="slurm", account="ours", directives="--exclusive"))
        other = batch.batch_system(ours).worker_script(batch.WorkerCall("tls://x:1", "w"), "logs")
    assert "#SBATCH -A of-the-site\n" in script
    assert "#SBATCH --constraint=fast\n" in script
    assert "#SBATCH -A ours\n" in other
    assert "#SBATCH --exclusive\n" in other
    assert "constraint" not in other


def test_size_of_a_job_follows_from_that_of_a_simulation():
    profile = resolve(parse_cluster("slurm", ["workers=3", "threads=2", "memory=2 GB"]))
    script = batch.batch_system(profile).worker_script(batch.WorkerCall("tls://x:1", "w"), "logs")
    assert "--cpus-per-task=6\n" in script  # 3 simulations of 2 cores
    assert "--mem=6300M\n" in script  # and 300 MB for the job itself
    assert "--nworkers 3 --nanny" in script
    assert "--nthreads 1 " in script  # never two units at a time in one process
    assert "export NUMBA_NUM_THREADS=2\n" in script


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slurm:\n  wrokers: 3\n", ["clusters.yaml:2:3", "slurm.wrokers", "did you mean 'workers'?"]),
        ("slurm:\n  memory: 3\n", ["clusters.yaml:2:3", "slurm.memory", "a number with a unit"]),
        ("slurm:\n  walltime: 3\n", ["slurm.walltime", "a number with a unit", "90 min"]),
        ("slurm:\n  queue: \"a\\nb\"\n", ["slurm.queue", "must be one line"]),
        ("mine:\n  queue: long\n", ["mine.scheduler", "required", "slurm"]),
        ("mine:\n  scheduler: slrum\n", ["mine.scheduler", "did you mean 'slurm'?"]),
        ("../up:\n  scheduler: slurm\n", ["../up", "letters, digits"]),
        ("slurm: 3\n", ["slurm", "section of names and values"]),
        ("slurm: !!python/object/apply:os.system [touch /tmp/never]\n", ["clusters.yaml"]),
    ],
)  # fmt: skip
def test_faults_of_a_file_of_profiles_are_named(home, text, words):
    (home / "clusters.yaml").write_text(text)
    with pytest.raises(StudyError) as error:
        profiles()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"profile": "slrum"}, ["cluster.profile", "did you mean 'slurm'?", "membrane-dask clusters"]),
        ({"profile": "local", "queue": "main"}, ["cluster.queue", "on a batch system only"]),
        ({"profile": "htcondor", "queue": "main"}, ["cluster.queue", "HTCondor has no queues"]),
    ],
)
def test_words_without_a_meaning_are_refused(settings, words):
    with pytest.raises(StudyError) as error:
        resolve(ClusterSettings.model_validate(settings))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("walltime", [60.0, 600.0, 3600.0, 86400.0])
def test_workers_leave_before_the_walltime(walltime):
    seconds, stagger = lifetime(walltime)
    assert seconds - stagger > 0
    assert seconds + stagger < walltime
    assert walltime - seconds < max(0.35 * walltime, 1)  # and do not waste it
    assert stagger < seconds / 4


def test_blanks_in_a_path_are_refused(tmp_path):
    system = batch.batch_system(resolve(ClusterSettings(profile="slurm")))
    with pytest.raises(batch.RefusedError, match="no blanks"):
        system.worker_script(batch.WorkerCall("tls://x:1", "w"), str(tmp_path / "my runs"))


# ---------------------------------------------------------------------------------------------
# Batch systems that do not run here: their commands, played back

ANSWERS = {
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
SUBMITTED = {
    "pbs": ("qsub", "11.head\n", "11.head", ["-W", "depend=afterany:7.head"]),
    "lsf": ("bsub", "Job <11> is submitted to queue <normal>.\n", "11", ["-w", "ended(7.head)"]),
    "htcondor": ("condor_submit", "Submitting job(s).\n1 job(s) submitted to cluster 11.\n", "11", []),
    "oar": ("oarsub", "[ADMISSION RULE] x 4\nOAR_JOB_ID=11\n", "11", ["-a", "7.head"]),
}


def _play(folder: Path, name: str, answer: str, code: int = 0) -> Path:
    """A command that writes down how it was called and gives this answer."""
    folder.mkdir(exist_ok=True)
    (folder / "answer").write_text(answer)
    script = folder / name
    script.write_text(f'#!/bin/sh\necho "$@" > {folder}/called\ncat {folder}/answer\nexit {code}\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return folder / "called"


@pytest.mark.parametrize("name", ANSWERS)
def test_queues_are_read(name, tmp_path, monkeypatch):
    program, answer, numbers, states, reason = ANSWERS[name]
    _play(tmp_path / "bin", program, answer)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = batch.batch_system(resolve(ClusterSettings(profile=name))).states(numbers)
    assert [found[number].state for number in numbers] == list(states)
    assert reason in found[numbers[0]].words
    assert found[numbers[3]] == batch.GONE


@pytest.mark.parametrize("name", SUBMITTED)
def test_submissions_are_read(name, tmp_path, monkeypatch):
    program, answer, number, words = SUBMITTED[name]
    called = _play(tmp_path / "bin", program, answer)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    system = batch.batch_system(resolve(ClusterSettings(profile=name)))
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n")
    assert system.submit(script, after="7.head") == number
    assert called.read_text().split()[: len(words)] == words
    _play(tmp_path / "bin", program, "no such queue\n", code=1)
    with pytest.raises(batch.RefusedError, match="no such queue"):
        system.submit(script)
