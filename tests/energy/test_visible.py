"""energy.sources.visible: which boards a process uses."""

import pytest
from energy_doubles import FakeBoard, FakeNvml

from energy import EnergyError
from energy.sources.nvml_session import Session
from energy.sources.visible import Board, Missing, choose

BOARDS = [Board(0, None, "a", "GPU-aaaa-1"), Board(1, None, "b", "GPU-aabb-2")]


def used(visible: str | None) -> list[int | str]:
    """NVML indices, or the reason, under a value of CUDA_VISIBLE_DEVICES."""
    found = choose(BOARDS, None, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    return [board.reason if isinstance(board, Missing) else board.index for board in found]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [0, 1]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("1,0", [1, 0]),
        (" 1 , 0 ", [1, 0]),
        ("GPU-aabb-2,GPU-aaaa-1", [1, 0]),
        ("GPU-aab", [1]),
        ("GPU-aa", []),
        ("0,7,1", [0]),
        ("0,0", [0]),
        ("1,GPU-aabb", [1]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_does(visible, expected):
    """In its order, by index or by an unambiguous beginning of the UUID, up to the first entry that names no board."""
    assert used(visible) == expected


def test_a_mig_slice_is_refused_in_words():
    (reason,) = used("MIG-41b9")
    assert "MIG slice" in reason
    assert "whole boards only" in reason


def test_a_board_cut_into_slices_is_refused_in_words():
    session = Session(FakeNvml(FakeBoard(answers={"nvmlDeviceGetMigMode": (1, 1)})))
    (made,) = choose(session.boards(), None, {})
    assert isinstance(made, Missing)
    assert made.reason.startswith("GPU 0: a board cut into MIG slices has no energy of its own")


def test_a_lost_board_keeps_its_place_and_the_others():
    lost = Board(1, None, "", "", "NVML: the GPU is lost")
    assert choose([BOARDS[0], lost], None, {}) == [BOARDS[0], Missing("GPU 1: NVML: the GPU is lost")]
    assert choose([BOARDS[0], lost], ["GPU-aaaa-1"], {}) == [BOARDS[0]]


def test_an_explicit_gpu_that_is_not_there_is_an_error_that_lists_those_that_are():
    assert [board.index for board in choose(BOARDS, [1, "GPU-aaaa-1"], {"CUDA_VISIBLE_DEVICES": ""})] == [1, 0]
    with pytest.raises(EnergyError, match=r"no GPU 5 here; NVML sees: 0 .GPU-aaaa-1., 1"):
        choose(BOARDS, [0, 5], {})
