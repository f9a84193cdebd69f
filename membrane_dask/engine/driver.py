"""Driver of a run: checks what is on disk, computes the units that are open, and collects what follows from them."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Any

from membrane_dask.engine import layout, layout_record
from membrane_dask.engine.cluster.certificates import Certificates
from membrane_dask.engine.cluster.driver_series import DriverSeries
from membrane_dask.engine.cluster.pools import Pool, SyncPool, client_pool, open_pool
from membrane_dask.engine.confirmation import confirm, settings_that_act
from membrane_dask.engine.events import Event, Listener, Message, Progressed, Stage, Summary
from membrane_dask.engine.executor import Execution
from membrane_dask.engine.forecast import Forecast
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.logs import log_to_file, logger
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.provenance import Provenance
from membrane_dask.engine.run import Run
from membrane_dask.engine.software_check import SoftwareCheck
from membrane_dask.engine.unit_imports import UnitImports
from membrane_dask.errors import resuming_helps
from membrane_dask.files import DiskError, disk_errors


def drive_run(
    run: Run,
    plan: Plan,
    listener: Listener,
    *,
    limit: int | None = None,
    retry_failed: bool = False,
    series: DriverSeries | None = None,
    client: Any = None,
) -> Summary:
    """Work on a run that is laid out, as its only driver.

    Parameters
    ----------
    run : Run
        The run.
    plan : Plan
        Plan of its study.
    listener : callable
        Receives every event.
    limit : int, optional
        Stop after this number of units.
    retry_failed : bool
        Retry the units that failed.
    series : DriverSeries, optional
        The series to which this driver belongs, as a job with a time limit and a successor.
    client : distributed.Client, optional
        A connected client of the user's own cluster, in place of the cluster of the plan.

    Raises
    ------
    StudyError
        If the directory of the run cannot be worked on.
    RunBusyError
        If another driver works on the run.
    ClusterError
        If the cluster cannot be used or was lost; what is finished is kept.
    """
    run.require_present_layout("resumed")
    run.require_intact_layout(plan)
    journal = run.journal.summary()
    if journal.collected and not journal.failed and not os.access(run.path, os.W_OK):
        listener(Message(f"{run.path} is complete, and cannot be written: nothing to do; its files were not compared"))
        return Summary(journal.done, 0, 0, "finished")
    settings = plan.study.execution
    with disk_errors(run.path), DriverLock(run.path) as driver, log_to_file(run.path / "logs" / "driver.log"):
        Certificates.remove_stale(run.path)
        if series is None:
            confirm(dict(settings_that_act(plan.study.cluster)))
        provenance = Provenance(run.path)
        if damage := provenance.put_aside_if_damaged():
            listener(Message(damage))
        run.update_study(plan.study)
        reason, resume, is_complete = "error", False, False
        earlier, start = run.journal.summary(), time.monotonic()
        is_new = not earlier.done
        if plan.costs is not None:
            provenance.record_costs(plan.costs)
        forecast = Forecast(replace(plan, costs=plan.costs or provenance.costs()), earlier=earlier.tasks)

        def tell(event: Event) -> None:
            if not isinstance(event, Progressed) or event.finished:  # nothing new is no line of the log
                logger.info("%s", event)
            listener(event)
            if (estimate := forecast.estimate(event)) is not None:
                if limit is not None:  # the run ends before its last unit
                    estimate = replace(estimate, fraction=None, remaining=None)
                driver.expect_end(estimate.remaining)
                listener(estimate)

        def notify(text: str) -> None:
            tell(Message(text))

        software = SoftwareCheck(run.path, plan, notify)
        cluster = plan.cluster.model_dump(mode="json", exclude_none=True)
        provenance.started(cluster=cluster, sources=software.present.sources)
        try:
            software.require_equal_storage(run.batch)
            if driver.notice:
                notify(driver.notice)
            for note in plan.refused_imports() if is_new else ():
                notify(note)
            for name in layout_record.repair_layout(run.path, plan.program, run.batch):
                notify(f"{name} was missing or altered; it was laid out again")
            lost_tables = layout_record.damaged_collected(run.path)
            for name, problem in lost_tables:
                notify(f"{name} is {problem}; it is computed again")
            imports = UnitImports(run, plan.program, software.present, sync=settings.sync, notify=notify)
            execution = Execution(
                run.path, plan.program, run.batch, sum(run.counts.values()),
                retries=settings.retries, failure_limit=settings.failure_limit,
                timeout=settings.timeout, memory=plan.worker_memory(), sync=settings.sync, listener=tell,
                software=software, imports=imports, retry_failed=retry_failed,
                seconds=series.time_limit if series else None,
            )  # fmt: skip
            execution.resume(driver)
            if series:
                series.begin(len(execution.history))
            complete = not execution.has_open_units and not lost_tables and run.journal.collected()
            if complete and software.changed:
                notify(f"{software.changed}; the results are those of the recorded software, see: replay, or --fresh")
            if complete:
                layout_record.keep_consolidated(run.path)
            else:
                layout.remove_consolidated_metadata(run.path)
            if limit != 0 and software.accepted:
                execution.import_units(driver)
            idle = complete or (not execution.has_open_units and software.accepted)
            if limit == 0 or idle or not execution.may_proceed(driver):  # no cluster for nothing
                limit = 0
                workers: contextlib.AbstractContextManager[Pool] = contextlib.nullcontext(SyncPool())
            else:
                tell(Stage("starting workers"))
                workers = client_pool(client, notify) if client else open_pool(plan.cluster, run.path, notify)
            with workers as pool:
                if client:
                    forecast.set_workers(pool.slots)
                summary = execution.run(pool, driver, limit)
                collects = not summary.left and (lost_tables or not run.journal.collected())
                if collects and not execution.confirm_software(pool, driver):
                    summary, collects = replace(summary, reason="cancelled"), False
            if collects:
                execution.collect()
            if plan.costs is not None and limit != 0 and summary.reason == "finished":
                elapsed = time.monotonic() - start if is_new else None
                if (work := run.journal.summary().cpu_seconds) is not None:
                    notify(plan.comparison(work, elapsed))
            reason, resume = summary.reason, summary.reason == "time is up"
            is_complete = not summary.left and not summary.failed
            return summary
        except (KeyboardInterrupt, SystemExit):
            reason, resume = "interrupted", not driver.cancelled()
            raise
        except BaseException as error:
            reason, resume = f"{type(error).__name__}: {error}", resuming_helps(error)
            logger.exception("stopped")
            raise
        finally:
            with contextlib.suppress(DiskError):  # the error that stopped the run says more
                if series:
                    series.end(resume=resume, complete=is_complete)
                software.workers.save()
                provenance.stopped(reason=reason)
