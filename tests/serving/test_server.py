"""What a server may be bound to, and what it says where it cannot."""

from __future__ import annotations

import importlib.util
import signal
import socket
import time

import httpx
import pytest

from fastslow.cli import main
from fastslow.errors import InputError
from fastslow.serving import app, connections, server
from fastslow.serving.server import TOKEN_VARIABLE, read_token, rules_for


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_on_this_machine_no_token_is_needed(host):
    rules = rules_for(host, "", 9)
    assert host in rules.hosts
    assert "localhost" in rules.hosts
    assert len(set(rules.hosts)) == len(rules.hosts)
    assert rules_for(host, "t" * 20, 9).hosts == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_elsewhere_a_token_is_needed(host):
    with pytest.raises(InputError, match="no token: give --token-file"):
        rules_for(host, "", 9)
    assert rules_for(host, "t" * 20, 9).token == "t" * 20


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("a" * 32 + "\n")
    monkeypatch.setenv(TOKEN_VARIABLE, "b" * 32)
    assert (read_token(file), read_token(None)) == ("a" * 32, "b" * 32)
    monkeypatch.delenv(TOKEN_VARIABLE)
    assert read_token(None) == ""


@pytest.mark.parametrize("token", ["", "short", "a b" * 10, "é" * 20])
def test_a_token_that_is_none_is_refused(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    with pytest.raises(InputError, match="holds no token"):
        read_token(file)


def address(said):
    return said[0].split()[2]


def connected(said):
    host, port = address(said).removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_a_server_stops_at_a_signal_and_saves(running, tmp_path):
    said, stop = running
    answer = httpx.post(f"{address(said)}/learn", json={"vectors": [[1.0]], "labels": ["a"]})
    assert answer.json() == {"change": 1, "examples": [0]}
    stop()
    assert said[1] == f"stopped; what was learned is in {(tmp_path / 'a.safetensors').resolve()}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_it_says_where_it_is_and_that_nothing_was_learned(running, tmp_path):
    said, stop = running
    where = address(said)
    assert said[0] == f"serving on {where}  (its page: {where}/docs; Ctrl-C saves what was learned, and stops)"
    stop()
    assert said[1] == "stopped; nothing has been learned"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["192.0.2.1", "none.invalid"])
def test_a_host_that_is_none_is_said(tmp_path, capsys, host, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "t" * 20)
    with pytest.raises(SystemExit):
        main(["serve", "--state", str(tmp_path / "a.safetensors"), "--model", "none", "--host", host])
    assert "such as 127.0.0.1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


HEAD = b"POST /learn HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
ASK = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD[:30], ASK], ids=["nothing", "half a head", "one request"])
def test_a_connection_over_which_no_request_comes_is_closed(running, monkeypatch, sent):
    """Even one whose bytes come one by one: what is waited for is the end of the head."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 1.0)
    with connected(running[0]) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        connection.settimeout(0.1)
        heard = b""
        while time.monotonic() < began + 20:
            try:
                if not (part := connection.recv(2**16)):
                    break
                heard += part
            except TimeoutError:
                if sent == HEAD[:30]:
                    connection.sendall(b"x")
            except ConnectionError:
                break
        assert 0.5 < time.monotonic() - began < 15
        assert heard.startswith(b"HTTP/1.1 200 OK" if sent == ASK else b"")
        assert (heard == b"") == (sent != ASK)


def test_a_body_that_is_slow_is_refused_and_a_request_that_takes_long_is_not(running, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(app, "_BODY_SECONDS", 2.0)
    with connected(running[0]) as connection:
        connection.sendall(HEAD)
        connection.settimeout(30)
        said = b""
        while part := connection.recv(2**16):
            said += part
    assert said.startswith(b"HTTP/1.1 408")
    assert b'{"error": "the body did not come within 2 seconds"}' in said
    with connected(running[0]) as connection:  # longer than a head may take, yet not too long
        body = b'{"vectors": [[1.0, 2.0]], "labels": ["a"]}'.ljust(50)
        connection.sendall(HEAD + body[:20])
        time.sleep(1.0)
        connection.sendall(body[20:])
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200")


def test_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    made = server._Server(server.uvicorn.Config("none"))
    with made.capture_signals():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)
        assert made.should_exit
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_that_is_taken_is_said(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SystemExit) as stopped:
        main(
            [
                "serve",
                "--state",
                str(tmp_path / "a.safetensors"),
                "--model",
                "none",
                "--port",
                str(other.getsockname()[1]),
            ]
        )
    assert stopped.value.code == 2
    assert "is taken by another program" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "which others can reach, and no token"),
        (["--max-request", "0"], "got max_request=0.0"),
        (["--host", "none.invalid"], "which others can reach, and no token"),
        (["--model", "a.onnx"], "an .onnx model is not served"),
        (["--port", "70000"], "0 to 65535 was expected"),
        (["--model", "none such"], "none such"),
        (["--token-file", "missing"], "there is no file missing"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--state", str(tmp_path / "a.safetensors"), *arguments])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("fastslow.cli.serve.find_spec", lambda name: None if name == "uvicorn" else real(name))
    with pytest.raises(SystemExit):
        main(["serve", "--state", str(tmp_path / "a.safetensors")])
    assert "serve needs uvicorn, not here: pip install 'fastslow[serve]'" in capsys.readouterr().err
