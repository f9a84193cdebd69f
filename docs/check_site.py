"""Check the links within the built site: ``python docs/check_site.py build/site``.

Sphinx checks the links between its own pages; this also covers cards, figures and pages that were generated. Links to
other hosts are not followed.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Identifiers and targets of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.targets: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the element defines and what it refers to."""
        for name, value in attrs:
            if name == "id" and value:
                self.identifiers.add(value)
            elif name in ("href", "src") and value:
                self.targets.append(value)


def broken_links(site: Path) -> list[str]:
    """Links to files or identifiers that do not exist, each as ``page: target``."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            link = urlsplit(target)
            if link.scheme or link.netloc:
                continue
            file = (path.parent / unquote(link.path)).resolve() if link.path else path
            if file.is_dir():
                file /= "index.html"
            if file not in pages:
                exists = file.exists()
            else:
                exists = not link.fragment or unquote(link.fragment) in pages[file].identifiers
            if not exists:
                broken.append(f"{path.relative_to(site)}: {target}")
    return broken


if __name__ == "__main__":
    problems = broken_links(Path(sys.argv[1]).resolve())
    if problems:
        raise SystemExit("\n".join(["links that lead nowhere:", *problems]))
