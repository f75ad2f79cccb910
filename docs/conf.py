"""How the site is built: `make docs`. Every warning is an error there, and no page asks anything of a network."""

from __future__ import annotations

import html
import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext import autosummary
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))
_OF_EXTRAS = (
    "fastapi", "fastapi_offline", "onnx", "onnxruntime", "onnxscript", "ray", "submitit", "tensorboard", "uvicorn",
)  # fmt: skip
LOG = getLogger(__name__)
_ENDS: dict[int, dict[str, set[tuple[str, str]]]] = {}

project = "fastslow"
author = "fastslow developers"
project_copyright = author
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "cyclopts.ext.sphinx",
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = f"fastslow {release}"
html_math_renderer = "mathml"
html_copy_source = False
html_css_files = ["site.css"]
html_static_path = ["_static"]
highlight_language = "none"  # what is Python says so
toc_object_entries_show_parents = "hide"
exclude_patterns = ["api/modules.rst"]
myst_ref_domains = ["std"]  # a link to a file is none to an attribute of that name
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
smartquotes = False  # two hyphens are an option, no dash
default_role = "code"  # what docstrings put between single backticks; `Named` makes links of it

# One page for each package, of all of its modules.
apidoc_modules = [
    {
        "path": "../src/fastslow",
        "destination": "api",
        "exclude_patterns": ["../src/fastslow/cli", "../src/fastslow/__main__.py"],
        "separate_modules": False,
        "module_first": True,
        "max_depth": 1,
    }
]
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False
suppress_warnings = ["ref.python"]  # types of annotations whose short names are of several modules
autodoc_mock_imports = [name for name in _OF_EXTRAS if find_spec(name) is None]
autosummary_generate = False
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.", "Sec.", "Secs.", "Fig.", "Figs.")  # which end no sentence
napoleon_numpy_docstring = False
napoleon_use_rtype = False


class Named(SphinxPostTransform):
    """Makes a link of what is named in the way of a page's code: `core.functional.address`, `FewShotClassifier`."""

    default_priority = 9

    def run(self, **options: object) -> None:
        """Looks at each piece of code in the text that is no link yet."""
        places = ends_of_names(self.env)
        for literal in list(self.document.findall(nodes.literal)):
            name = literal.astext()
            of_a_kind = re.fullmatch(r"[A-Z]\w+|\w+(\.\w+)+", name)
            found = places.get(f"fastslow.{name}", places.get(name, set())) if of_a_kind else set()
            if len(found) == 1 and not isinstance(literal.parent, nodes.reference):
                [(page, anchor)] = found
                link = make_refnode(self.app.builder, self.env.docname, page, anchor, literal.deepcopy(), name)
                literal.replace_self(link)


def ends_of_names(environment: BuildEnvironment) -> dict[str, set[tuple[str, str]]]:
    """Where everything is that has a name, by its full name and by every end of it."""
    objects = environment.domains.python_domain.objects
    if len(objects) not in _ENDS:
        ends: dict[str, set[tuple[str, str]]] = {}
        for full, entry in objects.items():
            parts = full.split(".")
            for cut in range(len(parts)):
                ends.setdefault(".".join(parts[cut:]), set()).add((entry.docname, entry.node_id))
        _ENDS[len(objects)] = ends
    return _ENDS[len(objects)]


def inline_mathematics(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula in a line, as MathML: browsers show that by themselves."""
    writer.body.append(as_mathml(node))
    raise nodes.SkipNode


def displayed_mathematics(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula in lines of its own."""
    writer.body.append(f"<div class='math'>{as_mathml(node, as_block=True)}</div>")
    raise nodes.SkipNode


def as_mathml(node: nodes.math | nodes.math_block, *, as_block: bool = False) -> str:
    r"""A formula for browsers, in the part of LaTeX that docutils reads as LaTeX does.

    It knows only large brackets that say their side (`\Bigl(`, `\Bigr)`), reads `\tfrac12 x` as 12 over x, and sets
    an index of `\hat e` below the letter.
    """
    formula = re.sub(r"\\([Bb]igg?)([(\[])", r"\\\1l\2", node.astext())
    formula = re.sub(r"\\([Bb]igg?)([)\]])", r"\\\1r\2", formula)
    formula = re.sub(r"(\\[dt]?frac) ?(\d)(\d)", r"\1{\2}{\3}", formula)
    formula = re.sub(r"(\\(?:hat|tilde|bar) ?(?:\w|\{\w+\}))(?=[_^])", r"\1{}", formula)
    try:
        return tex2mathml(formula, as_block=as_block)
    except MathError as error:
        LOG.warning("%s: %s", error, node.astext(), location=node)
        return html.escape(node.astext())


def types_beside_names(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """The type of an attribute stands beside its name, short, where napoleon puts it on lines of its own below."""
    found: list[str] = []
    at = 0
    for line in lines:
        if line.startswith(".. attribute:: "):
            at = len(found) + 1
        if at and line.startswith("   :type: "):
            found.insert(at, re.sub(r"(?<![\w.])((?:[a-z_]\w*\.)+\w)", r"~\1", line))
        else:
            found.append(line)
    lines[:] = found


def without_types(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """What stands before a colon in the text on a constant is no type; napoleon takes the first line's for one."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def without_fields(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """Fields of tuples, and such properties, stand in the docstring of their class; their own texts say nothing."""
    return True if type(thing).__name__ == "_tuplegetter" or thing.__doc__ == "See the class." else None


def readable(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """A signature that Sphinx can read, with no objects that have no name, and none of a contract: it is not called."""
    if what == "class" and getattr(thing, "_is_protocol", False):
        return "", None
    return (re.sub(r"= <[^,()]*>", "= ...", signature), returns) if signature else None


def from_the_root(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    """README and the changelog stand a folder higher than the pages that show them, and so do files they link to."""
    content[0] = re.sub(r"\]\((?!\w+:|#|docs/|\.)([\w-]+/)", r"](../\1", content[0])


def titled(app: Sphinx, docname: str, content: list[str]) -> None:
    """The page of results has one, and links to README lead to the first page."""
    title = "# All results\n\n" if docname == "results" else ""
    content[0] = title + re.sub(r"\]\(((?:\.\./)*)\.\./README\.md", r"](\1index.md", content[0])


def of_a_package(app: Sphinx, docname: str, content: list[str]) -> None:
    """No heading with nothing below it, and no names without a word on them; fields have theirs in their class."""
    if docname.startswith("api/"):
        content[0] = re.sub(r"Submodules\n-+\n| +:undoc-members:\n", "", content[0])


def setup(app: Sphinx) -> None:
    """What is ours in the building of the site."""
    app.add_html_math_renderer("mathml", (inline_mathematics, None), (displayed_mathematics, None))
    app.add_post_transform(Named)
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", without_types, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", types_beside_names, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-skip-member", without_fields)
    app.connect("include-read", from_the_root)
    app.connect("source-read", titled)
    app.connect("source-read", of_a_package)
