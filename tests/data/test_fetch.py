import concurrent.futures
import contextlib
import hashlib
import http.server
import os
import sys
import threading
import time
from collections import Counter

import pytest

from fastslow.data import fetch
from fastslow.data.fetching import download
from fastslow.data.fetching.download import checksum_mismatch
from fastslow.data.fetching.fetch import Source
from fastslow.data.registry import DATA, DataSource
from fastslow.errors import InputError

CONTENT = bytes(range(256)) * 1000
FILE = "a.bin"


def _send_on(to):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", to(handler.server))
        handler.end_headers()

    return answer


def _huge(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT) + 1))
    handler.end_headers()


def _endless(handler):
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(CONTENT)


def _slow(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        for i in range(200):
            handler.wfile.write(CONTENT[i : i + 1])
            handler.wfile.flush()
            time.sleep(0.02)


def _held(handler):
    """The first half, and the rest when it is allowed."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.wfile.flush()
    handler.server.half_sent.set()
    assert handler.server.go_on.wait(20)
    handler.wfile.write(CONTENT[len(CONTENT) // 2 :])


HOSTILE = {
    "held": _held,
    "huge": _huge,
    "endless": _endless,
    "slow": _slow,
    "file": _send_on(lambda _server: "file:///etc/hostname"),
    "ftp": _send_on(lambda _server: "ftp://127.0.0.1/a.bin"),
    "moved": _send_on(lambda server: f"{server.url}/good/{FILE}"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """/good, /bad (wrong content), /cut (half of it, once), /plain (no ranges), /stuck (no byte).

    And /huge (announces too much), /endless (announces nothing and sends too much), /slow (a byte at a time),
    /held (waits after one half), /file and /ftp (sent on to addresses of these kinds), /moved (sent on to /good).
    """

    def do_GET(self):
        server, mirror = self.server, self.path.split("/")[1]
        server.requests.append((mirror, self.headers.get("Range")))
        if mirror in HOSTILE:
            HOSTILE[mirror](self)
            return
        if mirror not in ("good", "bad", "cut", "plain", "stuck") or not self.path.endswith(FILE):
            self.send_error(404)
            return
        content = CONTENT[::-1] if mirror == "bad" else CONTENT
        begin = 0
        if self.headers.get("Range") and mirror != "plain":
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        rest = content[begin:]
        first_time = Counter(name for name, _ in server.requests)[mirror] == 1
        if mirror == "cut" and first_time:
            rest = rest[: len(rest) // 2]
        self.wfile.write(b"" if mirror == "stuck" else rest)

    def log_message(self, *_args):
        pass


@pytest.fixture
def server(monkeypatch):
    digests = {"md5": hashlib.md5(CONTENT).hexdigest(), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    source = Source(mirrors=(), sizes={FILE: len(CONTENT)}, checksums={FILE: digests})
    monkeypatch.setitem(DATA, "toy", DataSource("a toy", load=None, splits={}, files=source))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        running.half_sent, running.go_on = threading.Event(), threading.Event()
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch_toy(server, tmp_path, *mirrors):
    return fetch("toy", tmp_path, mirrors=[f"{server.url}/{mirror}/" for mirror in mirrors])


def names(tmp_path):
    return sorted(file.name for file in (tmp_path / "toy").iterdir())


def test_a_file_arrives_once(server, tmp_path):
    (path,) = fetch_toy(server, tmp_path, "good")
    assert path == tmp_path / "toy" / FILE
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == [FILE]
    fetch_toy(server, tmp_path, "good")
    assert server.requests == [("good", None)]


def test_a_right_file_in_the_data_folder_itself_is_enough(server, tmp_path):
    (tmp_path / FILE).write_bytes(CONTENT)
    assert fetch_toy(server, tmp_path, "good") == (tmp_path / FILE,)
    assert server.requests == []


def test_a_wrong_file_is_replaced_only_by_a_right_one(server, tmp_path):
    path = tmp_path / "toy" / FILE
    path.parent.mkdir()
    path.write_bytes(b"truncated")
    with pytest.raises(InputError):
        fetch_toy(server, tmp_path, "missing")
    assert path.read_bytes() == b"truncated"
    fetch_toy(server, tmp_path, "good")
    assert path.read_bytes() == CONTENT
    assert path.with_name(f"{FILE}.before").read_bytes() == b"truncated"
    path.write_bytes(b"of somebody else")
    fetch_toy(server, tmp_path, "good")
    assert path.with_name(f"{FILE}.before2").read_bytes() == b"of somebody else"
    assert path.with_name(f"{FILE}.before").read_bytes() == b"truncated"


def test_a_second_download_at_once_is_refused_and_spoils_nothing(server, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetch_toy, server, tmp_path, "held")
        try:
            assert server.half_sent.wait(20)
            with pytest.raises(InputError, match=r"toy is in use by process \d+ .*; wait for its end"):
                fetch_toy(server, tmp_path, "good")
        finally:
            server.go_on.set()
        assert first.result(20)[0].read_bytes() == CONTENT
    assert server.requests == [("held", None)]
    assert names(tmp_path) == [FILE]


def test_a_download_is_on_the_disk_before_it_has_its_name(server, tmp_path, monkeypatch):
    flushed = []

    def flush(descriptor):
        flushed.append((os.fstat(descriptor).st_size, names(tmp_path)))

    monkeypatch.setattr(os, "fsync", flush)
    fetch_toy(server, tmp_path, "good")
    assert flushed == [(len(CONTENT), [".claim", f"{FILE}.part"])]


def test_a_cut_transfer_is_resumed(server, tmp_path):
    (path,) = fetch_toy(server, tmp_path, "cut")
    assert path.read_bytes() == CONTENT
    assert server.requests == [("cut", None), ("cut", f"bytes={len(CONTENT) // 2}-")]


def test_a_part_from_an_earlier_call_is_resumed(server, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / f"{FILE}.part").write_bytes(CONTENT[:1000])
    (path,) = fetch_toy(server, tmp_path, "good")
    assert path.read_bytes() == CONTENT
    assert server.requests == [("good", "bytes=1000-")]
    assert names(tmp_path) == [FILE]


@pytest.mark.parametrize("part", [CONTENT[::-1][:1000], CONTENT + b"x", CONTENT[::-1]])
def test_a_part_of_something_else_is_thrown_away(server, tmp_path, part):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / f"{FILE}.part").write_bytes(part)
    assert fetch_toy(server, tmp_path, "good")[0].read_bytes() == CONTENT
    assert server.requests[-1] == ("good", None)


def test_a_whole_part_needs_no_transfer(server, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / f"{FILE}.part").write_bytes(CONTENT)
    assert fetch_toy(server, tmp_path, "good")[0].read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_again(server, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / f"{FILE}.part").write_bytes(CONTENT[:1000])
    assert fetch_toy(server, tmp_path, "plain")[0].read_bytes() == CONTENT


@pytest.mark.parametrize("first", ["missing", "bad", "stuck"])
def test_the_second_mirror_helps(server, tmp_path, first):
    assert fetch_toy(server, tmp_path, first, "good")[0].read_bytes() == CONTENT
    assert [mirror for mirror, _ in server.requests] == [first, "good"]


def test_wrong_content_is_refused_by_name_and_removed(server, tmp_path):
    with pytest.raises(InputError, match=r"a\.bin has the md5 checksum .*; refused and removed"):
        fetch_toy(server, tmp_path, "bad")
    assert names(tmp_path) == []


def test_when_all_fail_the_message_says_what_to_do(server, tmp_path):
    with pytest.raises(InputError, match="could not be fetched") as caught:
        fetch_toy(server, tmp_path, "missing", "stuck")
    words = (
        f"{server.url}/missing/{FILE}",
        f"{server.url}/stuck/{FILE}",
        "404",
        "closed after 0 of 256000 bytes",
    )
    for word in (*words, f"put it at {tmp_path / 'toy' / FILE}"):
        assert word in str(caught.value)
    assert names(tmp_path) == []


def test_no_server_at_all(server, tmp_path):
    with pytest.raises(InputError, match=r"could not be fetched from http://127\.0\.0\.1:1/a\.bin"):
        fetch("toy", tmp_path, mirrors=["http://127.0.0.1:1"])
    with pytest.raises(InputError, match="unknown url type"):
        fetch("toy", tmp_path, mirrors=["nonsense"])


@pytest.mark.parametrize("mirror", ["huge", "endless"])
def test_no_more_bytes_are_taken_than_the_file_has(server, tmp_path, mirror):
    with pytest.raises(InputError, match=r"256001 bytes were announced|more than the 256000 bytes of the file"):
        fetch_toy(server, tmp_path, mirror)
    parts = list((tmp_path / "toy").iterdir())
    assert sum(part.stat().st_size for part in parts) <= len(CONTENT)
    assert fetch_toy(server, tmp_path, mirror, "good")[0].read_bytes() == CONTENT


def test_a_server_that_drips_is_given_up_and_another_goes_on_from_there(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(download, "_LEAST_RATE", 1e9)
    began = time.monotonic()
    with pytest.raises(InputError, match=r"too slow: only \d+ of 256000 bytes"):
        fetch_toy(server, tmp_path, "slow")
    assert time.monotonic() - began < 3
    kept = (tmp_path / "toy" / f"{FILE}.part").stat().st_size
    assert 0 < kept < 200
    monkeypatch.undo()


@pytest.mark.parametrize("scheme", ["file", "ftp"])
def test_only_the_web_is_fetched_from_also_where_a_server_sends_us_on(server, tmp_path, scheme):
    with pytest.raises(InputError, match=r"Redirection to url|unknown url type|not allowed"):
        fetch_toy(server, tmp_path, scheme)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / FILE).write_bytes(CONTENT)
    with pytest.raises(InputError, match="unknown url type"):
        fetch("toy", tmp_path, mirrors=[f"{scheme}://{secret}"])
    assert names(tmp_path) == []


def test_a_file_that_has_moved_is_followed(server, tmp_path):
    assert fetch_toy(server, tmp_path, "moved")[0].read_bytes() == CONTENT


def test_a_folder_may_be_given_as_text(server, tmp_path):
    assert fetch("toy", str(tmp_path), mirrors=[f"{server.url}/good"]) == (tmp_path / "toy" / FILE,)


def test_data_that_need_no_download_say_so(tmp_path):
    with pytest.raises(InputError, match="glyphs needs no download"):
        fetch("glyphs", tmp_path)


def test_a_folder_that_cannot_be_written_to(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*choose another folder"):
        fetch_toy(server, tmp_path / "file", "good")


def test_a_terminal_gets_a_bar(server, tmp_path, monkeypatch, capsys):
    fetch_toy(server, tmp_path / "first", "good")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch_toy(server, tmp_path / "second", "good")
    output = capsys.readouterr()
    assert output.out == ""
    assert FILE in output.err


def test_unknown_data_set(tmp_path):
    with pytest.raises(InputError, match="no data set 'imagenet' to fetch; choose from mnist, omniglot"):
        fetch("imagenet", tmp_path)


def test_every_algorithm_must_agree(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    md5, sha256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    assert checksum_mismatch(path, {"md5": md5, "sha256": sha256}) is None
    assert "sha256 checksum" in checksum_mismatch(path, {"md5": md5, "sha256": "0" * 64})


def test_public_sources_are_well_formed():
    for name, files in (("omniglot", 2), ("mnist", 4)):
        source = DATA[name].files
        assert len(source.checksums) == files
        assert source.sizes.keys() == source.checksums.keys()
        assert len(source.mirrors) >= 2
        assert all(mirror.startswith("https://") for mirror in source.mirrors)
        for checksums in source.checksums.values():
            assert {algorithm: len(digest) for algorithm, digest in checksums.items()} == {
                "md5": 32,
                "sha256": 64,
            }
            assert all(int(digest, 16) for digest in checksums.values())
