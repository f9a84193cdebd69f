"""Memory and CPUs of containers and jobs: control groups of both versions, imitated as folders and, as root, real."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy

from membrane_dask.config import ClusterSettings
from membrane_dask.engine import limits, plan
from membrane_dask.engine.cluster.profiles import resolve
from membrane_dask.engine.control_groups import Limit, cpu_limit, memory_kills, memory_limit
from membrane_dask.engine.executor import Execution, _Batch
from membrane_dask.engine.run import prepare
from membrane_dask.engine.software_check import SoftwareCheck
from membrane_dask.engine.unit_imports import UnitImports
from membrane_dask.engine.worker import run_batch
from membrane_dask.errors import StudyError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are a feature of Linux")
V1 = "31 23 0:28 {top} /sys/fs/cgroup/{controller} rw,relatime shared:9 - cgroup cgroup rw,{controller}"
V2 = "31 23 0:28 {top} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate"
MEMORY, CPU = {"controller": "memory"}, {"controller": "cpu"}
NO_LIMIT = "9223372036854771712"


def imitation(root: Path, groups: str, mounts: list[str], files: dict[str, str]) -> Path:
    """A folder with what /proc/self says of this process, and files of /sys/fs/cgroup."""
    texts = {"proc/self/cgroup": groups, "proc/self/mountinfo": "\n".join(mounts) + "\n"}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "limit", "named"),
    [
        # A job of Slurm with task/cgroup: its limit is that of the job, two levels above the group of the process.
        ("4:memory:/slurm/uid_1/job_7/step_0/task_0", [V1.format(top="/", **MEMORY)],
         {"memory/slurm/uid_1/job_7/memory.limit_in_bytes": "2000000000",
          "memory/slurm/uid_1/job_7/step_0/task_0/memory.limit_in_bytes": NO_LIMIT,
          "memory/memory.limit_in_bytes": NO_LIMIT},
         2_000_000_000, "memory/slurm/uid_1/job_7/memory.limit_in_bytes"),
        # A container, whose group is mounted alone: the path in /proc is that on the host.
        ("4:memory:/docker/ab12", [V1.format(top="/docker/ab12", **MEMORY)],
         {"memory/memory.limit_in_bytes": "1000000000"}, 1_000_000_000, "memory/memory.limit_in_bytes"),
        ("4:memory:/", [V1.format(top="/", **MEMORY)],
         {"memory/memory.limit_in_bytes": "1000000000"}, 1_000_000_000, "memory/memory.limit_in_bytes"),
        # A group above the mounted one, whose limit only memory.stat shows.
        ("4:memory:/box/inner", [V1.format(top="/box/inner", **MEMORY)],
         {"memory/memory.limit_in_bytes": NO_LIMIT, "memory/memory.stat": "hierarchical_memory_limit 900000000"},
         900_000_000, "memory/memory.stat"),
        # Two controllers mounted together, at a path with a space; a later mount hides an earlier one.
        ("4:cpu,memory:/box", [V1.format(top="/", controller="cpu,memory").replace("cgroup/cpu", "cgroup/my\\040cpu")],
         {"my cpu,memory/box/memory.limit_in_bytes": "800000000"}, 800_000_000, "box/memory.limit_in_bytes"),
        ("4:memory:/box", [V1.format(top="/", **MEMORY), V1.format(top="/box", **MEMORY)],
         {"memory/memory.limit_in_bytes": "700000000"}, 700_000_000, "memory/memory.limit_in_bytes"),
        # systemd: MemoryMax of the slice, MemoryHigh of the service.
        ("0::/user.slice/md.service", [V2.format(top="/")],
         {"user.slice/memory.max": "3000000000", "user.slice/md.service/memory.max": "max",
          "user.slice/md.service/memory.high": "max"}, 3_000_000_000, "user.slice/memory.max"),
        ("0::/user.slice/md.service", [V2.format(top="/")],
         {"user.slice/memory.max": "3000000000", "user.slice/md.service/memory.high": "2000000000"},
         2_000_000_000, "user.slice/md.service/memory.high"),
        # A container with a namespace of its own, also after it was entered from outside.
        ("0::/", [V2.format(top="/")], {"memory.max": "600000000"}, 600_000_000, "cgroup/memory.max"),
        ("0::/../other", [V2.format(top="/")], {"memory.max": "600000000"}, 600_000_000, "cgroup/memory.max"),
        # Both versions mounted, the memory controller in version 1.
        ("4:memory:/box\n0::/box", [V1.format(top="/", **MEMORY), V2.format(top="/").replace("group rw", "group/2 rw")],
         {"memory/box/memory.limit_in_bytes": "500000000"}, 500_000_000, "memory/box/memory.limit_in_bytes"),
    ],
)  # fmt: skip
def test_the_smallest_memory_limit_of_all_groups_holds(tmp_path, groups, mounts, files, limit, named):
    result = memory_limit(imitation(tmp_path, groups, mounts, files))
    assert (result.value, result.is_group) == (limit, True)
    assert named in result.source


@pytest.mark.parametrize("text", [NO_LIMIT, "max", "", "100000000000000000"])
def test_without_a_limit_the_memory_is_that_of_the_machine(tmp_path, text):
    root = imitation(tmp_path, "0::/box", [V2.format(top="/")], {"box/memory.max": text})
    assert memory_limit(root).source == "the memory of this machine"
    assert memory_limit(tmp_path / "nothing") == memory_limit(root)


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "cpus"),
    [
        ("0::/a/b", [V2.format(top="/")], {"a/cpu.max": "250000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/", [V2.format(top="/")], {"cpu.max": "50000 100000"}, 1),
        ("1:cpu,cpuacct:/a", [V1.format(top="/", **CPU)],
         {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, 2),
        ("1:cpu:/a", [V1.format(top="/", **CPU)],
         {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 8),
        ("0::/a", [V2.format(top="/")], {"a/cpu.max": "max 100000"}, 8),
        ("", [], {}, 8),
    ],
)  # fmt: skip
def test_cpu_quotas_bound_the_cpus(tmp_path, monkeypatch, groups, mounts, files, cpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert cpu_limit(imitation(tmp_path, groups, mounts, files)).value == cpus


def test_the_affinity_of_the_process_bounds_its_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cpu_limit() == Limit(1, "the CPUs of 64 that this process may use")


def test_kills_are_those_of_the_own_group(tmp_path):
    """Of version 2, ancestors count the kills of other containers too."""
    files = {"memory.events": "oom 9\noom_kill 9", "box/memory.events": "low 0\noom 2\noom_kill 2"}
    assert memory_kills(imitation(tmp_path / "2", "0::/box", [V2.format(top="/")], files)) == 2
    files = {"memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3"}
    assert memory_kills(imitation(tmp_path / "1", "4:memory:/box", [V1.format(top="/", **MEMORY)], files)) == 3
    assert memory_kills(tmp_path) == 0


@pytest.fixture
def container(monkeypatch):
    """Sets the limits that a container would."""

    def limit(memory: float, cpus: int = 16) -> None:
        source = "the limit of this container or job (/sys/fs/cgroup/memory.max)"
        monkeypatch.setattr(plan, "memory_limit", lambda: Limit(int(memory), source, True))
        monkeypatch.setattr(plan, "cpu_limit", lambda: Limit(cpus, source, True))

    return limit


def test_limits_bound_number_and_memory_of_workers(container):
    container(10e9, cpus=4)
    profile = resolve(ClusterSettings())
    assert (plan.default_workers(profile), plan.worker_memory(profile)) == (4, 2_250_000_000)
    assert plan.default_workers(resolve(ClusterSettings(memory="3 GB"))) == 3
    assert plan.default_workers(resolve(ClusterSettings(threads=2))) == 2
    container(1e9)
    assert (plan.default_workers(profile), plan.worker_memory(profile)) == (1, 750_000_000)
    container(2e9)
    assert plan.default_workers(profile) == 4  # 1.75 GB: 400 MB for each
    assert plan.default_workers(resolve(ClusterSettings(workers=2))) == 2


def test_the_plan_has_as_many_workers_as_memory_for_their_units(container, monkeypatch):
    container(4e9)
    monkeypatch.setattr(toy.ToyProgram, "memory", lambda self: {"toy": 800_000_000})
    planned = toy.toy_plan()
    assert planned.cluster.workers == 3
    assert "1.2 GB for each worker; there are 4 GB, the limit of this container or job (/sys/fs/" in str(planned)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({}, "a worker has 750 MB of 1 GB, the limit of this container or job (/sys/fs/cgroup/memory.max); give"),
        ({"workers": 2}, "a worker has 375 MB of 1 GB, the limit of this container or job"),
        ({"profile": "sync"}, "a worker has 900 MB of 1 GB, the limit of this container"),
        ({"memory": "2 GB"}, "must be at most the memory that there is: 1 GB, the limit of this container"),
    ],
)  # fmt: skip
def test_what_does_not_fit_into_the_container_is_refused(container, monkeypatch, cluster, message):
    container(1e9)
    monkeypatch.setattr(toy.ToyProgram, "memory", lambda self: {"toy": 550_000_000})
    with pytest.raises(StudyError) as refused:
        toy.toy_plan(cluster=cluster)
    assert message in str(refused.value)


def test_too_many_workers_for_the_container_are_refused(container):
    container(2e9)
    with pytest.raises(StudyError, match=r"5 workers need 400 MB each .* are 2 GB, the .*; use at most 4"):
        toy.toy_plan(cluster={"workers": 5, "memory": "1 GB"})


def test_kills_on_other_hosts_are_reported(tmp_path, monkeypatch):
    """The next worker of a job finds the count of its control group; the driver's own shows nothing."""
    planned = toy.toy_plan(cluster={"profile": "sync"})
    run = prepare(planned, tmp_path / "run")
    software = SoftwareCheck(run.path, planned, print)
    execution = Execution(
        run.path, planned.program, run.batch, 60, retries=0, failure_limit=1.0, listener=print, software=software,
        imports=UnitImports(run, planned.program, software.present, sync=False, notify=print),
    )  # fmt: skip
    execution.enqueue()
    unit = execution.units["toy,row=0,column=3"]
    with monkeypatch.context() as node:
        node.setattr(limits, "memory_kills", lambda: 2)
        node.setattr(
            limits, "memory_limit", lambda: Limit(900_000_000, "the limit of this container or job (/x)", True)
        )
        node.setattr(limits.socket, "gethostname", lambda: "node7")
        run_batch(toy.work, execution._context, execution.sinks["toy"], [unit], execution._options)
    failure = execution._isolate(_Batch((unit,)), RuntimeError()).failures[unit.key]
    assert (
        "this unit ran on 2 workers, as one may die by chance, and each of them died; "
        "on node7 the system has killed 2 processes that " in (failure.error)
    )
    assert "more than 0.9 GB, the limit of this container or job (/x): give workers less work" in failure.error
    assert not limits.memory_notes(tmp_path)


