"""How the documentation is built: `make docs`. No page of it needs a network."""

import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "beamfly"
copyright = "the beamfly developers"
release = version = installed("beamfly")

extensions = [
    "docstrings",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates", "_extensions"]
templates_path = ["_templates"]
suppress_warnings = [
    # a name such as Run in a signature may mean one of several; the text says which
    "ref.python",
]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Notebooks are run by the build; their output is part of the pages, not of the sources.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autosummary_generate_overwrite = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_title = "beamfly"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: object) -> None:
    """Forget the pages of modules that are no more."""
    for page in (Path(__file__).parent / "reference" / "api").glob("*.rst"):
        try:
            gone = find_spec(page.stem) is None
        except ModuleNotFoundError:  # its package has gone, too
            gone = True
        if gone:
            page.unlink()
