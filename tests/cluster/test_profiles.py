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
from membrane_dask.engine.schedulers.base import SubmissionRefusedError, WorkerCommand, import_job_class
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
def test_job_scripts_equal_the_golden_files(name, command_here):
    """To update a golden file, review the difference and write the output of the command below to it."""
    queue = [] if name == "htcondor" else ["--set", "queue=main"]
    process = command_here(
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
        ("slurm:\n  walltime: 3\n", ["slurm.walltime", "a number with a unit", "'3 min'", "Slurm"]),
        ("slurm:\n  walltime: 01:30\n", ["slurm.walltime", "ambiguous", "'00:01:30'", "'01:30:00'"]),
        ("slurm:\n  walltime: 90:00\n", ["slurm.walltime", "ambiguous", "'01:30:00'", "'90:00:00'"]),
        ("slurm:\n  walltime: UNLIMITED\n", ["slurm.walltime", "a limit is needed", "30 days"]),
        ("slurm:\n  driver_ports: 99999\n", ["slurm.driver_ports", "within 1-65535", "'9000-9100'"]),
        ("slurm:\n  worker_ports: 9100-9000\n", ["slurm.worker_ports", "within 1-65535"]),
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
        ({"profile": "sge", "memory_request": "per_node"}, ["cluster.memory_request", "`directives`", "h_vmem"]),
        ({"profile": "pbs", "memory_request": "per_cpu"}, ["cluster.memory_request", "per_node, none"]),
        ({"profile": "local", "driver_ports": 8786}, ["cluster.driver_ports", "on a batch system only"]),
        ({"profile": "slurm", "worker_ports": "9000-9006"}, ["cluster.worker_ports", "4 workers need 8"]),
    ],
)
def test_unsupported_settings_are_refused(settings, messages):
    with pytest.raises(StudyError) as error:
        resolve(ClusterSettings.model_validate(settings))
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("01:30:00", 5400), ("1-12", 129600), ("1-12:30", 131400), ("1-02:00:00", 93600), ("1-0:30", 88200),
        ("100:00:00", 360000), ("2 h", 7200), ("90min", 5400), ("1 day", 86400),
    ],
)  # fmt: skip
def test_durations_are_read_as_slurm_reads_them(text, seconds):
    assert resolve(parse_cluster("slurm", [f"walltime={text}"])).walltime == seconds


@pytest.mark.parametrize("text", ["90", "90:00", "01:30", "infinite", "UNLIMITED", "PT2H", "0:10:00.5", "2h30m", "0-0"])
def test_durations_that_batch_systems_read_differently_are_refused(text):
    with pytest.raises(StudyError, match="walltime"):
        parse_cluster("slurm", [f"walltime={text}"])


def _script(name: str, site: dict[str, object] | None = None, **settings: object) -> str:
    """Script of a worker job with settings of dask-jobqueue's own configuration and of the profile."""
    import dask

    import_job_class(*Slurm.job_class)
    with dask.config.set({f"jobqueue.{name}.{key}": value for key, value in (site or {}).items()}):
        system = batch_system(resolve(ClusterSettings.model_validate({"profile": name, **settings})))
        return system.worker_script(WorkerCommand("tls://x:1", "w"), "logs")


def test_the_site_skips_directives_and_adds_its_own(monkeypatch):
    """Also those that this package adds; arguments, prologue, interpreter and shebang of the site are kept."""
    script = _script(
        "slurm",
        {
            "job-directives-skip": ["--mem=", "--cpus-per-task", "-N 1"],
            "job-extra-directives": ["--mem-per-cpu=900M"],
            "shebang": "#!/usr/bin/env bash -l", "job-script-prologue": ["module load site"], "python": "/site/python",
            "worker-extra-args": ["--resources", "gpu=1"], "job-mem": "0GB",
        },
    )  # fmt: skip
    directives = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert not any(text in line for line in directives for text in ("--mem=", "--cpus-per-task", "-N 1"))
    assert "#SBATCH --mem-per-cpu=900M" in directives
    assert "#SBATCH -n 1" in directives
    assert script.startswith("#!/usr/bin/env bash -l\n")
    assert "\nmodule load site\n" in script
    assert "exec /site/python -m distributed.cli.dask_worker" in script
    assert "--resources gpu=1" in script
    own = _script("slurm", {"job-script-prologue": ["module load site"]}, prologue=["module load mine"])
    assert "module load site" not in own
    assert "#$ -pe" not in _script("sge", {"job-directives-skip": ["-pe "]})
    assert "RequestMemory" not in _script("htcondor", {"job-directives-skip": ["RequestMemory", "absent"]})


