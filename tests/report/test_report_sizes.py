"""Size of the reports of the quickstart studies."""

from __future__ import annotations

import pytest

import membrane_dask as md

pytestmark = pytest.mark.slow  # minutes each

#: Bytes that an attachment of a message may have nearly everywhere.
MAX_BYTES = 5_000_000


@pytest.mark.parametrize("kind", ["chain", "characterize", "foul", "graded", "porometry", "reconstruct"])
def test_reports_of_quickstart_studies_are_small(kind, root, tmp_path):
    run = md.run(root / f"configs/{kind}-quickstart.yaml", tmp_path / "run")
    assert md.write_report(run).stat().st_size < MAX_BYTES
