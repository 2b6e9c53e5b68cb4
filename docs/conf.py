"""Configuration of Sphinx: ``sphinx-build -W docs docs/_build`` needs no network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ["NO_COLOR"] = "1"  # help texts without colours

import generated  # noqa: E402

import bpfree  # noqa: E402

generated.write_all(HERE / "generated")

project = "bpfree"
copyright = "The bpfree authors, MIT licence"
version = release = bpfree.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docstrings",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_ext", "generated/scripts", "generated/extra"]
html_theme = "pydata_sphinx_theme"
html_title = "bpfree"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_extra_path = ["generated/extra"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_start": ["navbar-logo"],
    "navbar_persistent": ["search-field"],
    "footer_end": [],
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
}

# A sidebar lists the pages of one chapter: only rules and examples have several.
html_sidebars = {str(page.relative_to(HERE).with_suffix("")): [] for page in HERE.glob("*.md") if page.stem != "rules"}
html_sidebars |= {name: [] for name in ("write/*", "generated/cli", "generated/settings", "generated/pages/*")}

highlight_language = "none"  # what docstrings indent is mostly equations
smartquotes_action = "qe"  # -- begins a flag
default_role = "code"  # single backquotes in docstrings name code
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
napoleon_numpy_docstring = False
autodoc_typehints = "none"  # signatures have them
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's have references that are not here
sphinx_gallery_conf = {
    "examples_dirs": "generated/scripts",
    "gallery_dirs": "generated/examples",
    "plot_gallery": False,  # some train for hours
    "download_all_examples": False,
    "show_memory": False,
    "within_subsection_order": "FileNameSortKey",
}
