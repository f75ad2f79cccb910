"""The site of the documentation: built with every warning an error, whole, and asking nothing of a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastslow

DOCS = Path(__file__).parents[1] / "docs"
MISSING = [name for name in ("sphinx", "myst_parser", "furo") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason="the site needs `pip install 'fastslow[docs]'`")
#: Parts of a page that a browser fetches by itself.
FETCHED = r"""<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href)=["']([^"']+)"""


def build(docs, site, *options):
    program = "import sys; from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "-W", "--keep-going", "-q", "-d", f"{site}-doctrees", *options]
    return subprocess.run([*command, str(docs), str(site)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = build(DOCS, folder)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(site, page):
    return (site / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_page_is_there_and_in_the_navigation(site):
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    navigation = set(re.findall(r'<a class="[^"]*reference internal"[^>]*href="([^"#]+)"', text_of(site, "index.html")))
    assert len(pages) > 12
    assert {page for page in pages if not (site / page).exists()} == set()
    assert pages - navigation == {"index.html"}


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site):
    for page in site.rglob("*.html"):
        fetched = re.findall(FETCHED, page.read_text(encoding="utf-8"))
        assert [address for address in fetched if re.match(r"(\w+:)?//", address)] == [], page
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*[\"']?(?:\w+:)?//", sheet.read_text(encoding="utf-8")) == [], sheet


@pytest.mark.slow
def test_the_reference_has_every_public_name_and_its_formulas(site):
    reference = text_of(site, "reference.html")
    linked = set(re.findall(r'title="fastslow\.[\w.]*?(\w+)"', reference))
    assert set(fastslow.__all__) - linked == set()
    core = text_of(site, "api/fastslow.core.html")
    assert 'id="fastslow.core.functional.address"' in core
    assert core.count("<math") > 40
    assert ":math:" not in core
    assert "(Eq.</p>" not in reference


@pytest.mark.slow
def test_the_reference_says_what_things_are_once_and_shows_nothing_of_how_it_is_made(site):
    for page in (site / "api").glob("*.html"):
        text = re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))
        for made in ("Alias for field number", "= &lt;", "~jaxtyping", "Submodules", "See the class."):
            assert made not in text, (page.name, made)
    tracks = re.sub(r"<[^>]+>", "", text_of(site, "api/fastslow.data.tracks.html"))
    assert tracks.count("x and y, metres, shape (samples, 2).") == 1
    assert "positions: Float64[ndarray, 'samples 2']" in tracks.replace("\xa0", " ").replace("&#39;", "'")
    assert "a stamp is none: stamps may" in " ".join(tracks.split())


@pytest.mark.slow
def test_every_command_says_how_it_is_used(site):
    text = re.sub(r"<[^>]+>", "", text_of(site, "commands.html"))
    assert "fastslow evaluate --model STR [OPTIONS]" in text
    for name in ("train fewshot", "data fetch", "reproduce", "play", "serve", "export", "forecast"):
        assert re.search(rf"^fastslow {name} .*[A-Z]", text, re.MULTILINE), name


@pytest.mark.slow
def test_names_in_pages_lead_to_the_reference(site):
    assert 'href="api/fastslow.core.html#fastslow.core.functional.address"' in text_of(site, "equations.html")


def built_page(folder, text):
    """A site of one page."""
    (folder / "docs" / "_static").mkdir(parents=True, exist_ok=True)
    shutil.copy(DOCS / "conf.py", folder / "docs")
    shutil.copy(DOCS / "_static" / "site.css", folder / "docs" / "_static")
    shutil.copy(DOCS.parent / "pyproject.toml", folder)
    (folder / "docs" / "index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    return build(folder / "docs", folder / "site", "-D", "extensions=myst_parser")


def test_a_dead_link_fails(tmp_path):
    for text, code in (("[there](https://example.org)", 0), ("[nowhere](nowhere.md)", 1), ("[lost](#lost)", 1)):
        done = built_page(tmp_path, text)
        assert done.returncode == code, done.stderr
    assert "lost" in done.stderr


def test_formulas_are_shown_and_one_that_cannot_be_is_named(tmp_path):
    done = built_page(tmp_path, r"$\exp\Big(-\frac{x}{2}\Big) \bigl[y\bigr]$")
    assert done.returncode == 0, done.stderr
    assert "<mo" in text_of(tmp_path / "site", "index.html")
    assert built_page(tmp_path, r"$-\tfrac12 x + \hat y_s$").returncode == 0
    shown = "".join(text_of(tmp_path / "site", "index.html").split())
    assert "<mn>1</mn><mn>2</mn>" in shown  # over one another, and not 12 over x
    assert "<munder>" not in shown  # the index beside the letter
    done = built_page(tmp_path, r"$\nosuchthing{x}$")
    assert done.returncode == 1
    assert r'index.md:3: WARNING: Unknown LaTeX command "\nosuchthing".: \nosuchthing{x}' in done.stderr
    assert "Traceback" not in done.stderr
