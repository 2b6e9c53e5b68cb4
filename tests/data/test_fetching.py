"""Fetching from a host that cuts connections, corrupts bytes and lies about sizes."""

import hashlib
import ssl
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bpfree.data import fetching
from bpfree.errors import InputError

CONTENT = bytes(range(256)) * 40
REMOTE = fetching.Remote("set.bin", ("https://one.example/set.bin", "https://two.example/set.bin"), len(CONTENT))


def check(path):
    if path.read_bytes() != CONTENT:
        raise InputError(f"SHA-256 is {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}")


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the next entry of ``server.script`` says; the last entry goes on for ever."""

    def do_GET(self):
        script = self.server.script
        act = script.pop(0) if len(script) > 1 else script[0]
        self.server.requests.append((self.headers["Host"], self.headers.get("Range")))
        act(self)

    def answer(self, body, begin=0, announce=None, resume=True):
        resumed = resume and begin
        self.send_response(206 if resumed else 200)
        if resumed:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if announce != "nothing":
            self.send_header("Content-Length", str(len(body) if announce is None else announce))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    @property
    def begin(self):
        return int(self.headers.get("Range", "bytes=0-")[6:-1])

    def log_message(self, *_):
        pass


def whole(handler):
    handler.answer(CONTENT[handler.begin :], handler.begin)


def cut(n):
    """Announces all that is missing, sends ``n`` bytes of it."""

    def act(handler):
        begin = handler.begin
        handler.answer(CONTENT[begin : begin + n], begin, len(CONTENT) - begin)

    return act


def corrupt(handler):
    handler.answer(CONTENT[handler.begin : -1] + b"!", handler.begin)


def too_short(handler):
    handler.answer(CONTENT[:-7])


def too_long_unannounced(handler):
    handler.answer(CONTENT * 50, announce="nothing")


def forgetful(handler):
    """Ignores that only a part was asked for."""
    handler.answer(CONTENT, resume=False)


def missing(handler):
    handler.send_error(404)


@pytest.fixture
def host(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.script = [], [whole]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def open_local(url, headers):
        """The seam: the same path on this machine, the host's name in a header."""
        name, _, path = url.removeprefix("https://").partition("/")
        local = f"http://127.0.0.1:{server.server_port}/{path}"
        return urllib.request.urlopen(urllib.request.Request(local, headers={**headers, "Host": name}), timeout=60)

    monkeypatch.setattr(fetching, "open_https", open_local)
    yield server
    server.shutdown()
    server.server_close()


def test_whole_file_arrives_and_leaves_no_part_behind(host, tmp_path):
    path = fetching.fetch(REMOTE, tmp_path / "new", check)
    assert path.read_bytes() == CONTENT
    assert not list((tmp_path / "new").glob("*.part"))


def test_what_is_there_is_not_fetched_again(host, tmp_path):
    fetching.fetch(REMOTE, tmp_path, check)
    fetching.fetch(REMOTE, tmp_path, check)
    assert len(host.requests) == 1


def test_a_cut_connection_is_resumed_where_it_ended(host, tmp_path):
    host.script = [cut(3000), cut(4000), whole]
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT
    assert [requests for _, requests in host.requests] == [None, "bytes=3000-", "bytes=7000-"]


@pytest.mark.parametrize("error", [OSError(113, "No route to host"), ssl.SSLEOFError(8, "EOF occurred")], ids=repr)
def test_whatever_the_network_does_wrong_is_a_cut_connection(error, host, tmp_path, monkeypatch):
    """Both are plain OSErrors, as a full disk is."""
    local = fetching.open_https

    def broken(url, headers):
        response = local(url, headers)
        if not headers:
            read = iter([response.read(3000), error])
            response.read = lambda _: found if isinstance(found := next(read), bytes) else raised(found)
        return response

    monkeypatch.setattr(fetching, "open_https", broken)
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT
    assert [requests for _, requests in host.requests] == [None, "bytes=3000-"]


def raised(error):
    raise error


def test_a_host_that_fails_for_a_moment_is_tried_again(host, tmp_path, monkeypatch):
    host.script = [cut(3000), whole]
    local, away = fetching.open_https, iter([False, True, True, False])
    refused = urllib.error.URLError(ConnectionRefusedError("refused"))
    monkeypatch.setattr(fetching, "open_https", lambda *requests: raised(refused) if next(away) else local(*requests))
    one = fetching.Remote(REMOTE.name, REMOTE.urls[:1], REMOTE.size)
    assert fetching.fetch(one, tmp_path, check).read_bytes() == CONTENT


