"""What an SFTP session's errors mean for money: the server said no, or nobody knows."""

import io
import socket

import paramiko
import pytest

from include.doku import sftp
from include.doku.sftp import SftpServer, SftpSettings, connect
from include.domain.errors import HostKeyError, RemoteError, RemoteRefused

CLOSED = OSError("Socket is closed")  # paramiko's words for a connection that is gone
FAILURE = OSError("Failure")  # an SFTP status answer


class _File(io.BytesIO):
    def __init__(self, fails):
        super().__init__()
        self._fails = fails

    def set_pipelined(self, _on):
        pass

    def write(self, data):
        if self._fails:
            raise self._fails
        return super().write(data)


class _Session:
    """A paramiko session of which each method fails as told."""

    def __init__(self, **fails):
        self._fails = fails

    def open(self, *_):
        self._fail("open")
        return _File(self._fails.get("write"))

    def stat(self, _):
        self._fail("stat")

    def rename(self, *_):
        self._fail("rename")

    def _fail(self, name):
        if name in self._fails:
            raise self._fails[name]


def _server(**fails):
    return SftpServer(_Session(**fails), "server")


@pytest.mark.parametrize("answer", [PermissionError("denied"), FileNotFoundError("no such file"), FAILURE])
def test_only_a_file_that_could_not_be_opened_was_surely_not_written(answer):
    with pytest.raises(RemoteRefused):
        _server(open=answer).write("/inbound/A", [b"x"])


@pytest.mark.parametrize("answer", [PermissionError("denied"), FAILURE])
def test_a_write_that_is_refused_in_the_middle_leaves_something_behind(answer):
    with pytest.raises(RemoteError, match="open for writing by then"):
        _server(write=answer).write("/inbound/A", [b"x"])


def test_a_file_that_was_written_and_is_gone_was_taken_not_refused():
    with pytest.raises(RemoteError, match="open for writing by then"):
        _server(stat=FileNotFoundError("no such file")).write("/inbound/A", [b"x"])


@pytest.mark.parametrize("lost", [CLOSED, TimeoutError(), EOFError(), ConnectionResetError(104, "reset")])
def test_a_connection_that_is_gone_has_not_answered(lost):
    with pytest.raises(RemoteError):
        _server(rename=lost).rename("/inbound/a", "/inbound/B")
    with pytest.raises(RemoteError, match="looks at the server first"):
        _server(stat=lost).stat("/inbound/A")


def test_a_refusal_says_what_to_do():
    with pytest.raises(RemoteRefused, match="Ask DOKU why, then clear the task"):
        _server(stat=FAILURE).stat("/inbound/A")


@pytest.mark.parametrize("pin", ["ssh-ed25519 AAAA", "ssh-ed25519 !!!", "AAAA", "", "doku.example ssh-ed25519 AAAA"])
def test_a_pin_that_is_no_key_is_said_before_anything_is_connected(pin):
    settings = SftpSettings("sftp", "127.0.0.1", 9, "merchant", host_keys=(pin,))
    with (
        pytest.raises(HostKeyError, match="of connection sftp holds a line that is no host key"),
        connect(settings),
    ):
        pass


def test_no_question_waits_for_the_one_before_to_be_acknowledged():
    """With it, a report of 20 MB came in 5 seconds, nearly all of them spent waiting; without it in half a second."""
    ours, theirs = _connected()
    with ours, theirs:
        transport = sftp._transport(ours)
        assert isinstance(transport, paramiko.Transport)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _connected():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return ours, theirs
