"""CITATION.cff is of the Citation File Format, and says what pyproject.toml and README say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: What version 1.2.0 of the format knows of a software and of a work that it refers to, as far as it is used here.
ALLOWED = {
    "abstract", "authors", "cff-version", "keywords", "license", "message", "preferred-citation", "references", "title",
    "type", "version",
}  # fmt: skip
ALLOWED_OF_A_WORK = {"authors", "identifiers", "journal", "title", "type", "url", "year"}


def test_it_is_of_the_format():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert {"authors", "cff-version", "message", "title"} <= CITATION.keys() <= ALLOWED
    work = CITATION["preferred-citation"]
    assert {"authors", "title", "type"} <= work.keys() <= ALLOWED_OF_A_WORK
    assert all(isinstance(CITATION[name], str) for name in ("message", "title", "abstract", "version", "license"))
    assert isinstance(work["year"], int)


def test_it_agrees_with_the_project():
    assert (CITATION["version"], CITATION["license"]) == (PROJECT["version"], PROJECT["license"])
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert CITATION["title"].startswith(f"{PROJECT['name']}: ")
    assert CITATION["authors"] == [{"name": "fastslow developers"}]


def test_the_paper_is_the_one_that_readme_cites():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    work = CITATION["preferred-citation"]
    authors = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in work["authors"])
    assert f"author  = {{{authors}}}" in readme
    assert f"title   = {{{work['title'].replace('&', chr(92) + '&')}}}" in readme
    assert f"journal = {{{work['journal']}}}" in readme
    assert f"year    = {{{work['year']}}}" in readme
