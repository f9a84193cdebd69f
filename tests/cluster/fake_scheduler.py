"""Commands of six batch systems, in the formats in which the real ones print, with a queue in a JSON file.

A test copies this file to ``bin/squeue``, ``bin/qsub`` and so on. ``$FAKE/queue.json`` holds the jobs by number, and
settings: ``banner`` (latin-1, printed first by every command), ``hidden`` (numbers that listings lack), ``silent``
(queries of one job print nothing), ``failures`` (list of [command, message, accepted], each used once), ``late``
(listings lack new jobs), ``delay`` (seconds before a failure), ``line`` (printed instead of an id). ``$FAKE/calls``
records the commands.
"""

import json
import os
import pwd
import sys
import time
from pathlib import Path

HOME = Path(os.environ["FAKE"])
USER = pwd.getpwuid(os.getuid()).pw_name
NAMES = {
    "slurm": ("PENDING", "RUNNING", "COMPLETED"), "pbs": ("Q", "R", "F"), "lsf": ("PEND", "RUN", "EXIT"),
    "sge": ("qw", "r", ""), "htcondor": ("1", "2", "4"), "oar": ("Waiting", "Running", "Terminated"),
}  # fmt: skip


def main() -> int:
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    data = json.loads((HOME / "queue.json").read_text())
    with (HOME / "calls").open("a") as stream:
        locale = {name: os.environ.get(name) for name in ("LC_ALL", "LANG", "LANGUAGE", "LC_MESSAGES")}
        stream.write(json.dumps({"command": [program, *arguments], "locale": locale}) + "\n")
    sys.stdout.buffer.write(data.get("banner", "").encode("latin-1"))
    sys.stdout.buffer.flush()
    system, jobs = data["system"], data["jobs"]
    failure = next((entry for entry in data.get("failures", ()) if entry[0] == program), None)
    if failure:
        data["failures"].remove(failure)
    if program in ("sbatch", "qsub", "bsub", "condor_submit", "oarsub"):
        if not failure or failure[2]:
            number = str(data["next"])
            data["next"] += 1
            jobs[number] = {"state": "pending", "name": data["name"], "reason": ""}
            if data.get("late"):
                data.setdefault("hidden", []).append(number)
        (HOME / "queue.json").write_text(json.dumps(data))
        if failure:
            time.sleep(data.get("delay", 0))
            print(failure[1], file=sys.stderr)
            return 1
        if data.get("line"):
            print(data["line"])
            return 0
        print({
            "slurm": "{}", "pbs": "{}.head", "lsf": "Job <{}> is submitted to queue <normal>.", "sge": "{}",
            "htcondor": "{0}.0 - {0}.0", "oar": "OAR_JOB_ID={}",
        }[system].format(number))  # fmt: skip
        return 0
    (HOME / "queue.json").write_text(json.dumps(data))
    if failure:
        print(failure[1], file=sys.stderr)
        return 1
    if program in ("scancel", "qdel", "bkill", "condor_rm", "oardel"):
        for word in arguments:
            jobs.pop(word.partition(".")[0], None)
        (HOME / "queue.json").write_text(json.dumps(data))
        return 0
    visible = {number: job for number, job in jobs.items() if number not in data.get("hidden", ())}
    return globals()[f"list_{system}"](program, arguments, data, visible)


def state_of(system: str, job: dict) -> str:
    return NAMES[system][("pending", "running", "ended").index(job["state"])]


def list_slurm(program, arguments, data, visible) -> int:
    if program == "scontrol":
        if data.get("silent"):
            return 0
        job = data["jobs"].get(arguments[-1])
        if job is None:
            print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
            return 1
        print(f"JobId={arguments[-1]} JobName={job['name']} JobState={state_of('slurm', job)} Reason=None ExitCode=0:0")
        return 0
    if arguments[arguments.index("-u") + 1] not in (USER, str(os.getuid())):
        return 0
    columns = arguments[arguments.index("-o") + 1]
    for number, job in visible.items():
        values = {"%i": number, "%T": state_of("slurm", job), "%r": job["reason"] or "None", "%j": job["name"]}
        for key, value in values.items():
            columns = columns.replace(key, value)
        print(columns)
        columns = arguments[arguments.index("-o") + 1]
    return 0


def list_pbs(program, arguments, data, visible) -> int:
    if program == "qselect":
        if arguments[1] == USER:
            print("\n".join(f"{number}.head" for number in visible))
        return 0
    numbers, code = [word.partition(".")[0] for word in arguments[1:]], 0
    for number in numbers:
        if number in visible:
            job = visible[number]
            print(f"Job Id: {number}.head\n    Job_Name = {job['name']}\n    job_state = {state_of('pbs', job)}")
            print(f"    comment = {job['reason']}\n    ctime = x\n" if job["reason"] else "")
        elif number not in data["jobs"] and not data.get("silent"):
            print(f"qstat: Unknown Job Id {number}.head", file=sys.stderr)
            code = 153
    return code


def list_lsf(program, arguments, data, visible) -> int:
    names = "job_name" in " ".join(arguments)
    for number, job in visible.items():
        if "-a" in arguments or number == arguments[-1]:
            print(f"{number}|{job['name']}" if names else f"{number}|{state_of('lsf', job)}|{job['reason'] or '-'}")
    if "-a" not in arguments and arguments[-1] not in data["jobs"] and not data.get("silent"):
        print(f"Job <{arguments[-1]}> is not found", file=sys.stderr)
        return 255
    if not visible:
        print("No job found", file=sys.stderr)
        return 255
    return 0


def list_sge(program, arguments, data, visible) -> int:
    if program == "qacct":
        print("no jobs running since startup", file=sys.stderr)
        return 1
    if "-j" in arguments:
        if data.get("silent"):
            return 0
        if arguments[-1] in data["jobs"]:
            print(f"{'=' * 62}\njob_number:                 {arguments[-1]}\nowner:    {USER}")
            return 0
        print(f"Following jobs do not exist: \n{arguments[-1]}", file=sys.stderr)
        return 1
    rows = [
        f"<job_list state='{job['state']}'><JB_job_number>{number}</JB_job_number><JB_name>{job['name']}</JB_name>"
        f"<state>{state_of('sge', job)}</state></job_list>"
        for number, job in visible.items()
        if job["state"] != "ended" and arguments[-1] == USER
    ]
    print(f"<?xml version='1.0'?>\n<job_info><queue_info>{''.join(rows)}</queue_info></job_info>")
    return 0


def list_htcondor(program, arguments, data, visible) -> int:
    if program == "condor_history":
        job = data["jobs"].get(arguments[0])
        if job and job["state"] == "ended" and not data.get("silent"):
            print(f"{arguments[0]},{state_of('htcondor', job)},undefined")
        return 0
    selected = [word for word in arguments[: arguments.index("-autoformat:,")]]
    for number, job in visible.items():
        if (not selected or number in selected) and job["state"] != "ended":
            names = "JobBatchName" in arguments
            print(f"{number},{job['name']}" if names else f"{number},{state_of('htcondor', job)},undefined")
    return 0


def list_oar(program, arguments, data, visible) -> int:
    if arguments[0] == "-j":
        jobs = {} if data.get("silent") else data["jobs"]
        visible = {number: job for number, job in jobs.items() if number == arguments[1]}
    elif arguments[1] != USER:
        visible = {}
    rows = {
        number: {"state": state_of("oar", job), "name": job["name"], "message": job["reason"]}
        for number, job in visible.items()
    }
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
