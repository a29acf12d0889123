"""Sphinx settings of the site. `tutorial html` gathers the pages and runs Sphinx on them."""

project = "Event sourcing in Python, for real"
author = "the eventsource-tutorial authors"
copyright = "2026, the eventsource-tutorial authors"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "tutorial_support.site.accessible",
    "tutorial_support.site.glossary",
]
default_role = "literal"  # docstrings write `code` as Markdown does

nb_execution_mode = "off"  # the outputs are those that the tests compare
nb_ipywidgets_js = {}  # no script from another site
nb_merge_streams = True
myst_enable_extensions = ["attrs_block", "deflist"]
myst_heading_anchors = 3
myst_all_links_external = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"footer_icons": [], "top_of_page_buttons": []}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_exclude = ".linenos, .gp, .go"