# ---- real control groups


@contextlib.contextmanager
def _group(memory: int, quota: int):
    """A nested control group of version 1 with limits, and the command line that runs a command in it."""
    name = f"membrane-dask-test-{os.getpid()}"
    folders = [Path(f"/sys/fs/cgroup/{controller}/{name}/inner") for controller in ("memory", "cpu")]
    if os.geteuid() or not all(os.access(folder.parents[1], os.W_OK) for folder in folders):
        pytest.skip("control groups of version 1 cannot be made here")
    try:
        for folder in folders:
            folder.mkdir(parents=True)
        (folders[0].parent / "memory.limit_in_bytes").write_text(str(memory))
        (folders[1].parent / "cpu.cfs_quota_us").write_text(str(quota))
    except OSError as error:
        pytest.skip(f"control groups of version 1 cannot be made here: {error}")
    try:
        yield ["sh", "-c", " && ".join(f"echo $$ > {folder}/tasks" for folder in folders) + ' && exec "$@"', "sh"]
    finally:
        deadline = time.monotonic() + 10
        for folder in (path for inner in folders for path in (inner, inner.parent)):
            while folder.exists() and time.monotonic() < deadline:  # until the last process has left
                with contextlib.suppress(OSError):
                    folder.rmdir()
                time.sleep(0.05)


