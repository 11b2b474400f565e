# SPDX-License-Identifier: Apache-2.0
"""Sphinx: ``make docs``. The pages also read well as plain reStructuredText, so they use hardly any of its roles."""

from docutils import nodes
from sphinx.application import Sphinx

import osprofiler

project = "osprofiler"
author = "the osprofiler contributors"
release = version = osprofiler.__version__
extensions = ["sphinx.ext.autodoc", "reno.sphinxext"]
html_theme = "alabaster"
html_theme_options = {"description": "Traces of OpenStack services, in Jaeger and other stores", "page_width": "1100px"}
nitpicky = False
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True


def link_pages(app: Sphinx, tree: nodes.document) -> None:
    """Point links between pages, which name the source file, to the HTML page made from it."""
    for reference in tree.findall(nodes.reference):
        page, mark, section = reference.get("refuri", "").partition(".rst")
        if mark and "://" not in page and page in app.env.found_docs:
            reference["refuri"] = f"{page}.html{section}"


def name_release(app: Sphinx, tree: nodes.document) -> None:
    """Give this version's name to the notes that no tag has a version for yet, which reno calls 0.0.0."""
    for title in tree.findall(nodes.title):
        if title.astext() == "0.0.0":
            title.children = [nodes.Text(release)]


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("doctree-read", link_pages)
    app.connect("doctree-read", name_release)
