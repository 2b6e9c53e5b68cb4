"""GPUs that this process uses: CUDA_VISIBLE_DEVICES or an explicit list, matched against NVML's boards by UUID.

NVML counts boards by PCI bus. CUDA does the same only with CUDA_DEVICE_ORDER=PCI_BUS_ID; without it an index may mean
another board on machines with different cards, so UUIDs are the safe way to name them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energy.labels import EnergyError

WHOLE_BOARDS = "has no energy of its own: NVML reports that of whole boards only, and a share of it would be a guess"


@dataclass(frozen=True)
class Board:
    """One board: NVML index, handle, name, UUID; ``fault``: the reason for which it cannot be metered, or ""."""

    index: int
    handle: Any
    name: str
    uuid: str
    fault: str = ""


@dataclass(frozen=True)
class Missing:
    """A GPU in use that cannot be metered, and the reason."""

    reason: str


def choose(
    boards: Sequence[Board], gpus: Sequence[int | str] | None = None, environ: Mapping[str, str] = os.environ
) -> list[Board | Missing]:
    """Boards in use, in CUDA's order.

    Args:
        boards: all boards, in NVML's order.
        gpus: NVML indices or UUIDs (a unique beginning is enough); None: CUDA_VISIBLE_DEVICES, which like CUDA ends at
            the first entry that names no board; without it all boards.
        environ: environment variables.

    Raises:
        EnergyError: an entry of ``gpus`` names no board.
    """
    if gpus is not None:
        matches = [_find(boards, str(entry)) for entry in gpus]
        if None in matches:
            wrong = gpus[matches.index(None)]
            have = ", ".join(f"{board.index} ({board.uuid})" for board in boards) or "none"
            raise EnergyError(f"no GPU {wrong!r} here; NVML sees: {have}")
        return [board for board in matches if board is not None]
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [_whole(board) for board in boards]
    in_use: list[Board | Missing] = []
    for entry in filter(None, (part.strip() for part in visible.split(","))):
        board = _find(boards, entry)
        if board is None or board in in_use:  # a board named twice, even in two ways, is metered once
            break
        in_use.append(board)
    return in_use


def _find(boards: Sequence[Board], entry: str) -> Board | Missing | None:
    if entry.startswith("MIG-"):
        return Missing(f"the MIG slice {entry} {WHOLE_BOARDS}")
    if entry.lstrip("-").isdigit():
        return next((_whole(board) for board in boards if board.index == int(entry)), None)
    matches = [board for board in boards if board.uuid.startswith(entry)]
    return _whole(matches[0]) if len(matches) == 1 else None


def _whole(board: Board) -> Board | Missing:
    return Missing(f"GPU {board.index}: {board.fault}") if board.fault else board
