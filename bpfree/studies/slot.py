"""A slot: where one run at a time is made, in processes of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpfree.studies.workers import Worker


@dataclass(frozen=True)
class Slot:
    """A worker, and the environment variables of the runs that it makes, such as the GPU that they see."""

    worker: Worker
    environ: Mapping[str, str]

    def call(self, function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function in a process of its own.

        Args:
            function: ``module:name``.
            arguments: plain JSON.

        Returns:
            ``{"value": …}``, or ``{"error": text, "code": exit code}``.
        """
        return self.worker.run(function, arguments, self.environ)
