"""The Dask scheduler of a driver: its network interface and its port."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator
from typing import Any

from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.errors import ClusterError


def start_scheduler(system: BatchSystem, security: Any) -> Any:
    """Start a Dask scheduler in this process, on the first free port of the profile's `driver_ports`.

    Parameters
    ----------
    system : BatchSystem
        Batch system whose jobs will connect to it.
    security : distributed.Security or None
        Certificates of the driver.

    Returns
    -------
    distributed.SpecCluster
        Cluster without workers, whose ``scheduler`` runs.

    Raises
    ------
    ClusterError
        If it does not start; with the key of the profile that may help.
    """
    from distributed import Scheduler, SpecCluster

    profile, site = system.profile, system.scheduler_options()
    options = {"protocol": "tls://" if security else "tcp://", "security": security, "dashboard_address": "127.0.0.1:0"}
    ports = profile.driver_ports or (site.pop("port", 0),) * 2
    for port in range(ports[0], ports[1] + 1):
        try:
            return SpecCluster(
                scheduler={"cls": Scheduler, "options": {**options, **site, "port": port}},
                worker={"cls": None, "options": {}},
                security=security, silence_logs=logging.CRITICAL, name="membrane-dask",
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            if port and any(isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE for cause in _causes(error)):
                continue
            hint = "; the key `interface` selects another network interface" if "interface" in site else ""
            host = socket.gethostname()
            raise ClusterError(f"the Dask scheduler did not start on {host}: {error}{hint}") from error
    taken = f"port {ports[0]} is" if ports[0] == ports[1] else f"all ports from {ports[0]} to {ports[1]} are"
    raise ClusterError(
        f"the Dask scheduler did not start on {socket.gethostname()}: {taken} in use; "
        "the key `driver_ports` sets a larger range"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