def _python(prefix, code, tmp_path, timeout):
    script = tmp_path / "script.py"
    script.write_text(code)
    command = [*prefix, sys.executable, script]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=tmp_path, env=environment)


def test_a_real_control_group(tmp_path):
    with _group(1_000_001_536, 100_000) as prefix:
        done = _python(prefix, "import toy; print(toy.toy_plan())", tmp_path, 60)
    assert done.returncode == 0, done.stderr
    assert "local, 1 worker\n" in done.stdout
    assert "there are 1 GB, the limit of this container or job (/sys/fs/cgroup/memory/membrane-dask" in done.stdout


OOM = """
import pathlib, toy
if __name__ == "__main__":
    run = toy.run_toy(pathlib.Path("run"), rows=1, columns=3, eating=[1], execution={"batch": 1, "retries": 0},
                      cluster={"workers": 1, "memory": "990 MB"})
    print(run.status(), run.failures[0]["error"])
"""


@pytest.mark.slow
def test_a_worker_that_the_system_kills_for_memory_is_reported_as_such(tmp_path):
    """Its own limit is so large that the control group kills it first."""
    with _group(1_000_001_536, -1) as prefix:
        done = _python(prefix, OOM, tmp_path, 200)
    assert done.returncode == 0, done.stderr
    assert "'done': 2, 'running': 0, 'failed': 1" in done.stdout
    assert "the system killed the worker process that ran this unit" in done.stdout
    assert "more than 1 GB, the limit of this container or job (/sys/fs/cgroup/memory/membrane-dask" in done.stdout
    assert "membrane-dask retry run" in done.stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_workers_keep_the_memory_of_small_arrays():
    """Arrays of 0.5 MB that are made and freed again and again cause hardly any page faults."""
    script = (
        "import resource, numpy as np\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(100):\n"
        "        arrays = [np.ones(65536) for _ in range(10)]\n"
        "        del arrays\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults()\n"
        "print(faults())\n"
    )
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | plan.environment()
    run = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    pages = 100 * 10 * 65536 * 8 // resource.getpagesize()
    assert int(run.stdout) < pages / 100, run.stdout  # nearly all of them where memory is given back every time
