"""Checks of what a rule, a net or a user hands to the trainer and the loop: each mistake is one line of error.

``check_*`` raise it, ``checked_*`` raise it or return the value, ``*_error`` return it for the caller to raise.
"""

import contextlib
import json
import re
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bpfree.errors import InputError
from bpfree.functional.gradients import total_norm
from bpfree.training.batch import Local, Phase

if TYPE_CHECKING:
    from bpfree.training.data import Spec
    from bpfree.training.trainer import Trainer


LONE_ROW = "more than 1 value per channel"  # in torch's refusal to normalise a batch of one row


def check_surroundings() -> None:
    """Refuse to train where torch makes no gradients, or makes them in another precision than the run's.

    Raises:
        InputError: within no_grad, inference_mode or autocast, or under another default type than float32.
    """
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        raise InputError("training needs gradients: call it outside of torch.no_grad() and torch.inference_mode()")
    if torch._C._is_any_autocast_enabled():
        raise InputError("training chooses its own precision: call it outside of torch.autocast(), with precision=bf16")
    if torch.get_default_dtype() != torch.float32:
        name = str(torch.get_default_dtype()).removeprefix("torch.")
        raise InputError(
            f"torch's default type is {name}: set it to torch.float32; precision=fp64 trains in double precision"
        )


def check_helpers(folder: Any, meter: Any, callbacks: Iterable[Any], hooks: Sequence[str]) -> None:
    """Refuse objects that the loop could not call, or would never call.

    Args:
        folder: of the run.
        meter: of its energy.
        callbacks: the user's.
        hooks: names of the methods that a callback may have.
    """
    if not hasattr(folder, "save"):
        raise InputError(
            f"folder is {folder!r:.60}: give a bpfree.training.run_folder.RunFolder, or use bpfree.train(out=…)"
        )
    if not hasattr(meter, "enter"):
        raise InputError(f"meter is {meter!r:.60}: give an energy.Meter, or leave it out")
    for callback in callbacks:
        if not any(hasattr(callback, hook) for hook in hooks):
            raise InputError(f"callback {callback!r:.60} is never called: it has none of {', '.join(hooks)}")


def check_net(blocks: nn.ModuleList) -> None:
    """Refuse a net without blocks, and blocks whose shapes are not known yet."""
    if not len(blocks):
        raise InputError("blocks is empty: give at least one module")
    for k, block in enumerate(blocks):
        if any(torch.nn.parameter.is_lazy(p) for p in block.parameters()):
            raise InputError(f"block {k} is lazy, its weights have no shape yet: send one batch through it first")


@contextlib.contextmanager
def net_fits() -> Iterator[None]:
    """Turn the failure to allocate a net into an `InputError`; other errors are the rule's and keep their traceback.

    The words are torch's: of the CPU allocator, of its size arithmetic, and of the CUDA allocator.
    """
    try:
        yield
    except (OverflowError, RuntimeError, TypeError) as error:
        if not re.search("can't allocate memory|overflow|too large|out of memory", str(error), re.IGNORECASE):
            raise
        raise InputError(f"the net does not fit into memory: {str(error).splitlines()[0]}") from error


def check_task(rule: str, tasks: Sequence[str], data: str, spec: "Spec") -> None:
    """Refuse data with a task that the rule does not serve.

    Args:
        rule: its name.
        tasks: that it serves.
        data: name of data that suit it.
        spec: of the data at hand.
    """
    if spec.task not in tasks:
        suitable = "" if "classification" in tasks else f", such as --data {data}"
        raise InputError(
            f"{rule} cannot learn {spec.task} (data {spec.name}): it serves {' and '.join(tasks)}{suitable}"
        )


def check_replicas(rule: str, count: int, replicated: bool) -> None:
    """Refuse ``count`` nets side by side where the rule is not ``replicated``: it trains one."""
    if count > 1 and not replicated:
        raise InputError(f"{rule} trains one net, not {count} side by side: use --algo gradient-noise or --net mlp")


