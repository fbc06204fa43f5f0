"""Sphinx configuration: what the site is built from, and what it must not lack."""

import importlib
import os
import pathlib
import re
import urllib.request
import warnings

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx_gallery.sorting import ExplicitOrder

import skdnn

# ---------------------------------------------------------------------- project

project = "skdnn"
author = "The skdnn developers"
copyright = f"2026, {author}"  # noqa: A001
version = release = skdnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "gallery/**/*.py", "gallery/**/*.ipynb"]
templates_path = ["_templates"]

# ---------------------------------------------------------------------- API pages

# whose names in __all__ must all be described
PUBLIC_MODULES = (
    "skdnn",
    "skdnn.preprocessing",
    "skdnn.datasets",
    "skdnn.inspection",
    "skdnn.displays",
    "skdnn.dask",
    "skdnn.onnx",
)

autosummary_generate = True
# the constructor's parameters are long enough without their types
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
# single backticks in a docstring: a link where there is such an object, italics elsewhere
default_role = "autolink"

# ---------------------------------------------------------------------- links

# Every internal link must lead somewhere. Other projects' names are links where their sites can be
# reached; elsewhere they are plain text. SKDNN_INTERSPHINX=1 insists on them, as the hosted build
# does, and 0 does without.
nitpicky = True
OTHER_PROJECTS = {
    "h5py": "https://docs.h5py.org/en/stable/",
    "joblib": "https://joblib.readthedocs.io/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "python": "https://docs.python.org/3/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "sklearn": "https://scikit-learn.org/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "dask": "https://docs.dask.org/en/stable/",
    "distributed": "https://distributed.dask.org/en/stable/",
}


def is_reached(address):
    """Return whether a site answers at once with the list of its names."""
    try:
        with urllib.request.urlopen(f"{address}objects.inv", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


wanted = os.environ.get("SKDNN_INTERSPHINX", "auto")
reached = {
    name: (address, None)
    for name, address in OTHER_PROJECTS.items()
    if wanted == "1" or (wanted == "auto" and is_reached(address))
}
if reached:
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = reached
    intersphinx_timeout = 20
# inherited from scikit-learn, whose documentation has it
nitpick_ignore_regex = [
    (r"py:.*", r".*\bset_callbacks"),
    (r"py:.*", rf"({'|'.join(OTHER_PROJECTS)})\..*"),
]

# ---------------------------------------------------------------------- Markdown

myst_enable_extensions = ["colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# README, CHANGELOG and CONTRIBUTING are included in part, below headings of the site's own
suppress_warnings = ["myst.header"]

# ---------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "subsection_order": ExplicitOrder(
        [f"../examples/{name}" for name in ("first_steps", "coming_from", "large_data", "inside")]
        + ["*"]
    ),
    "ignore_pattern": r"/_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skdnn",),
    "reference_url": {"skdnn": None},
    # an example that fails is a warning too, so that the build goes on to its end, and fails
    "only_warn_on_example_error": True,
    "min_reported_time": 1,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "image_scrapers": ("matplotlib",),
    "capture_repr": ("_repr_html_",),
    # of scripts that are not run here
    "default_thumb_file": str(pathlib.Path(__file__).with_name("images") / "script.png"),
    "download_all_examples": False,
}
os.environ.setdefault("MPLBACKEND", "Agg")
warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")

# ---------------------------------------------------------------------- looks

# a copied block is code alone
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = "skdnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skdnn"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
# pages without pages below them
ALONE = (
    "index",
    "getting_started",
    "faq",
    "installation",
    "migration",
    "changelog",
    "contributing",
    "development/*",
)
html_sidebars = {name: [] for name in ALONE}
# formulas become MathML as the site is built: browsers need no script for it
html_math_renderer = "mathml"


# ---------------------------------------------------------------------- small print


def render_math(translator, node):
    """Write a formula as MathML."""
    is_block = isinstance(node, nodes.math_block)
    try:
        formula = tex2mathml(node.astext().strip(), as_block=is_block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula: %s", error, location=node)
        raise nodes.SkipNode from error
    translator.body.append(f'<div class="formula">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode


def close_code_blocks(app, docname, source):
    """Take out the empty line before a closing fence, which only the doctests need."""
    source[0] = re.sub(r"\n\n( *```)(?=\n|$)", r"\n\1", source[0])


def close_included_code_blocks(app, path, docname, source):
    """Do so in a file that a page includes."""
    close_code_blocks(app, docname, source)


def missing_names(objects):
    """Return the public names that no page of the site describes."""
    public = {
        f"{module}.{name}"
        for module in PUBLIC_MODULES
        for name in getattr(importlib.import_module(module), "__all__", ())
        if not name.startswith("__")
    }
    return sorted(public.difference(objects))


def check_public_names(app, env):
    """Warn, which fails the build, of names in ``__all__`` that are on no API page."""
    for name in missing_names(env.get_domain("py").objects):
        logging.getLogger(__name__).warning("%s is public, but on no API page: see api.rst", name)


def setup(app):
    """Register what is above."""
    app.add_html_math_renderer("mathml", (render_math, None), (render_math, None))
    app.connect("source-read", close_code_blocks)
    app.connect("include-read", close_included_code_blocks)
    app.connect("env-check-consistency", check_public_names)
