"""Submit the toy study at the same time as other processes: ``submit_toy.py RUN START FIELDS``, with FIELDS as JSON.

The submission starts when the file START exists. Exit code 2: the run has a driver already.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

import toy

from membrane_dask import api
from membrane_dask.engine.lock import RunBusyError

if __name__ == "__main__":
    plan = toy.toy_plan(**json.loads(sys.argv[3]))
    start = Path(sys.argv[2])
    Path(f"{start}.{time.time_ns()}.ready").touch()
    while not start.exists():
        time.sleep(0.01)
    try:
        api.submit(plan, sys.argv[1])
    except RunBusyError as error:
        print(error)
        sys.exit(2)