def block_output(k: int, block: nn.Module, h: Tensor) -> Tensor:
    """The output of block k.

    Args:
        k: its number, for messages.
        block: the module.
        h: its input ``(B, …)``.

    Raises:
        InputError: it cannot take ``h``, or gives something else than a tensor.
    """
    try:
        output = block(h)
    except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"block {k} cannot take examples of shape {tuple(h.shape[1:])}: {why}") from error
    if not isinstance(output, Tensor):
        raise InputError(f"block {k} puts out a {type(output).__name__}: a block gives one tensor")
    return output


def check_classifier(rule: "Trainer") -> None:
    """Refuse a net whose last block does not put out what the task asks for, where the rule trains by its output."""
    last, outputs = rule.shapes[-1], rule.spec.outputs
    if last != outputs:
        wanted = f"{rule.spec.classes}, one score a class" if rule.spec.classes else f"{outputs}"
        raise InputError(f"the last block puts out {' x '.join(map(str, last))} numbers an example: expected {wanted}")


def checked_phases(rule: str, schedule: Iterable[Any], blocks: int) -> list[Phase]:
    """The schedule of a rule, as a list.

    Args:
        rule: its name.
        schedule: returned by `Trainer.phases`.
        blocks: number of blocks of the net.

    Raises:
        InputError: no phase, something else than a phase, or a phase that cannot be.
    """
    name, checked = f"{rule}.phases", list(schedule)
    if not checked:
        raise InputError(f"{name} gives no phase: give at least one")
    for phase in checked:
        if not isinstance(phase, Phase):
            raise InputError(f"{name} gives a {type(phase).__name__}: give Phase(name, blocks, epochs)")
        if not isinstance(phase.epochs, int) or phase.epochs < 1:
            raise InputError(f"phase {phase.name} has {phase.epochs} epochs: expected a whole number, 1 or more")
        if absent := [k for k in phase.blocks if k not in range(blocks)]:
            raise InputError(f"phase {phase.name} trains block {absent[0]}: expected 0..{blocks - 1}")
    names = [phase.name for phase in checked]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two phases are called {twice[0]}: give each a different name")
    return checked


def checked_losses(rule: str, returned: Any) -> Generator[Local, None, None]:
    """The value ``returned`` by the local_losses of ``rule``, a generator."""
    if not isinstance(returned, Generator):
        raise InputError(f"{rule}.local_losses returns a {type(returned).__name__}: write it with yield")
    return returned


def leak_error(rule: str) -> InputError:
    """The error for a yield of ``rule`` inside of a context manager that would leak into the loop."""
    return InputError(f"{rule}.local_losses yields inside a no_grad or autocast block: leave it before the yield")


def check_local(rule: str, yielded: Any, owners: Mapping[Hashable, Any]) -> None:
    """Refuse what is no local loss, or a loss of an owner that does not exist.

    Args:
        rule: its name.
        yielded: by its local_losses.
        owners: by key; the loss of one without parameters trains nothing and needs no gradient.
    """
    if not isinstance(yielded, Local):
        raise InputError(f"{rule}.local_losses yields a {type(yielded).__name__}: yield Local(loss, owner)")
    loss, owner = yielded
    if not isinstance(owner, Hashable) or (owner is not None and owner not in owners):
        raise InputError(f"the rule has no owner {owner!r}: choose from {', '.join(map(repr, owners))}")
    if loss is None:
        return
    if not isinstance(loss, Tensor):
        raise InputError(f"the loss of owner {owner} is a {type(loss).__name__}: yield a tensor with one value")
    if loss.dim():
        raise InputError(f"the loss of owner {owner} has shape {tuple(loss.shape)}: reduce it to a scalar")
    if not loss.requires_grad and (owner is None or owners[owner].params):
        raise InputError(f"the loss of owner {owner} depends on no parameter that trains: it has no gradient")


def backward(loss: Tensor, owner: Hashable) -> None:
    """Compute the gradients of ``loss``, which trains ``owner``.

    Raises:
        InputError: a graph that it uses was freed. Torch's own advice, to keep the graph, does not help a local rule.
    """
    try:
        loss.backward()
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise InputError(
            f"the loss of owner {owner} uses a graph that was already freed: detach its block's input"
        ) from error


