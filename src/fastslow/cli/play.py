"""`fastslow play`: a page to teach a memory by drawing."""

from __future__ import annotations

import contextlib
from pathlib import Path

PAGE_NAME = "index.html"
_MOST_BYTES = 2**26


def play(
    *,
    model: str = "pretrained:omniglot-20w1s-fast",
    out: Path | None = None,
    export_site: Path | None = None,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Open a page in which a memory learns characters from one drawing each.

    The page is one file with all in it. It is served to this machine alone until Ctrl+C, or written with --out or
    --export-site.

    Args:
        model: pretrained:NAME, a run folder or a .safetensors file, of method fastslow in preset default, with images
            of 28 pixels and one view: the small shipped models (omniglot-...-fast), not the most accurate one.
        out: HTML file to write instead, to be opened by a double click.
        export_site: folder to write index.html to instead, for a web server.
        port: to serve at; 0 for any that is free.
        browser: open it in the browser.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.errors import InputError, shown_path
    from fastslow.files import refuse_unwritable_folder, write_text
    from fastslow.ports import refuse_no_port

    refuse_no_port(port)
    if port and (out or export_site):
        place = "--out" if out else "--export-site"
        raise InputError(f"got --port {port} beside {place}; give one of them: a page that is written is not served")
    paths = [path for path in (out, export_site and export_site / PAGE_NAME) if path is not None]
    refuse_output("--out", out, ".html", ".htm", others={"the model": model})
    if export_site is not None:
        if out is not None and out.resolve() in (export_site.resolve(), *export_site.resolve().parents):
            raise InputError(f"got {shown_path(out)} as a file and as a folder; give --out another name")
        refuse_unwritable_folder(export_site, PAGE_NAME)
        _refuse_other_page(export_site / PAGE_NAME)

    from fastslow.play.page import play_page

    page = play_page(model)
    for path in paths:
        write_text(path, page)
        print(path)
    if not paths:
        _serve(page, port, browser)


def _refuse_other_page(path: Path) -> None:
    """Refuses to write over a page that is none of ours: nobody said its name."""
    from fastslow.errors import InputError, shown_path
    from fastslow.files import read_bytes

    if path.is_file() and b'id="model"' not in read_bytes(path, _MOST_BYTES):
        raise InputError(
            f"{shown_path(path)} is there already, is no page of fastslow play and would be lost; give another folder"
        )


def _serve(page: str, port: int, browser: bool) -> None:
    import webbrowser

    from fastslow.play.serve import HOST, page_server

    with page_server(page, port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        print(f"the page is at {address}, for this machine alone; Ctrl+C ends this", flush=True)
        if browser and not webbrowser.open(address):
            print("no browser was found to open it; open the address in one", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        print("ended; a page that is open goes on working, for all of it is in the browser", flush=True)
