"""The page of the server, which needs no network."""

from __future__ import annotations

import re

import pytest

from play.browser import Browser, needs_chromium

VECTORS = {"model": None}
#: Of what a page loads by itself; names of namespaces and of licences are none.
LOADED = re.compile(r"""(?:src|href)=["']([^"']+)|url\(["']?(?!data:)([^"')]+)""")


@pytest.fixture(params=["", "a" * 20], ids=["open", "token"])
def client(ask, request):
    return ask(VECTORS, token=request.param, hosts=() if request.param else ("testserver",))


def test_the_page_and_what_it_loads_come_from_the_server_itself(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"\w+://[^\s\"']+", page.text) == []
    loaded = [one for found in LOADED.findall(page.text) for one in found if one]
    assert {one.rsplit(".", 1)[1] for one in loaded} == {"js", "css", "png"}
    for one in loaded:
        assert one.startswith("/docs-files/")
        file = client.get(one)
        assert (file.status_code, len(file.content) > 1000) == (200, True)
        if one.endswith(".css"):
            assert not LOADED.findall(file.text)
    assert '"validatorUrl": null' in page.text  # swagger-ui would have the address of the schema checked elsewhere


@pytest.mark.parametrize("path", ["/docs-files/../status", "/docs-files/%2e%2e/status", "/docs-files", "/docs-filesx"])
def test_beside_the_files_of_the_page_nothing_is_open(ask, path):
    answer = ask(VECTORS, token="a" * 20, hosts=()).get(path)
    assert answer.status_code in (401, 404)
    assert list(answer.json()) == ["error"]


@needs_chromium
@pytest.mark.slow
def test_a_browser_shows_the_endpoints_and_asks_nobody_else(running, tmp_path):
    where = running[0][0].split()[2]
    with Browser(tmp_path) as browser:
        browser.call("Page.navigate", url=f"{where}/docs")
        browser.wait("document.querySelectorAll('.opblock').length === 7")
        assert browser.errors == []
        assert all(one.startswith((where, "data:", "about:", "blob:")) for one in browser.requests), browser.requests
