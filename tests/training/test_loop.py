"""The loop: the order of a step, resume of everything random, clear errors."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small import fit, loop_of, make, outcome, run, snapshot, tiny, weights_hash
from torch import nn

from bpfree.data.augment import Augment
from bpfree.data.sources import TensorSource
from bpfree.errors import Diverged, InputError
from bpfree.rules.mono_forward import MonoForward
from bpfree.training.checkpoint import read
from bpfree.training.data import Data
from bpfree.training.device import pick_device
from bpfree.training.loop import Loop
from bpfree.training.run_folder import CONFIG, LAST, RunFolder
from bpfree.training.trainer import Batch, Local

SMALL = {"hidden": (12, 10), "epochs": 2, "batch_size": 8}


class Mine(MonoForward):
    """A rule that notes what happens."""

    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        self.log: list[str] = []

    def transforms(self, owner):
        return [lambda grads: self.log.append(f"transform {owner}")]

    def on_grads(self, owner):
        self.log.append(f"grads {owner}")

    def on_step(self, owner):
        self.log.append(f"step {owner}")

    def on_epoch(self):
        self.log.append("epoch")

    def local_losses(self, batch):
        for local in super().local_losses(batch):
            self.log.append(f"loss {local.owner}")
            yield local


def test_a_step_is_gradients_then_transforms_then_the_optimizer_then_the_next_block():
    rule = Mine(hidden=(12, 10), epochs=1, batch_size=22)
    run(rule)
    steps = [f"{what} {k}" for k in (0, 1) for what in ("loss", "grads", "transform", "step")]
    assert rule.log == [*steps, "epoch"]


def test_the_rule_resumes_after_its_owner_has_stepped():
    class Watching(MonoForward):
        moved = None

        def local_losses(self, batch):
            for local in super().local_losses(batch):
                before = snapshot(self)
                yield local
                self.moved = {name for name, p in self.named_parameters() if not p.equal(before[name])}
                break

    rule = Watching(**SMALL)
    run(rule)
    assert rule.moved == {"blocks.0.1.weight", "blocks.0.1.bias", "heads.0.weight"}


def test_a_rule_may_fill_the_gradients_itself():
    """Local(None, owner): SGD with gradients of one moves every parameter of block 1 by lr."""

    class Filling(MonoForward):
        def local_losses(self, batch):
            for p in self.owners()[1]:
                p.grad = torch.ones_like(p)
            yield Local(None, owner=1)

    rule = Filling(hidden=(12, 10), epochs=1, batch_size=22, optimizer="sgd", lr=0.5, momentum=0.0)
    loop = loop_of(rule, tiny())
    before = snapshot(rule)
    loop.run()
    for name, p in rule.named_parameters():
        lr = 0.5 if name.startswith(("blocks.1.", "heads.1.")) else 0.0
        assert torch.allclose(before[name] - p, torch.tensor(lr), rtol=0, atol=1e-6), name


def test_a_loss_without_an_owner_steps_every_owner_with_gradients_once():
    class Joint(Mine):
        def local_losses(self, batch):
            h = self.blocks[0](batch.x)
            yield Local(F.cross_entropy(self.heads[0](h), batch.y), owner=None)

    rule = Joint(hidden=(12, 10), epochs=1, batch_size=22)
    run(rule)
    assert rule.log == ["grads 0", "transform 0", "step 0", "epoch"]


@pytest.mark.parametrize("mode", [torch.no_grad(), torch.autocast("cpu", torch.bfloat16)])
def test_a_yield_inside_a_context_manager_is_an_error(mode):
    class Leaking(MonoForward):
        def local_losses(self, batch):
            with mode:
                yield from super().local_losses(batch)

    with pytest.raises(InputError, match=r"Leaking.local_losses yields inside a no_grad or autocast block"):
        run(Leaking(**SMALL))
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")


def test_an_owner_that_does_not_exist_is_an_error_with_the_choices():
    class Wrong(MonoForward):
        def local_losses(self, batch):
            yield Local(self.blocks[0](batch.x).sum(), owner="blok")

    with pytest.raises(InputError, match="no owner 'blok': choose from 0, 1"):
        run(Wrong(**SMALL))


def test_the_generator_is_closed_when_a_batch_fails():
    class Failing(MonoForward):
        closed = False

        def local_losses(self, batch):
            try:
                yield from super().local_losses(batch)
            finally:
                self.closed = True

        def on_grads(self, owner):
            raise ZeroDivisionError

    rule = Failing(**SMALL)
    with pytest.raises(ZeroDivisionError):
        run(rule)
    assert rule.closed


def test_a_loss_that_becomes_nan_stops_the_run_and_names_the_block():
    class Nan(MonoForward):
        def local_losses(self, batch):
            for local in super().local_losses(batch):
                yield local if local.owner == 0 else Local(local.loss * torch.nan, local.owner)

    with pytest.raises(Diverged, match="the loss of block 1 became nan at step 1 of the run: stopped"):
        run(Nan(**SMALL))


@pytest.mark.parametrize("validate_every", [1, 3])
def test_the_step_that_diverged_is_counted_over_the_run(validate_every: int):
    """24 rows in batches of 8: the fifth step is the second of the second epoch, between validations or not."""

    class Fifth(MonoForward):
        def local_losses(self, batch):
            self.count = getattr(self, "count", 0) + 1
            for local in super().local_losses(batch):
                yield Local(local.loss * torch.nan, local.owner) if self.count == 5 else local

    with pytest.raises(Diverged, match="the loss of block 0 became nan at step 5 of the run: stopped"):
        run(Fifth(**{**SMALL, "epochs": 3}), tiny(24), validate_every=validate_every, observe_every=1)


def test_a_diverged_run_keeps_its_last_good_checkpoint(tmp_path: Path):
    class Late(MonoForward):
        def local_losses(self, batch):
            for local in super().local_losses(batch):
                yield Local(local.loss * torch.nan, local.owner) if self.late else local

        late = False

        def on_epoch(self):
            self.late = True

    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Diverged):
        run(Late(**SMALL), folder=folder, checkpoint_every=0.0, observe_every=1)
    saved = read(folder.path / LAST)
    assert all(tensor.isfinite().all() for tensor in saved["model"].values())
    assert saved["cursor"]["steps"] <= 4


def test_validation_data_decides_and_test_data_is_never_read():
    """`Loop.run` evaluates the validation part, and may not even look at the test part."""

    class Untouchable(TensorSource):
        def batches(self, *args, **options):
            raise AssertionError("test data in training")

        def to(self, device, resident_mb):
            return self

    data = tiny()
    seen: list[int] = []

    class Counting(TensorSource):
        def batches(self, *args, **options):
            seen.append(len(self))
            return super().batches(*args, **options)

        def to(self, device, resident_mb):
            return self

    val = Counting(data.val.x, data.val.y)
    test = Untouchable(data.test.x, data.test.y)
    run(make("mono-forward", **SMALL), Data(data.spec, data.train, val, test))
    assert seen == [8, 8]


def test_the_validation_metric_in_the_history_is_the_accuracy_on_the_validation_rows():
    """By hand: the share of the 8 rows whose largest score is at the label."""
    loop = run(make("mono-forward", **{**SMALL, "epochs": 1}))
    batch = next(loop.data.val.batches(8))
    loop.trainer.eval()
    expected = (loop.trainer.predict(batch).argmax(1) == batch.y).float().mean().item()
    assert loop.history[0]["val"] == pytest.approx(expected, abs=1e-12)


def test_dropout_augmentation_momentum_and_early_stop_resume_exactly(tmp_path: Path):
    """A resume restores more than the weights: the global random state above all."""

    def blocks() -> list[nn.Module]:
        torch.manual_seed(0)
        return [
            nn.Sequential(nn.Flatten(), nn.Linear(49, 12), nn.ReLU(), nn.Dropout(0.3)),
            nn.Sequential(nn.Linear(12, 10), nn.BatchNorm1d(10), nn.ReLU()),
        ]

    base = tiny()
    train = TensorSource(base.train.x, base.train.y, Augment(shift=1, flip=True))
    data = Data(base.spec, train, base.val, base.test)
    options = {"optimizer": "sgd", "lr": 0.1, "patience": 2, "epochs": 4, "batch_size": 8, "lr_schedule": "cosine"}

    class Killed(Exception):
        pass

    class Fault:
        def on_batch(self, loop: Loop) -> None:
            if loop.cursor.steps == 5:
                raise Killed

    expected = outcome(run(MonoForward(blocks(), **options), data, seed=2))
    folder = RunFolder(tmp_path / "run")
    (folder.path / CONFIG).touch()
    with pytest.raises(Killed):
        run(MonoForward(blocks(), **options), data, seed=2, folder=folder, checkpoint_every=0.0, callbacks=[Fault()])
    folder.close()
    torch.manual_seed(99)
    again = run(MonoForward(blocks(), **options), data, seed=2, folder=RunFolder(folder.path, resume=True))
    assert outcome(again) == expected


def test_ctrl_c_ends_after_the_batch_with_everything_saved(tmp_path: Path):
    class Interrupt:
        def on_batch(self, loop: Loop) -> None:
            if loop.cursor.steps == 2:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    folder = RunFolder(tmp_path / "run")
    (folder.path / CONFIG).touch()
    loop = run(make("mono-forward", **SMALL), folder=folder, callbacks=[Interrupt()])
    folder.close()
    assert (loop.cursor.steps, loop.stop_reason) in [(2, "stopped by SIGINT"), (3, "stopped by SIGINT")]
    assert RunFolder(folder.path, resume=True).load()["cursor"]["steps"] == loop.cursor.steps
    assert signal.getsignal(signal.SIGINT) is before


def test_training_leaves_torchs_global_random_state_alone():
    before = torch.get_rng_state()
    fit("forward-forward", tiny(), **SMALL)
    assert torch.get_rng_state().equal(before)


def test_frozen_blocks_are_in_evaluation_mode_and_training_ones_are_not():
    modes: dict[str, list[bool]] = {}

    class Noting(MonoForward):
        def local_losses(self, batch):
            modes[self.phase.name] = [block.training for block in self.blocks]
            yield from super().local_losses(batch)

    run(Noting(**{**SMALL, "hidden": (12, 11, 10)}, schedule="sequential"))
    assert modes == {
        "block 0": [True, True, True],
        "block 1": [False, True, True],
        "block 2": [False, False, True],
    }


def test_a_prefix_is_cached_only_when_its_input_is_fixed():
    data = tiny()
    train = TensorSource(data.train.x, data.train.y, Augment(shift=1))
    loop = run(make("mono-forward", **SMALL, schedule="sequential"), Data(data.spec, train, data.val, data.test))
    assert loop.prefixes == {"block 0": "none", "block 1": "recomputed"}


def test_users_own_blocks_are_trained():
    blocks = [nn.Sequential(nn.Flatten(), nn.Linear(49, 9), nn.Tanh()), nn.Linear(9, 8)]
    before = [block.state_dict() for block in blocks]
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in before]
    run(MonoForward(blocks, epochs=1, batch_size=8))
    for block, was in zip(blocks, before, strict=True):
        assert not any(tensor.equal(was[name]) for name, tensor in block.state_dict().items())


def test_double_precision_is_double_all_through():
    loop = fit("mono-forward", tiny(), {"precision": "fp64"}, **SMALL)
    assert {p.dtype for p in loop.trainer.parameters()} == {torch.float64}


def test_bfloat16_keeps_parameters_in_single_precision():
    trainer, products = make("mono-forward", **SMALL), set()

    def noted(module, _, made):
        if isinstance(module, nn.Linear) and torch.is_grad_enabled():  # not while shapes are looked at
            products.add(made.dtype)

    note = nn.modules.module.register_module_forward_hook(noted)
    try:
        run(trainer, precision="bf16")
    finally:
        note.remove()
    assert products == {torch.bfloat16}
    assert {p.dtype for p in trainer.parameters()} == {torch.float32}


def test_compiled_blocks_hold_their_products_and_learn_the_same(monkeypatch):
    """A backend that runs the captured graphs as they are: every product of a layer must be in one of them."""
    captured: list[str] = []

    def spy(graph, _):
        captured.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=spy))
    torch._dynamo.reset()
    loops = [fit("mono-forward", tiny(), {"compile": wanted, "observe_every": 10**6}, **SMALL) for wanted in (0, 1)]
    assert sum("linear" in target for target in captured) >= 2  # both blocks of Linear and ReLU
    assert weights_hash(loops[0].trainer) == weights_hash(loops[1].trainer)


def test_threads_of_a_run_do_not_stay_for_the_next():
    before = torch.get_num_threads()
    assert fit("mono-forward", tiny(), {"threads": before + 1}, **SMALL).settings.threads == torch.get_num_threads()
    fit("mono-forward", tiny(), {}, **SMALL)
    assert torch.get_num_threads() == before


def test_the_metric_told_is_that_of_the_state_that_is_kept():
    values = {"hidden": (12,), "epochs": 6, "batch_size": 8, "lr": 0.3}
    for keep, pick in (("best", max), ("last", lambda values: values[-1])):
        loop = fit("mono-forward", tiny(), {}, keep=keep, **values)
        metrics = [entry["val"] for entry in loop.history]
        assert metrics[-1] < max(metrics)  # else both would be one
        assert loop.value == pick(metrics) == loop.evaluate(loop.data.val)


def test_callbacks_need_only_the_methods_they_have():
    calls: list[str] = []

    class OnlyEpochs:
        def on_epoch(self, loop: Loop) -> None:
            calls.append(f"epoch {loop.cursor.epochs}")

    run(make("mono-forward", **SMALL), callbacks=[OnlyEpochs()])
    assert calls == ["epoch 1", "epoch 2"]


def test_hooks_come_in_the_order_of_a_run():
    calls: list[str] = []

    class Noting:
        def __getattr__(self, name: str):
            return lambda loop: calls.append(name)

    run(make("mono-forward", **SMALL, schedule="sequential"), callbacks=[Noting()])
    epoch = ["on_batch"] * 3 + ["on_epoch"]
    assert calls == ["on_start", *["on_phase", *epoch, *epoch] * 2, "on_end"]


def test_meter_windows_are_setup_train_validate_save():
    class Meter:
        def __init__(self):
            self.windows: list[str] = []

        def enter(self, name: str) -> None:
            self.windows.append(name)

        def readings(self) -> dict:
            return {}

    meter = Meter()
    run(make("mono-forward", **SMALL), meter=meter)
    assert meter.windows == ["setup", "train", "validate", "train", "validate", "save"]


def test_an_absent_device_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(InputError, match="device 'cuda' is not available here: choose from cpu"):
        pick_device("cuda")


def test_a_device_that_is_none_is_refused():
    with pytest.raises(InputError, match="device 'gpu0' is not available here"):
        pick_device("gpu0")


def test_uniform_draws_are_the_same_rows_on_any_number_of_processes():
    """The rows 3..4 of a batch of 6 get what they would get in one process."""
    whole, part = (loop_of(make("mono-forward", **SMALL), tiny()).trainer for _ in range(2))
    all_rows = whole.uniform(Batch(torch.zeros(6, 1), span=(0, 6)), "noise", 2)
    mine = part.uniform(Batch(torch.zeros(2, 1), span=(3, 6)), "noise", 2)
    assert mine.equal(all_rows[3:5])


def test_a_second_fit_needs_no_second_build():
    rule = make("mono-forward", **SMALL)
    loop_of(rule, tiny(), seed=1)
    before = weights_hash(rule)
    loop_of(rule, tiny(), seed=2)
    assert weights_hash(rule) == before


def test_weights_that_overflow_under_a_finite_loss_stop_the_run():
    """The head turns infinite in the epoch's only batch, so no loss was computed with it."""

    class Overflowing(MonoForward):
        def on_step(self, owner):
            with torch.no_grad():
                self.heads[0].weight.mul_(float("inf"))

    with pytest.raises(Diverged, match=r"heads\.0\.weight became NaN or infinite by step 1 of the run"):
        run(Overflowing(hidden=(8,), epochs=1, batch_size=1000))


