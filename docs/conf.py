"""Configuration of the documentation site: ``sphinx-build -W docs build/site``.

The pages are the Markdown files of this folder, which also read well without the site, the notebooks of ``notebooks/``
with the outputs that they were committed with, and what ``site_pages.py`` and ``site_notebooks.py`` write into
``docs/generated/`` before each build.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import site_math  # noqa: E402
import site_notebooks  # noqa: E402
import site_pages  # noqa: E402

import membrane_dask  # noqa: E402

project = "membrane-dask"
author = "The membrane-dask developers"
copyright = author
version = release = membrane_dask.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
exclude_patterns = ["**.ipynb_checkpoints"]
html_title = project
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Pages without pages below them have no navigation at the left.
html_sidebars = {page: [] for page in ("index", "generated/gallery", "validation", "troubleshooting")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "collapse_navigation": True,
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_math_renderer = "mathml"

# The outputs of the notebooks are part of the repository; a build takes a minute, their studies several.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4

# Docstrings state the types.
autodoc_typehints = "none"
add_module_names = False
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app):
    """Write the generated pages, and render equations without scripts."""
    site_math.setup(app)
    site_pages.write(DOCS)
    site_notebooks.write(DOCS)
    app.connect("source-read", site_pages.to_pages_of_the_site)
    app.connect("autodoc-process-docstring", site_pages.headings_as_rubrics, priority=400)
    app.connect("autodoc-skip-member", site_pages.skip_aliases)
