"""The job of a study's workers. Every run imports it anew, in a process of its own, so that it imports little."""

from typing import Any

from bpfree.runs.train import train

TRAIN = f"{__name__}:train_once"  # as a worker calls it


def train_once(**arguments: Any) -> tuple[str, str | None]:
    """Status and error of one run, with the arguments of `bpfree.train`."""
    record = train(**arguments)
    return record["status"], record["error"]
