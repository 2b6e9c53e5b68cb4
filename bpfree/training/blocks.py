"""Blocks: the list of modules that a rule trains, made of what a user gives as the net.

A block holds something to train. A layer without parameters (a flattening, an activation) joins the block before it,
and the first ones join the block after them; of the layers of a Sequential, normalisations and other layers whose
parameters are vectors join too, so that ``Conv2d, BatchNorm2d, ReLU`` is one block.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bpfree.errors import InputError
from bpfree.training import contract
from bpfree.training.contract import LONE_ROW
from bpfree.training.external import UsesExternal


def as_blocks(net: Any) -> tuple[nn.ModuleList, list[str]]:
    """Make the blocks of a net.

    Args:
        net: modules in order of use; or a Sequential, whose layers are joined to blocks.

    Returns:
        Blocks, and notes about what was joined.

    Raises:
        InputError: no list of modules, or a module that cannot be trained here.
    """
    if not isinstance(net, Iterable):
        raise InputError(
            f"blocks is a {type(net).__name__}: give a list of modules, or a Sequential, whose layers become blocks"
        )
    layers = list(net)
    for k, layer in enumerate(layers):
        _check_module(k, layer)
    least = 2 if isinstance(net, nn.Sequential) else 0
    groups = _joined(layers, [_begins(layer, least) for layer in layers])
    notes = []
    if len(groups) < len(layers):
        blocks = "; ".join(f"{k} = {_described(group)}" for k, group in enumerate(groups))
        notes.append(f"layers with nothing to train of their own joined their neighbours: blocks {blocks}")
    return nn.ModuleList(_merged(group) for group in groups), notes


def _check_module(k: int, layer: Any) -> None:
    if not isinstance(layer, nn.Module):
        kind = layer.__name__ if isinstance(layer, type) else type(layer).__name__
        raise InputError(f"block {k} is a {kind}: give modules, such as nn.ReLU()")
    if isinstance(layer, torch.jit.ScriptModule):
        raise InputError(f"block {k} is a compiled script: give the module that it was made of (--compile is as fast)")
    if any(p.is_complex() for p in layer.parameters()):
        raise InputError(f"block {k} has complex parameters: keep their real and imaginary parts as two real ones")


def _begins(layer: nn.Module, least: int) -> bool:
    """True for a layer that is a block: it has a parameter of ``least`` axes or more, or uses an external system."""
    lazy = nn.parameter.is_lazy
    shaped = any(lazy(p) or p.ndim >= least for p in layer.parameters())
    return shaped or any(isinstance(module, UsesExternal) for module in layer.modules())


def _joined(layers: Sequence[nn.Module], begins: Sequence[bool]) -> list[list[nn.Module]]:
    """Group layers, so that each group has one that begins a block; a single group where none does."""
    groups: list[list[nn.Module]] = []
    begun = False
    for layer, begin in zip(layers, begins, strict=True):
        if not groups or (begin and begun):
            groups.append([])
        groups[-1].append(layer)
        begun |= begin
    return groups


def _merged(group: Sequence[nn.Module]) -> nn.Module:
    """One module of a group; a lone module stays as it is."""
    if len(group) == 1:
        return group[0]
    return nn.Sequential(*(part for layer in group for part in (layer if type(layer) is nn.Sequential else [layer])))


def _described(group: Iterable[nn.Module]) -> str:
    return ", ".join(type(layer).__name__ for layer in group)


def check_types(blocks: nn.ModuleList, precision: str) -> None:
    """Refuse blocks whose parameters have another floating type than the run computes in.

    Args:
        blocks: of the user.
        precision: of the run; in ``fp64`` blocks may be in single precision, and are converted.

    Raises:
        InputError: names the block and its type.
    """
    wanted = {torch.float32, torch.float64} if precision == "fp64" else {torch.float32}
    types: dict[torch.dtype, int] = {}
    for k, block in enumerate(blocks):
        for p in block.parameters():
            types.setdefault(p.dtype, k)
    for dtype, k in types.items():
        if dtype not in wanted:
            name = str(dtype).removeprefix("torch.")
            double = ", or train with precision=fp64" if dtype == torch.float64 else ""
            raise InputError(f"block {k} has parameters of type {name}: convert it with .float(){double}")
    if len(types) > 1:
        raise InputError("some blocks have float32 and some float64 parameters: convert them with .double()")


def probed(blocks: nn.ModuleList, shape: tuple[int, ...]) -> list[str]:
    """Send two rows of zeros through the user's blocks, and mend what would spoil the training of their neighbours.

    Args:
        blocks: of the user; a layer that changes the input of its block in place then works out of place.
        shape: of one example.

    Returns:
        Notes about what was changed.

    Raises:
        InputError: a block that does not take the output of the one before it, or that keeps changing its input.
    """
    notes = []
    first: Tensor = next((p for p in blocks.parameters() if p.is_floating_point()), torch.empty(0))
    h = first.detach().new_zeros(2, *shape)
    for k, block in enumerate(blocks):
        version = h._version
        output = contract.block_output(k, block, h)
        if h._version > version:
            _out_of_place(block)
            version = h._version
            output = contract.block_output(k, block, h)
            if h._version > version:
                raise InputError(f"block {k} changes its input in place: let it work on a copy")
            notes.append(f"block {k} changed its input in place, the output of the block before: it now makes a copy")
        h = output
    return notes


def _out_of_place(block: nn.Module) -> None:
    for module in block.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]


def remarks(blocks: nn.ModuleList, *, scores: bool) -> list[str]:
    """Describe what may not be meant in the user's blocks.

    Args:
        blocks: of the user.
        scores: the output of the last block is used as class scores.

    Returns:
        Notes.
    """
    frozen = [str(k) for k, block in enumerate(blocks) if _frozen(block)]
    notes = [f"frozen (requires_grad=False), left as they are: blocks {', '.join(frozen)}"] if frozen else []
    *_, last = blocks[-1].modules()
    if scores and isinstance(last, nn.Softmax | nn.Sigmoid):
        kind = type(last).__name__
        notes.append(f"the last block ends in {kind}, but its output is used as scores before a softmax: leave it out")
    return notes


def _frozen(block: nn.Module) -> bool:
    params = list(block.parameters())
    return bool(params) and not any(p.requires_grad for p in params)


def takes_one_row(blocks: nn.ModuleList, shape: tuple[int, ...]) -> bool:
    """Return whether ``blocks`` can train on a batch of one row: batch normalisation of vectors cannot.

    Args:
        blocks: of the net.
        shape: of one example.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in blocks.modules()):
        return True
    h = next(blocks.parameters()).new_zeros(1, *shape)
    try:
        with torch.no_grad():
            for block in copy.deepcopy(blocks).train():  # a copy, since the running statistics change
                h = block(h)
    except ValueError as error:
        return LONE_ROW not in str(error)
    return True
