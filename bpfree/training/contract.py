"""What a rule or a net may get wrong, each told in one line: the loop and the trainer ask here."""

import contextlib
import json
import re
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bpfree.errors import InputError
from bpfree.functional.transforms import total_norm
from bpfree.training.batch import Batch, Local, Phase
from bpfree.training.callbacks import Callback

if TYPE_CHECKING:
    from bpfree.training.data import Spec
    from bpfree.training.trainer import Trainer


def surroundings() -> None:
    """Refuses to train where torch makes no gradients, or makes them in another precision than the run asks for."""
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        raise InputError("training needs gradients: call it outside of torch.no_grad() and torch.inference_mode()")
    if torch._C._is_any_autocast_enabled():
        raise InputError("training chooses its own precision: call it outside of torch.autocast(), with precision=bf16")
    if torch.get_default_dtype() != torch.float32:
        name = str(torch.get_default_dtype()).removeprefix("torch.")
        raise InputError(
            f"torch's default type is {name}: set it to torch.float32; precision=fp64 trains in double precision"
        )


def helpers(folder: Any, meter: Any, callbacks: Iterable[Any]) -> None:
    """Refuses what the loop could not call, or would never call."""
    if not hasattr(folder, "save"):
        raise InputError(
            f"folder is {folder!r:.60}: give a bpfree.training.checkpoint.RunFolder, or use bpfree.train(out=…)"
        )
    if not hasattr(meter, "enter"):
        raise InputError(f"meter is {meter!r:.60}: give an energy.Meter, or leave it out")
    hooks = [name for name in vars(Callback) if name.startswith("on_")]
    for callback in callbacks:
        if not any(hasattr(callback, hook) for hook in hooks):
            raise InputError(f"callback {callback!r:.60} is never called: it has none of {', '.join(hooks)}")


def net(blocks: nn.ModuleList) -> None:
    """Refuses a net without blocks, and blocks whose shapes are not known yet."""
    if not len(blocks):
        raise InputError("blocks is empty: give at least one module")
    for k, block in enumerate(blocks):
        if any(torch.nn.parameter.is_lazy(p) for p in block.parameters()):
            raise InputError(f"block {k} is lazy, its weights have no shape yet: send one batch through it first")


@contextlib.contextmanager
def net_fits() -> Iterator[None]:
    """An `InputError` for a net that no allocator can make; other errors are the rule's own and keep their traceback.

    The words are torch's: of the CPU allocator, of its size arithmetic, and of the CUDA allocator.
    """
    try:
        yield
    except (OverflowError, RuntimeError, TypeError) as error:
        if not re.search("can't allocate memory|overflow|too large|out of memory", str(error), re.IGNORECASE):
            raise
        raise InputError(f"the net does not fit into memory: {str(error).splitlines()[0]}") from error


def task(trainer: "Trainer", spec: "Spec") -> None:
    """Refuses data with a task that the rule does not serve."""
    if spec.task not in trainer.tasks:
        rule, serves = type(trainer).__name__, " and ".join(trainer.tasks)
        own = "" if "classification" in trainer.tasks else f", such as --data {trainer.data}"
        raise InputError(f"{rule} cannot learn {spec.task} (data {spec.name}): it serves {serves}{own}")


def replicas(trainer: "Trainer") -> None:
    """Refuses nets side by side where the rule trains one."""
    if trainer.replicas > 1 and not trainer.replicated:
        rule, n = type(trainer).__name__, trainer.replicas
        raise InputError(f"{rule} trains one net, not {n} side by side: use --algo gradient-noise or --net mlp")


def block_output(k: int, block: nn.Module, h: Tensor) -> Tensor:
    """What block k makes of ``h``; an InputError names the block and what reached it."""
    try:
        found = block(h)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"block {k} cannot take examples of shape {tuple(h.shape[1:])}: {why}") from error
    if not isinstance(found, Tensor):
        raise InputError(f"block {k} puts out a {type(found).__name__}: a block gives one tensor")
    return found