def lone_row_error() -> InputError:
    """The error for a batch of one row in a net that normalises over the batch."""
    return InputError(
        "batch normalisation cannot train on a batch of one row: take a larger --batch-size, --last-batch drop, or a "
        "DataLoader with drop_last=True"
    )


def reach_error(owner: Hashable) -> InputError:
    """The error for gradients of an owner that no local loss of the batch was for."""
    return InputError(
        f"a loss of another owner has gradients for owner {owner!r}: detach its block's input; Local(loss, owner=None) "
        f"trains all owners that it has gradients for"
    )


def check_strays(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse parameters that hold a gradient when every owner has stepped."""
    for name, p in parameters:
        if p.grad is not None:
            raise InputError(f"{name} gets gradients and has no owner: add it to owners(), or set requires_grad=False")


def check_owners(rule: "Trainer", phases: Iterable[Phase]) -> None:
    """Refuse parameters of ``rule`` that two owners step, or that would train but have no owner in any of ``phases``.

    Raises:
        InputError: names the parameter; or nothing is left to train.
    """
    solved, owned = {id(p) for p in rule.solved()}, set[int]()
    for phase in phases:
        rule.phase = phase
        by_owner: dict[int, Hashable] = {}
        for key, parameters in rule.owners().items():
            for p in parameters:
                if p.requires_grad and by_owner.setdefault(id(p), key) != key:
                    name = next(name for name, other in rule.named_parameters() if other is p)
                    raise InputError(
                        f"{name} is in owners {by_owner[id(p)]} and {key}, and both would step it: give each a "
                        f"parameter of its own, or make one block of those that share it"
                    )
        owned |= by_owner.keys()
    if not owned and not solved:
        raise InputError("nothing can be trained: no block has a parameter with requires_grad=True")
    untouched = {id(p) for p in rule.untouched()}
    for name, p in rule.named_parameters():
        if p.requires_grad and id(p) not in owned | solved | untouched:
            raise InputError(
                f"{name} has no owner and would never train: add it to owners(), or set requires_grad=False"
            )


def not_finite(net: nn.Module) -> str | None:
    """The name of a parameter that is NaN or infinite, or "the norm of the weights"; None: all are finite."""
    weights = list(net.parameters())
    if not weights or total_norm(weights).isfinite():  # there are none when a rule solves for what it learns
        return None
    at_fault = (name for name, p in net.named_parameters() if not p.isfinite().all())
    return next(at_fault, "the norm of the weights")


def checked_scores(rule: str, returned: Any, rows: int, spec: "Spec", replicas: int) -> Tensor:
    """The predictions of a batch, in their right shape.

    Args:
        rule: its name.
        returned: by its predict.
        rows: of the batch that have a target.
        spec: of the data.
        replicas: nets side by side.

    Raises:
        InputError: no tensor, or one of another shape.
    """
    if not isinstance(returned, Tensor):
        raise InputError(f"{rule}.predict returns a {type(returned).__name__}: return a tensor of scores")
    wanted: set[tuple[int, ...]] = {(rows,)} if spec.metric == "roc-auc" else {(rows, *spec.outputs)}
    if replicas > 1:
        wanted.add((rows, replicas, *spec.outputs))
    if tuple(returned.shape) not in wanted:
        shapes = " or ".join(map(str, sorted(wanted)))
        raise InputError(f"{rule}.predict returns shape {tuple(returned.shape)} for {rows} examples: expected {shapes}")
    return returned


def checked_diagnostics(rule: str, values: dict[str, Any], taken: Iterable[str]) -> dict[str, Any]:
    """The rule's own diagnostics of an epoch, for the history.

    Args:
        rule: its name.
        values: returned by its diagnostics.
        taken: names that the history uses itself.

    Raises:
        InputError: a name that is taken, or a value that JSON cannot hold.
    """
    if clash := sorted(set(values) & set(taken)):
        raise InputError(f"{rule}.diagnostics gives {clash[0]}, which the history has already: give it another name")
    try:
        json.dumps(values)
    except TypeError as error:
        raise InputError(
            f"{rule}.diagnostics gives what JSON cannot hold ({error}): give plain numbers, with .item()"
        ) from None
    return values
