"""The site: `make docs` builds it into build/docs; warnings are errors.

Nothing is fetched, neither while it is built nor by its pages: equations become MathML.
The reference has a page for each room of the package. Four kinds of page are filled
from what they are about: names of the package, rooms, verbs and notebooks.
"""

import inspect
import json
import os
import pkgutil
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math import latex2mathml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["COLUMNS"] = "88"  # the width of a command's help

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


def list_names(app, page, source):
    """Adds to the page about Python what the package itself offers, line by line."""
    if page != "python":
        return
    import nas_jax as nas

    source[0] += "| `nas.` | |\n|---|---|\n"
    for name in nas.__all__:
        thing = getattr(nas, name)
        below = getattr(thing, "__all__", ()) if inspect.ismodule(thing) else ()
        for words in [name, *(f"{name}.{one}" for one in below)]:
            thing = pkgutil.resolve_name(f"nas_jax:{words}")
            line = (inspect.getdoc(thing) or "").splitlines()[0].replace("|", "\\|")
            source[0] += f"| {reference(thing, words)} | {line} |\n"


def reference(thing, words):
    """A link with the name under which the package offers something."""
    kind, place = "mod", getattr(thing, "__name__", "")
    if not inspect.ismodule(thing):
        kind, place = "func", f"{thing.__module__}.{thing.__name__}"
    return f"{{py:{kind}}}`{words} <{place}>`"


def list_verbs(app, page, source):
    """Adds to the page of commands what every verb says of itself."""
    if page != "commands":
        return
    from nas_jax.cli.main import VERBS, command

    for name, verb in VERBS.items():
        for below in verb if isinstance(verb, dict) else ("",):
            words = [name, below] if below else [name]
            text = command([*words, "--help"])
            source[0] += f"\n### `{' '.join(words)}`\n\n```text\n{text}\n```\n"


def show_notebook(app, page, source):
    """Fills a page of `notebooks/` with the cells of its notebook and their outputs."""
    if not page.startswith("notebooks/"):
        return
    file = ROOT / f"{page}.ipynb"
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        is_code = cell["cell_type"] == "code"
        parts.append(f"```python\n{text}\n```" if is_code else text)
        parts += [shown(output) for output in cell.get("outputs", ())]
    parts.append(f"Download: {{download}}`{file.name} <../../notebooks/{file.name}>`.")
    source[0] = "\n\n".join(parts)


def shown(output):
    """An output of a cell: its picture, or its text."""
    data = output.get("data", {})
    if picture := "".join(data.get("image/png", "")).replace("\n", ""):
        address = f"data:image/png;base64,{picture}"
        image = f'<img src="{address}" alt="what the cell above draws">'
        return f"```{{raw}} html\n{image}\n```"
    if page := "".join(data.get("text/html", "")):
        return f"```{{raw}} html\n{page}\n```"
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    return f"```text\n{text}\n```"


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
    for fill in (list_names, list_modules, list_verbs, show_notebook):
        app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", leave_out_fields)
    app.connect("autodoc-process-signature", shorten_arrays)
    # before napoleon, which reads the sections
    app.connect("autodoc-process-docstring", keep_indented, priority=400)
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