def test_what_is_no_local_loss_is_refused():
    class Tensors(MonoForward):
        def local_losses(self, batch):
            yield batch.x.sum()

    with pytest.raises(InputError, match=r"Tensors.local_losses yields a Tensor: yield Local\(loss, owner\)"):
        run(Tensors(hidden=(8,)))


def test_a_loss_that_is_no_scalar_is_refused():
    class Rows(MonoForward):
        def local_losses(self, batch):
            yield Local(self.heads[0](self.blocks[0](batch.x).flatten(1)).sum(1), 0)

    with pytest.raises(InputError, match=r"the loss of owner 0 has shape .*: reduce it to a scalar"):
        run(Rows(hidden=(8,)))


def test_a_stop_asked_for_after_an_epoch_is_agreed_on_before_the_next():
    class Asking:
        def on_epoch(self, loop):
            loop.stop("enough")

    loop = run(make("mono-forward", **{**SMALL, "epochs": 5}), callbacks=[Asking()])
    assert (loop.cursor.epochs, loop.stop_reason) == (1, "enough")


def test_a_stop_asked_for_while_the_processes_agree_waits_for_the_next_batch(monkeypatch):
    """Otherwise one process would stop and the other go on, and they would meet in different collectives."""
    loop = loop_of(make("mono-forward", **SMALL), tiny(8))

    def agree(*flags: bool) -> list[bool]:
        loop.stop("a signal, after this process said that it goes on")
        return list(flags)

    monkeypatch.setattr("bpfree.training.loop.in_any_process", agree)
    assert (loop._stopping(), loop.stop_reason) == (False, "")
    assert loop._stopping()
