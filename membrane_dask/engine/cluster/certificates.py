"""TLS certificates of one driver and its workers."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Certificates:
    """Certificates of a driver and its workers, signed by an authority that exists for them alone.

    Parameters
    ----------
    driver : distributed.Security, optional
        Certificates of the scheduler and the client, in memory.
    workers : distributed.Security, optional
        Paths of the certificates of the workers.
    folder : Path, optional
        Folder of those files.
    """

    driver: Any = None
    workers: Any = None
    folder: Path | None = None

    @classmethod
    def create(cls, root: Path) -> Certificates:
        """Create certificates; the files of the workers, in a new folder in ``root``, are readable by the user only."""
        from distributed import Security

        driver = Security.temporary()
        folder = root / f".tls-{os.getpid()}-{secrets.token_hex(3)}"
        folder.mkdir(mode=0o700)
        paths = {}
        for name, text in driver.get_tls_config_for_role("worker").items():
            if name in ("ca_file", "cert", "key"):
                path = folder / f"{name}.pem"
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                    stream.write(text)
                paths[name] = str(path.resolve())
        workers = Security(
            require_encryption=True,
            tls_ca_file=paths["ca_file"], tls_worker_cert=paths["cert"], tls_worker_key=paths["key"],
        )  # fmt: skip
        return cls(driver, workers, folder)

    @staticmethod
    def remove_stale(root: Path) -> None:
        """Remove the files of drivers that were killed; the caller holds the run's lock, so no driver uses them."""
        for folder in root.glob(".tls-*"):
            if not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
