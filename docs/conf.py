"""The site: `make docs` builds it into build/docs; warnings are errors.

Nothing is fetched, neither while it is built nor by its pages: equations become MathML.
The reference has a page for each room of the package.
"""

import os
import pkgutil
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math import latex2mathml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

project = "nas_jax"
author = "the authors of nas_jax"
html_title = "nas_jax"
html_theme = "furo"
html_show_copyright = False
html_static_path: list[str] = []
html_math_renderer = "mathml"
exclude_patterns = ["Thumbs.db", ".DS_Store"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# `Attributes:` would describe fields twice, which autodoc lists already
napoleon_use_ivar = True
napoleon_attr_annotations = False
# `name` in a docstring is code
default_role = "code"

# A link to a function that is not there is an error; annotations are not links.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj|data|exc)", ".*")]
# of an annotation such as `slice`, which is the name of two attributes as well
suppress_warnings = ["ref.python"]


def list_modules(app, page, source):
    """Adds to a page of `api/` the room that it is named after, and its modules."""
    if not page.startswith("api/"):
        return
    room = f"nas_jax.{page.removeprefix('api/')}"
    folder = ROOT / room.replace(".", "/")
    inside = pkgutil.walk_packages([str(folder)], f"{room}.")
    for name in [room, *(module.name for module in inside)]:
        depth = "#" * (1 + name.count("."))
        source[0] += (
            f"\n{depth} `{name.removeprefix('nas_jax.')}`\n\n"
            f"```{{eval-rst}}\n.. automodule:: {name}\n```\n"
        )


def keep_indented(app, what, name, thing, options, lines):
    """Shows what a docstring indents below a paragraph as it is written."""
    kept, previous, is_kept = [], "", False
    for line, after in zip(lines, [*lines[1:], ""], strict=False):
        is_kept = is_kept and (not line or line.startswith("    "))
        kept.append(line)
        begins = not line and after.startswith("    ") and not is_kept
        if begins and previous[:1] not in ("", " ", "-"):
            kept += ["::", ""]
            is_kept = True
        previous = line or previous
    lines[:] = kept


def leave_out_fields(app, what, name, thing, options, lines):
    """Drops what Python says of every field of a named tuple."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def shorten_arrays(app, what, name, thing, options, arguments, returned):
    """`Float[Array, 'L K']`, as it is written."""
    return tuple(
        text and text.replace("jaxlib._jax.Array", "Array")
        for text in (arguments, returned)
    )


def inline_math(translator, node):
    translator.body.append(latex2mathml.tex2mathml(node.astext()))
    raise SkipNode


def display_math(translator, node):
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=True))
    raise SkipNode


def setup(app):
    app.connect("source-read", list_modules)
    app.connect("autodoc-process-docstring", leave_out_fields)
    app.connect("autodoc-process-signature", shorten_arrays)
    # before napoleon, which reads the sections
    app.connect("autodoc-process-docstring", keep_indented, priority=400)
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
