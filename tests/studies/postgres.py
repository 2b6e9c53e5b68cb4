"""A PostgreSQL server of the tests' own: a throw-away cluster on a free port, or the reason why there is none."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``: on the path, or where Debian keeps them; None: not installed."""
    initdb = shutil.which("initdb")
    folders = [
        *([Path(initdb).resolve().parent] if initdb else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin")),
    ]
    return next((folder for folder in reversed(folders) if (folder / "pg_ctl").exists()), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """URL of a fresh database; the server refuses to run as root, so that root becomes ``postgres`` for it."""
    folder = programs()
    assert folder is not None
    cluster = tempfile.mkdtemp(prefix="bpfree-postgres-")  # pytest's own folders are closed to other users
    become = []
    if os.geteuid() == 0:
        become = ["runuser", "-u", "postgres", "--"]
        shutil.chown(cluster, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = lambda *command: subprocess.run([*become, *command], check=True, capture_output=True, cwd="/")  # noqa: E731
    run(str(folder / "initdb"), "-D", cluster, "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(str(folder / "pg_ctl"), "-D", cluster, "-w", "-l", f"{cluster}/log", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(folder / "pg_ctl"), "-D", cluster, "-m", "immediate", "stop")
        shutil.rmtree(cluster)