def test_a_folder_in_place_of_the_file_is_named(host, tmp_path):
    (tmp_path / "set.bin").mkdir()
    with pytest.raises(InputError, match=r"set\.bin is not a file: remove it"):
        fetching.fetch(REMOTE, tmp_path, check)
    assert host.requests == []


def test_the_next_run_goes_on_from_what_the_last_one_left(host, tmp_path):
    host.script = [cut(5000), cut(0)]
    one = fetching.Remote(REMOTE.name, REMOTE.urls[:1], REMOTE.size)
    with pytest.raises(InputError, match=r"after 5,000 of 10,240 bytes; run again to go on"):
        fetching.fetch(one, tmp_path, check)
    assert not (tmp_path / "set.bin").exists()
    host.script, host.requests = [whole], []
    fetching.fetch(one, tmp_path, check)
    assert host.requests == [("one.example", "bytes=5000-")]


def test_a_host_that_cannot_resume_sends_everything_again(host, tmp_path):
    host.script = [cut(3000), forgetful]
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT


def test_corrupt_bytes_are_removed_and_the_next_host_is_tried(host, tmp_path):
    host.script = [corrupt, whole]
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT
    assert [name for name, _ in host.requests] == ["one.example", "two.example"]


def test_corrupt_bytes_from_every_host_leave_nothing(host, tmp_path):
    host.script = [corrupt]
    with pytest.raises(InputError, match=r"one.example.*SHA-256 is.*two.example.*SHA-256 is"):
        fetching.fetch(REMOTE, tmp_path, check)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_part_that_turns_out_wrong_is_fetched_anew(host, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(b"?" * 100)
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT
    assert [requests for _, requests in host.requests] == ["bytes=100-", None]


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 5])
def test_a_wrong_part_of_full_size_is_fetched_anew(left, host, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(b"?" * left)
    assert fetching.fetch(REMOTE, tmp_path, check).read_bytes() == CONTENT


def test_a_host_that_announces_another_size_is_not_listened_to(host, tmp_path):
    host.script = [too_short]
    with pytest.raises(InputError, match=r"announces 10,233 bytes, 10,240 were published"):
        fetching.fetch(REMOTE, tmp_path, check)


def test_no_more_is_read_than_was_published(host, tmp_path):
    """One byte too many is enough to refuse half a megabyte that is sent without a length."""
    host.script = [too_long_unannounced]
    sizes = []
    with pytest.raises(InputError, match="more than the 10,240 bytes that were published"):
        fetching.fetch(REMOTE, tmp_path, lambda path: sizes.append(path.stat().st_size))
    assert sizes == []


def test_an_error_of_the_host_is_in_the_message(host, tmp_path):
    host.script = [missing]
    with pytest.raises(InputError, match=r"cannot fetch set.bin: https://one.example/set.bin: the host answers 404"):
        fetching.fetch(REMOTE, tmp_path, check)


def test_two_fetches_at_once_ask_for_the_file_once(host, tmp_path):
    threads = [threading.Thread(target=fetching.fetch, args=(REMOTE, tmp_path, check)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(host.requests) == 1


def test_a_folder_that_cannot_be_made_is_one_clear_error(host, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot keep set.bin in .*file/new: Not a directory"):
        fetching.fetch(REMOTE, tmp_path / "file" / "new", check)


def test_nothing_but_https_is_opened():
    with pytest.raises(urllib.error.URLError, match="it is not https"):
        fetching.open_https("http://127.0.0.1:1/set.bin", {})


def test_a_redirect_away_from_https_is_refused(host):
    def elsewhere(handler):
        handler.send_response(302)
        handler.send_header("Location", f"http://127.0.0.1:{host.server_port}/other")
        handler.end_headers()

    host.script = [elsewhere, whole]
    opener = urllib.request.build_opener(fetching._HttpsOnly)
    with pytest.raises(urllib.error.URLError, match="not https"):
        opener.open(f"http://127.0.0.1:{host.server_port}/set.bin", timeout=60)
    assert len(host.requests) == 1
