"""Memory and CPUs that this process may use: those of its machine, or less where control groups (cgroups) limit them.

Containers, systemd services and jobs of batch systems are control groups, of version 1 or 2, often several inside one
another: the smallest limit of the process's own group and of its ancestors holds. Dask and psutil read the machine's
numbers, or those of the outermost group only.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

_GROUP = "the limit of this container or job"


@dataclass(frozen=True)
class Limit:
    """How much there is of a resource.

    Parameters
    ----------
    value : int
        Bytes or CPUs.
    source : str
        What limits it, for messages.
    is_group : bool
        Whether a control group does, so that another container or job may have more.
    """

    value: int
    source: str
    is_group: bool = False


def memory_limit(root: Path = Path("/")) -> Limit:
    """Memory of the machine or, if that is less, of the control groups of this process, in bytes.

    Parameters
    ----------
    root : Path
        Directory with ``proc`` and ``sys``.
    """
    import psutil

    smallest = Limit(int(psutil.virtual_memory().total), "the memory of this machine")
    groups = _groups("memory", root)
    # Above memory.high a group is slowed down until it hardly proceeds.
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [(path, _text(path)) for group in groups for folder in group for path in map(folder.joinpath, names)]
    # Version 1: includes the ancestors of what is mounted in a container.
    statistics = [group[0] / "memory.stat" for group in groups]
    limits += [(path, str(_fields(path).get("hierarchical_memory_limit"))) for path in statistics]
    for path, text in limits:
        if text.isdecimal() and int(text) < smallest.value:
            smallest = Limit(int(text), f"{_GROUP} ({path})", True)
    return smallest


def cpu_limit(root: Path = Path("/")) -> Limit:
    """CPUs on which this process may run or, if that is less, the CPU quota of its control groups, rounded up.

    Parameters
    ----------
    root : Path
        Directory with ``proc`` and ``sys``.
    """
    machine = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    source = "the CPUs of this machine" if allowed == machine else f"the CPUs of {machine} that this process may use"
    smallest = Limit(allowed, source)
    for folder in (folder for group in _groups("cpu", root) for folder in group):
        quotas = {
            folder / "cpu.max": _text(folder / "cpu.max").split(),
            folder / "cpu.cfs_quota_us": [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")],
        }
        for path, values in quotas.items():
            with contextlib.suppress(ValueError, ZeroDivisionError):  # "max", or no such file
                quota, period = (int(value) for value in values)
                if quota > 0 and (cpus := math.ceil(quota / period)) < smallest.value:
                    smallest = Limit(cpus, f"{_GROUP} ({path})", True)
    return smallest


def memory_kills(root: Path = Path("/")) -> int:
    """Number of processes that the system has ended as the control group of this process exceeded its memory.

    Parameters
    ----------
    root : Path
        Directory with ``proc`` and ``sys``.
    """
    files = [group[0] / name for group in _groups("memory", root) for name in ("memory.events", "memory.oom_control")]
    return max((_fields(path).get("oom_kill", 0) for path in files), default=0)


def _groups(controller: str, root: Path) -> list[list[Path]]:
    """Directories of the control group of this process that has a controller, and of its ancestors, for each mount."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, names, path = line.split(":", 2)
        if number == "0" or controller in names.split(","):
            paths["cgroup2" if number == "0" else "cgroup"] = path
    mounts: dict[str, tuple[str, str]] = {}  # of several mounts at one place the last one is visible
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields = [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field) for field in line.split(" ")]
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and controller in options):
            mounts[fields[4]] = (kind, fields[3])
        else:
            mounts.pop(fields[4], None)
    groups = []
    for mount, (kind, top) in mounts.items():
        if kind in paths:
            own = Path(os.path.relpath(paths[kind], top))
            # In a namespace of its own, what is mounted is the group of the container.
            own = Path() if ".." in own.parts else own
            groups.append([root / mount.lstrip("/") / path for path in (own, *own.parents)])
    return groups


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _fields(path: Path) -> dict[str, int]:
    """Lines ``name number`` of a file."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