@pytest.mark.parametrize(
    ("name", "request_", "present", "absent"),
    [
        ("slurm", "per_node", "#SBATCH --mem=4300M\n", "--mem-per-cpu"),
        ("slurm", "per_cpu", "#SBATCH --mem-per-cpu=1075M\n", "--mem="),
        ("slurm", "none", "#SBATCH --cpus-per-task=4\n", "--mem"),
        ("pbs", "none", "select=1:ncpus=4\n", ":mem="),
        ("lsf", "per_cpu", "#BSUB -M 1075000\n", "4300"),
        ("lsf", "none", "#BSUB -n 4\n", "-M "),
        ("htcondor", "none", "RequestCpus = 4\n", "RequestMemory"),
        ("oar", "none", "core=4", "#OAR -p"),
        ("sge", "none", "-pe smp 4", "-l h_vmem"),
    ],
)
def test_memory_is_requested_as_the_site_wants(name, request_, present, absent):
    script = _script(name, memory_request=request_)
    header = script.split("exec ")[0]
    assert present in header
    assert absent not in header
    if name == "slurm":  # what the profile says wins over what the site's configuration skips
        forced = _script(name, {"job-directives-skip": ["--mem"]}, memory_request=request_)
        assert present in forced


def test_oar_requests_memory_per_core_by_the_property_of_the_site():
    assert "#OAR -p mem_core>=" in _script(
        "oar", {"memory-per-core-property-name": "mem_core"}, memory_request="per_cpu"
    )
    with pytest.raises(SubmissionRefusedError, match="memory-per-core-property-name"):
        _script("oar", memory_request="per_cpu")


def test_interfaces_and_ports_of_driver_and_workers():
    keys = {"interface": "ib0", "worker_interface": "eth1", "worker_ports": "9000-9019", "driver_ports": "8786"}
    script = _script("slurm", **keys)
    assert "--interface eth1" in script
    assert "--worker-port 9000:9019 --nanny-port 9000:9019" in script
    system = batch_system(resolve(ClusterSettings.model_validate({"profile": "slurm", **keys})))
    assert system.scheduler_options() == {"interface": "ib0"}
    assert system.profile.driver_ports == (8786, 8786)
    assert "--interface ib0" in _script("slurm", interface="ib0")
    stored = system.profile.model_dump(mode="json", exclude_none=True)
    assert (stored["driver_ports"], stored["worker_ports"]) == ("8786", "9000-9019")


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
        ("11.head", "12.head", "13.head"),
        ("pending", "running", "ended"),
        "Not Running: Insufficient amount of resource: ncpus",
    ),
    "lsf": (
        "bjobs",
        "11|PEND|New job is waiting for scheduling;\n12|RUN|-\n13|EXIT|-\n",
        ("11", "12", "13"),
        ("pending", "running", "ended"),
        "New job is waiting for scheduling;",
    ),
    "htcondor": (
        "condor_q",
        "11,1,undefined\n12,2,undefined\n13,4,undefined\n15,5,Out of disk\n",
        ("11", "12", "13"),
        ("pending", "running", "ended"),
        "IDLE",
    ),
    "oar": (
        "oarstat",
        '{"11": {"state": "Waiting", "message": "no core is free"}, "12": {"state": "Running", "message": ""},'
        ' "13": {"state": "Terminated"}}\n',
        ("11", "12", "13"),
        ("pending", "running", "ended"),
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
