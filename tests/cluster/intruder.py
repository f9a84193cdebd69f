"""Another user of the machine: tries every port of a run by all that Dask offers; prints what succeeded as JSON.

Started as root it becomes ``nobody`` first. Arguments: the directory of the run, the seconds in which an attempt must
succeed, then addresses such as 127.0.0.1:8786.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import urllib.error
import urllib.request

from distributed import Client, Security
from distributed.core import rpc

ROOT, TIMEOUT, *ADDRESSES = sys.argv[1], float(sys.argv[2]), *sys.argv[3:]
#: Requests that would change something or show data of the run; a dashboard answers none of them.
PATHS = ("api/v1/retire_workers", "api/v1/adaptive_target", "proxy/22/127.0.0.1/")


async def as_client(address: str, security: Security | None) -> list[str]:
    try:
        connecting = Client(address, security=security, asynchronous=True, timeout=TIMEOUT)
        client = await asyncio.wait_for(connecting, TIMEOUT)
    except Exception:
        return []
    await client.close()
    return ["a client"]


async def as_peer(address: str, security: Security | None) -> list[str]:
    """Ask for the identity: the first call of any scheduler, worker or nanny."""
    arguments = security.get_connection_args("client") if security else {}
    try:
        async with rpc(address, connection_args=arguments, timeout=TIMEOUT) as remote:
            await asyncio.wait_for(remote.identity(), TIMEOUT)
    except Exception:
        return []
    return ["a peer"]


def http(address: str) -> list[str]:
    succeeded = []
    for path in PATHS:
        for data in (None, b'{"workers": []}'):
            try:
                request = urllib.request.Request(f"{address}/{path}", data)
                urllib.request.urlopen(request, timeout=TIMEOUT)
                succeeded.append(path)
            except urllib.error.HTTPError as error:
                if error.code not in (404, 405):
                    succeeded.append(f"{path}: {error.code}")
            except OSError:
                pass
            except Exception:  # a port that speaks no HTTP
                pass
    return succeeded


async def main() -> None:
    foreign = Security.temporary()  # certificates, but of another authority
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    logging.disable(logging.CRITICAL)
    succeeded: dict[str, list[str]] = {"uid": [str(os.getuid())], "files": []}

    async def attempt(address: str, security: Security | None) -> None:
        client, peer = await asyncio.gather(as_client(address, security), as_peer(address, security))
        succeeded[address] = client + peer

    async def request(address: str) -> None:
        succeeded[f"http://{address}"] = await asyncio.to_thread(http, f"http://{address}")

    attempts = [
        (f"{scheme}://{a}", security) for a in ADDRESSES for scheme, security in (("tcp", None), ("tls", foreign))
    ]
    await asyncio.gather(*(attempt(*arguments) for arguments in attempts), *map(request, ADDRESSES))
    for folder, _, names in os.walk(ROOT):
        paths = [os.path.join(folder, name) for name in names if name.endswith(".pem")]
        succeeded["files"] += [path for path in paths if os.access(path, os.R_OK)]
    print(json.dumps(succeeded), flush=True)
    os._exit(0)  # clients that got no answer go on trying


if __name__ == "__main__":
    asyncio.run(main())