def phases(trainer: "Trainer", found: Any) -> list[Phase]:
    """The schedule of a rule, as a list."""
    name, found = f"{type(trainer).__name__}.phases", list(found)
    if not found:
        raise InputError(f"{name} gives no phase: give at least one")
    for phase in found:
        if not isinstance(phase, Phase):
            raise InputError(f"{name} gives a {type(phase).__name__}: give Phase(name, blocks, epochs)")
        if not isinstance(phase.epochs, int) or phase.epochs < 1:
            raise InputError(f"phase {phase.name} has {phase.epochs} epochs: expected a whole number, 1 or more")
        if absent := [k for k in phase.blocks if k not in range(len(trainer.blocks))]:
            raise InputError(f"phase {phase.name} trains block {absent[0]}: expected 0..{len(trainer.blocks) - 1}")
    names = [phase.name for phase in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two phases are called {twice[0]}: give each a name of its own")
    return found


def losses(trainer: "Trainer", found: Any) -> Generator[Local, None, None]:
    """What `Trainer.local_losses` gave, a generator."""
    if not isinstance(found, Generator):
        raise InputError(f"{_name(trainer)} returns a {type(found).__name__}: write it with yield")
    return found


def leaked(trainer: "Trainer") -> InputError:
    """The error for a yield inside of a context manager that would leak into the loop."""
    return InputError(f"{_name(trainer)} yields inside a no_grad or autocast block: leave it before the yield")


def local(trainer: "Trainer", found: Any, owners: Mapping[Hashable, Any]) -> None:
    """Refuses what is no local loss, or a loss of an owner that does not exist."""
    if not isinstance(found, Local):
        raise InputError(f"{_name(trainer)} yields a {type(found).__name__}: yield Local(loss, owner)")
    loss, owner = found
    if not isinstance(owner, Hashable) or (owner is not None and owner not in owners):
        raise InputError(f"the rule has no owner {owner!r}: choose from {', '.join(map(repr, owners))}")
    if loss is None:
        return
    if not isinstance(loss, Tensor):
        raise InputError(f"the loss of owner {owner} is a {type(loss).__name__}: yield a tensor with one value")
    if loss.dim():
        raise InputError(f"the loss of owner {owner} has shape {tuple(loss.shape)}: reduce it to a scalar")
    if not loss.requires_grad:
        raise InputError(f"the loss of owner {owner} depends on no parameter that trains: it has no gradient")


def backward(loss: Tensor, owner: Hashable) -> None:
    """Gradients of ``loss``; torch's advice to keep a graph is not what helps a local rule."""
    try:
        loss.backward()
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise InputError(f"the loss of owner {owner} reaches a graph that is gone: detach its block's input") from error


def reached(owner: Hashable) -> InputError:
    """The error for gradients of an owner that no local loss of the batch was for."""
    return InputError(
        f"a loss of another owner reaches owner {owner!r}: detach its block's input; Local(loss, owner=None) trains "
        f"whoever it reaches"
    )


def strays(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Refuses parameters that hold a gradient when every owner has stepped."""
    for name, p in parameters:
        if p.grad is not None:
            raise InputError(f"{name} gets gradients and has no owner: add it to owners(), or set requires_grad=False")


def orphans(trainer: "Trainer", phases: Iterable["Phase"]) -> None:
    """Refuses parameters that would train, but that nobody steps in any phase."""
    owned = {id(p) for p in trainer.solved()}
    for phase in phases:
        trainer.phase = phase
        owned |= {id(p) for parameters in trainer.owners().values() for p in parameters}
    for name, p in trainer.named_parameters():
        if p.requires_grad and id(p) not in owned:
            raise InputError(
                f"{name} has no owner and would never train: add it to owners(), or set requires_grad=False"
            )


def not_finite(trainer: nn.Module) -> str | None:
    """What of the weights is NaN or infinite: the name of a parameter, or their norm; None: nothing."""
    weights = list(trainer.parameters())
    if not weights or total_norm(weights).isfinite():  # there are none when a rule solves for what it learns
        return None
    at_fault = (name for name, p in trainer.named_parameters() if not p.isfinite().all())
    return next(at_fault, "the norm of the weights")


def scores(trainer: "Trainer", found: Any, batch: Batch, spec: "Spec") -> Tensor:
    """What `Trainer.predict` gave for ``batch``, in its right shape."""
    name = f"{type(trainer).__name__}.predict"
    if not isinstance(found, Tensor):
        raise InputError(f"{name} returns a {type(found).__name__}: return a tensor of scores")
    rows = len(batch.y)
    wanted: set[tuple[int, ...]] = {(rows,)} if spec.metric == "roc-auc" else {(rows, *spec.outputs)}
    if trainer.replicas > 1:
        wanted.add((rows, trainer.replicas, *spec.outputs))
    if tuple(found.shape) not in wanted:
        shapes = " or ".join(map(str, sorted(wanted)))
        raise InputError(f"{name} returns shape {tuple(found.shape)} for {rows} examples: expected {shapes}")
    return found


def diagnostics(trainer: "Trainer", taken: Iterable[str]) -> dict[str, Any]:
    """What the rule has to say about an epoch: plain values under names that the history does not use itself."""
    found, name = trainer.diagnostics(), f"{type(trainer).__name__}.diagnostics"
    if clash := sorted(set(found) & set(taken)):
        raise InputError(f"{name} gives {clash[0]}, which the history has already: give it another name")
    try:
        json.dumps(found)
    except TypeError as error:
        raise InputError(f"{name} gives what JSON cannot hold ({error}): give plain numbers, with .item()") from None
    return found


def _name(trainer: "Trainer") -> str:
    return f"{type(trainer).__name__}.local_losses"
