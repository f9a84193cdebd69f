"""Run the toy study in a process of its own: ``drive_toy.py RUN FIELDS``, with FIELDS as JSON."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

import toy

if __name__ == "__main__":
    toy.run_toy(Path(sys.argv[1]), **json.loads(sys.argv[2]))
