"""Fetching published files: https only, resumed where a connection was cut, never more bytes than were published."""

import fcntl
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bpfree.errors import InputError

TIMEOUT_S = 30
_CHUNK = 1 << 18
_IDLE = 3  # tries in a row that may bring nothing before a host is given up


@dataclass(frozen=True)
class Remote:
    """A published file: its name, where it is, how many bytes it has; 0: not published, what the host says counts."""

    name: str
    urls: tuple[str, ...]
    size: int = 0


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect that would leave https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str, headers: Mapping[str, str]) -> Any:
    """The response to GET ``url``; the one place that touches the network, so tests replace it."""
    if urlsplit(url).scheme != "https":
        raise urllib.error.URLError("it is not https")
    request = urllib.request.Request(url, headers={"User-Agent": "bpfree", **headers})
    return urllib.request.build_opener(_HttpsOnly).open(request, timeout=TIMEOUT_S)


def fetch(remote: Remote, folder: Path, check: Callable[[Path], Any]) -> Path:
    """Bring ``remote`` into ``folder``, from the first of its addresses that gives what was published.

    What has arrived stays in ``<name>.part`` when a connection is cut, and the next try, or the next run, goes on from
    there. Several processes may call this at once: one fetches, the others wait for it.

    Args:
        check: raises InputError when the file it is given is not what was published; it is then thrown away.

    Raises:
        InputError: no address gave the file; says what was wrong with each.
    """
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    wrong = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f"{remote.name}.lock"):
            if target.exists() and not target.is_file():
                raise InputError(f"{target} is not a file: remove it")
            for url in [] if target.exists() else remote.urls:
                try:
                    size = remote.size or _announced(url)
                    print(f"fetching {url} ({size / 1e6:.1f} MB) into {folder}", file=sys.stderr)
                    _complete(url, part, size, check)
                except (InputError, *_FAILED) as error:
                    wrong.append(f"{url}: {_reason(error)}")
                else:
                    part.replace(target)
                    break
            if target.exists():
                return target
    except OSError as error:
        raise InputError(f"cannot keep {remote.name} in {folder}: {error.strerror or error}") from None
    raise InputError(f"cannot fetch {remote.name}: {'; '.join(wrong)}")


class _NotSent(Exception):
    """The host did not send what was published, however often it was asked."""


# URLError is an OSError, but so is a full disk: only what the network does counts as a reason to try another host.
_FAILED = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, _NotSent)


def _asked(call: Callable[..., Any], *args: Any) -> Any:
    """What ``call`` returns; whatever else the network does wrong (no route, TLS) counts as a broken connection."""
    try:
        return call(*args)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        raise
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _announced(url: str) -> int:
    """How many bytes the host says the file has."""
    with _asked(open_https, url, {}) as response:
        length = response.headers.get("Content-Length", "")
    if not length.isdigit():
        raise _NotSent("the host does not say how many bytes it has")
    return int(length)


def _complete(url: str, part: Path, size: int, check: Callable[[Path], Any]) -> None:
    """Fill and check ``part``; when what an earlier try left in it turns out to be wrong, begin anew once."""
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    for again in (True, False) if part.exists() else (False,):
        try:
            _fill(url, part, size)
            check(part)
            return
        except InputError:
            part.unlink()
            if not again:
                raise


def _fill(url: str, part: Path, size: int) -> None:
    """Bring ``part`` to ``size`` bytes, asking only for those that are missing."""
    idle, done = 0, _size(part)
    while done < size:
        reason: BaseException | str = "the connection ended early"
        try:
            _receive(url, part, size, done)
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = error
        except urllib.error.URLError as error:
            if done == 0 or isinstance(error, urllib.error.HTTPError):  # a host that answered before may again
                raise
            reason = error
        before, done = done, _size(part)
        idle = 0 if done > before else idle + 1
        if idle == _IDLE:
            raise _NotSent(f"{_reason(reason)} after {done:,} of {size:,} bytes; run again to go on from there")
    if done > size:
        raise InputError(f"it has more than the {size:,} bytes that were published")


def _receive(url: str, part: Path, size: int, done: int) -> None:
    """Append what one response gives to the ``done`` bytes of ``part``, or begin anew where the host cannot resume."""
    with _asked(open_https, url, {"Range": f"bytes={done}-"} if done else {}) as response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        begin = done if resumed else 0
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != size - begin:
            raise _NotSent(f"the host announces {int(length) + begin:,} bytes, {size:,} were published")
        with part.open("r+b" if resumed else "wb") as file:
            file.seek(begin)
            while chunk := _asked(response.read, min(_CHUNK, size + 1 - file.tell())):
                file.write(chunk)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: BaseException | str) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the host answers {error.code} {error.reason}"
    return str(getattr(error, "reason", None) or error or type(error).__name__)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Only one process at a time gets past here; the lock goes when the process does."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
