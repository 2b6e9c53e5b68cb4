"""Splits: seeded, stratified choices of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bpfree.errors import InputError


def split(y: Tensor, fraction: float, seed: int, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """Hold out a stratified part of the rows.

    Of a class with n rows, n·fraction rounded up or down are held out, but at least one and at most n - 1. The classes
    with the largest remainders round up, so that the total comes as near as possible to N·fraction.

    Args:
        y: labels ``(N,)`` int64, 0..C-1.
        fraction: share to hold out, between 0 and 1.
        seed: of the choice.
        names: of the classes, for messages; None: their numbers.

    Returns:
        Rows kept and rows held out, each ascending int64.

    Raises:
        InputError: a part that would be empty, or a class that cannot be in both parts.
    """
    counts = torch.bincount(y)
    classes, n = len(counts), len(y)
    if not 0 < fraction < 1:
        raise InputError(f"val_fraction = {fraction} is not valid: expected > 0, < 1")
    held_out = round(n * fraction)
    if counts.min() < 2:
        c = int(counts.argmin())
        name, number = names[c] if names else str(c), "1 training row" if counts[c] else "no training row"
        raise InputError(
            f"class {name} has {number}: a validation split needs at least 2 of each class, whatever val_fraction"
        )
    if held_out < classes or n - held_out < classes:
        part, rows = ("validation", held_out) if held_out < classes else ("training", n - held_out)
        raise InputError(
            f"val_fraction = {fraction:g} of {n} rows leaves {rows} {part} rows, fewer than the {classes} classes: "
            f"each class needs a row in both parts, as with --val-fraction {_feasible(n, classes, fraction)}"
        )
    return _choose(y, _apportion(counts, held_out).clamp(min=1).minimum(counts - 1), seed)


def _feasible(n: int, classes: int, fraction: float) -> float:
    """The shortest decimal near ``fraction`` that leaves at least ``classes`` of ``n`` rows in both parts."""
    low, high = classes / n, (n - classes) / n
    for digits in range(1, 17):
        near = round(min(max(fraction, low), high), digits)
        for candidate in (near, round(near + 10**-digits, digits), round(near - 10**-digits, digits)):
            if classes <= round(n * candidate) <= n - classes:
                return candidate
    return 1 / 2


def hold_out_groups(groups: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Hold out whole groups, such as speakers: of G groups, G·fraction rounded, at least one and at most G - 1.

    Args:
        groups: ``(N,)`` int64, the group of each row.
        fraction: share of the groups to hold out, between 0 and 1.
        seed: of the choice.

    Returns:
        Rows kept and rows held out, each ascending int64.

    Raises:
        InputError: fewer than two groups.
    """
    members = torch.unique(groups)
    if len(members) < 2:
        raise InputError("all rows are of one group: whole groups can be held out of two or more")
    count = min(max(round(len(members) * fraction), 1), len(members) - 1)
    order = torch.randperm(len(members), generator=torch.Generator().manual_seed(seed))
    held_out = torch.isin(groups, members[order[:count]])
    return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]


def subset(y: Tensor, rows: int, seed: int) -> Tensor:
    """Choose a stratified subset of the rows.

    Args:
        y: labels ``(N,)`` int64, 0..C-1.
        rows: number of rows to choose.
        seed: of the choice.

    Returns:
        Rows, ascending int64.

    Raises:
        InputError: more rows than there are, or fewer than one for each class.
    """
    counts = torch.bincount(y)
    if not len(counts) <= rows <= len(y):
        least = f"{len(counts)} (one row a class)" if len(counts) > 1 else "1"
        raise InputError(
            f"subset = {rows} is not valid: expected between {least} and {len(y)} "
            f"(the training rows after the validation split)"
        )
    return _choose(y, _apportion(counts, rows, least=1), seed)[1]


def _apportion(counts: Tensor, total: int, least: int = 0) -> Tensor:
    """Apportion ``total`` in proportion to ``counts`` by largest remainder: ``(C,)``, each >= ``least``."""
    n = int(counts.sum())
    share = counts * total // n
    share = share.clamp(min=least)
    remainder = (counts * total) - share * n  # exact: integers, in units of 1/n
    while int(share.sum()) < total:
        c = int(remainder.argmax())
        share[c] += 1
        remainder[c] -= n
    while int(share.sum()) > total:  # only when some class was raised to ``least``
        c = int(torch.where(share > least, remainder, remainder.max() + 1).argmin())
        share[c] -= 1
        remainder[c] += n
    return share


def _choose(y: Tensor, take: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Choose ``take[c]`` rows of each class c at random: the rows left, and the chosen ones, ascending."""
    rng = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(y), dtype=torch.bool)
    for c, k in enumerate(take.tolist()):
        rows = (y == c).nonzero()[:, 0]
        mask[rows[torch.randperm(len(rows), generator=rng)[:k]]] = True
    return (~mask).nonzero()[:, 0], mask.nonzero()[:, 0]
