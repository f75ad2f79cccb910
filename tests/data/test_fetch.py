import hashlib
import http.server
import sys
import threading
from collections import Counter

import pytest

from fastslow.data import fetch
from fastslow.data.fetch.download import checksum_mismatch
from fastslow.data.fetch.fetch import SOURCES, Source
from fastslow.errors import InputError

CONTENT = bytes(range(256)) * 1000
FILE = "a.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    """/good, /bad (wrong content), /cut (half of it, once), /plain (no ranges), /stuck (no byte)."""

    def do_GET(self):
        server, mirror = self.server, self.path.split("/")[1]
        server.requests.append((mirror, self.headers.get("Range")))
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
    monkeypatch.setitem(SOURCES, "toy", Source(mirrors=(), checksums={FILE: digests}))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = []
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
        source = SOURCES[name]
        assert len(source.checksums) == files
        assert len(source.mirrors) >= 2
        assert all(mirror.startswith("https://") for mirror in source.mirrors)
        for checksums in source.checksums.values():
            assert {algorithm: len(digest) for algorithm, digest in checksums.items()} == {
                "md5": 32,
                "sha256": 64,
            }
            assert all(int(digest, 16) for digest in checksums.values())
