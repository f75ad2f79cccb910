"""`fastslow play`: the page as a file, as a site, and served on loopback."""

from __future__ import annotations

import http.client
import re
import threading

import pytest

from commands import fails
from fastslow.cli import main
from fastslow.errors import InputError
from fastslow.play import page as pages
from fastslow.play.serve import page_server


@pytest.fixture(scope="module")
def page():
    return pages.play_page()


def test_the_page_is_one_small_file_that_needs_nothing(page):
    assert len(page.encode()) <= 2_200_000
    assert "{{" not in re.sub(r"\$\{\{", "", page.split("<script>")[0])
    assert re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", page.split("<script>")[0]) == ["data:,"]
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def contrast(one, other):
    """Ratio of two colours, "#rrggbb" or "#rgb" (WCAG 2.2, 1.4.3)."""

    def light(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_is_written_can_be_read_by_day_and_by_night():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    styles = re.findall(r":root \{(.*?)\}", (pages.FOLDER / "page.css").read_text(encoding="utf-8"), re.DOTALL)
    assert len(styles) == 2
    for style in styles:
        colour = dict(re.findall(r"--([\w-]+): (#\w+);", style))
        on = [(ink, ground) for ink in ("ink", "soft", "accent", "warm") for ground in ("ground", "card", "sheet")]
        for ink, ground in [*on, ("on-accent", "accent"), ("on-accent", "warm")]:
            assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)


def test_files_of_javascript_are_small_and_all_used():
    files = {path.name for path in pages.FOLDER.glob("*.*") if path.suffix in (".js", ".css")}
    assert files == {*pages.ENGINE, *pages.PAGE, *pages.STYLE}
    for name in files:
        lines = (pages.FOLDER / name).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 300, name
        assert max(map(len, lines)) <= 120, name


def test_it_is_written_as_a_file_and_as_a_site(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "play_page", lambda source: f"page of {source}")
    main(["play", "--out", str(tmp_path / "p.html"), "--export-site", str(tmp_path / "site"), "--model", "m"])
    assert (tmp_path / "p.html").read_text() == (tmp_path / "site/index.html").read_text() == "page of m"
    assert capsys.readouterr().out.split() == [str(tmp_path / "p.html"), str(tmp_path / "site/index.html")]


def test_a_site_of_something_else_is_not_written_over(tmp_path, capsys):
    page = tmp_path / "index.html"
    page.write_text("<p>my own page</p>")
    assert "is no page of fastslow play and would be lost" in fails(capsys, "play", "--export-site", str(tmp_path))
    assert page.read_text() == "<p>my own page</p>"


def test_models_that_are_not_there_are_refused(tmp_path, capsys):
    said = fails(capsys, "play", "--out", str(tmp_path / "p.html"), "--model", "pretrained:none")
    assert "there is no pretrained model" in said
    assert not (tmp_path / "p.html").exists()


def test_the_server_has_the_page_and_nothing_else():
    with page_server("<p>page</p>") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert server.server_address[0] == "127.0.0.1"
        found = {}
        paths = (("GET", "/"), ("GET", "/?a=1"), ("GET", "/index.html"), ("HEAD", "/"), ("GET", "/../etc/passwd"))
        for method, path in paths:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            found[method, path] = (answer.status, answer.read())
            connection.close()
        server.shutdown()
    assert found == {
        ("GET", "/"): (200, b"<p>page</p>"),
        ("GET", "/index.html"): (200, b"<p>page</p>"),
        ("GET", "/?a=1"): (200, b"<p>page</p>"),
        ("HEAD", "/"): (200, b""),
        ("GET", "/../etc/passwd"): (404, b""),
    }


def test_a_port_that_is_taken_is_refused():
    with page_server("") as server, pytest.raises(InputError, match=f"port {server.server_port} is taken by another"):
        page_server("", server.server_port)


@pytest.mark.parametrize("place", ["--out", "--export-site"])
def test_a_port_for_a_page_that_is_written_is_refused(tmp_path, capsys, place):
    said = fails(capsys, "play", "--port", "8001", place, str(tmp_path / "p.html"))
    assert f"got --port 8001 beside {place}; give one of them" in said


@pytest.mark.parametrize("below", [".", "site"])
def test_a_page_that_is_to_be_a_folder_as_well_is_refused_before_either(tmp_path, capsys, below):
    page = tmp_path / "p.html"
    said = fails(capsys, "play", "--out", str(page), "--export-site", str(page / below))
    assert "as a file and as a folder; give --out another name" in said
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_what_is_no_port_is_refused_before_the_page_is_made(monkeypatch, capsys, port):
    monkeypatch.setattr(pages, "play_page", lambda source: 1 / 0)
    assert f"got port={port}; 0 to 65535 was expected" in fails(capsys, "play", "--port", port)


def test_it_serves_until_it_is_stopped(monkeypatch, capsys):
    """The address is printed and opened; Ctrl+C ends it without a fuss."""
    opened = []

    class Stopped:
        server_port = 7

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def serve_forever(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(pages, "play_page", lambda source: "page")
    monkeypatch.setattr("fastslow.play.serve.page_server", lambda page, port: Stopped())
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or len(opened) > 1)
    main(["play"])
    main(["play"])
    main(["play", "--no-browser"])
    assert opened == ["http://127.0.0.1:7/"] * 2
    said = capsys.readouterr().out
    assert said.count("the page is at http://127.0.0.1:7/, for this machine alone; Ctrl+C ends this") == 3
    assert said.count("no browser was found to open it") == 1
    assert said.count("ended; a page that is open goes on working") == 3
