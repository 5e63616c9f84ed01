# ruff: noqa: INP001 - Sphinx reads this file, nobody imports it
"""What Sphinx is told; ``python -m acclimate_tools.docs.site`` runs it."""

from acclimate_shared import __version__

project = "Acclimate"
version = release = __version__
project_copyright = "the authors of Acclimate, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autoclass_content = "both"  # what a class is, and what it is given
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
# Texts of errors and outputs are no language that can be highlighted.
highlight_language = "text"

html_theme = "furo"  # system fonts, light and dark, nothing from elsewhere
html_title = "Acclimate"
html_show_sphinx = False
html_copy_source = False
