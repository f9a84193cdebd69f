"""Pages of the documentation site; ``.ci/checks site`` builds it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import membrane_dask as md


def check(site) -> subprocess.CompletedProcess:
    """``docs/check_site.py`` on a folder of pages."""
    script = site.parents[0] / "check_site.py"
    return subprocess.run([sys.executable, script, site], capture_output=True, text=True)


def test_links_that_lead_nowhere_are_named(root, tmp_path):
    site = tmp_path / "site"
    (site / "reference").mkdir(parents=True)
    (tmp_path / "check_site.py").write_text((root / "docs/check_site.py").read_text())
    (site / "reference/index.html").write_text('<h1 id="flow%20rate">R</h1><h2 id="units">U</h2><img src="../a.png">')
    links = ["reference/", "reference/index.html#units", "https://example.org/none", "a.png", "#top"]
    page = '<h1 id="top">Start</h1>' + "".join(f'<a href="{link}">x</a>' for link in links)
    (site / "index.html").write_text(page)
    (site / "a.png").touch()
    assert check(site).returncode == 0, check(site).stderr

    broken = ["reference/index.html#unit", "no.html", "#bottom"]
    (site / "index.html").write_text(page + "".join(f'<a href="{link}">x</a>' for link in broken))
    (site / "a.png").unlink()
    completed = check(site)
    assert completed.returncode == 1
    named = [line.split(": ", 1)[1] for line in completed.stderr.splitlines()[1:]]
    assert sorted(named) == sorted([*broken, "a.png", "../a.png"])


def test_all_public_names_are_in_the_reference(root):
    page = (root / "docs/reference/python.md").read_text()
    names = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    assert sorted(names) == sorted(set(md.__all__) - {"__version__"})


def test_all_equations_can_be_rendered(root):
    pytest.importorskip("docutils", reason="docutils is not installed; it comes with the extra docs")
    sys.path.insert(0, str(root / "docs"))
    try:
        from site_math import mathml
    finally:
        sys.path.pop(0)
    count = 0
    for page in root.glob("docs/*.md"):
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
        for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, re.DOTALL):
            assert "<math" in mathml(block or inline, as_block=bool(block))
            count += 1
    assert count > 500
