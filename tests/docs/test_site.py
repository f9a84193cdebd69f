"""Pages of the documentation site; ``.ci/checks site`` builds it."""

from __future__ import annotations

import ast
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


#: Numbers without their sign, such as 27,000, 0.9e-5 and 43.8.
NUMBER = r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"


def cells(page: str) -> list[list[str]]:
    """Rows of all tables of a page, without their headers."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] not in ("---", "compared with", "message", "code")]


def test_numbers_of_the_validation_page_stand_where_it_leads(root):
    """The page repeats numbers of other pages, which must not drift apart."""
    rows = cells((root / "docs/validation.md").read_text())
    assert len(rows) > 40
    for compared, result, _, link in rows:
        file = re.search(r"\]\(([\w/.-]+)", link)[1]
        if file.endswith(".py"):  # no other page has the number
            continue
        details = set(re.findall(NUMBER, (root / "docs" / file).read_text()))
        missing = set(re.findall(NUMBER, result)) - details
        assert not missing, f"{compared}: {file} has no {missing}"


def test_all_benchmarks_are_on_the_validation_page(root):
    page = (root / "docs/validation.md").read_text()
    named = {name for name in re.findall(r"benchmarks/(\w+)\.py", page)}
    assert named == {path.stem for path in root.glob("benchmarks/[a-z]*.py")}


def literals(root) -> str:
    """All text in the sources of the package, with ... where values are inserted."""
    texts = []
    for path in (root / "membrane_dask").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(v.value if isinstance(v, ast.Constant) else "..." for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_messages_of_the_troubleshooting_page_exist(root):
    sections = (root / "docs/troubleshooting.md").read_text().split("## By message")[1].split("## Questions")[0]
    messages = [row[0].strip("`") for row in cells(sections)]
    assert len(messages) > 12
    printed = literals(root)
    assert [message for message in messages if message not in printed] == []


def test_all_exit_codes_have_advice(root):
    from membrane_dask.cli import exit_codes

    section = (root / "docs/troubleshooting.md").read_text().split("## By exit code")[1].split("\n## ")[0]
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in cells(section)} == codes
