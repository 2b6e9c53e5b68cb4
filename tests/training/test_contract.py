"""Mistakes of a rule, a net or a caller: one line that says so, and nothing trained on it."""

import copy
import json
import threading
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small import loop_of, make, run, tiny, weights_hash
from torch import nn

import bpfree
from bpfree.errors import Diverged, InputError
from bpfree.rules.graphs.forward_gnn import ForwardGNN
from bpfree.rules.mono_forward import MonoForward
from bpfree.training.trainer import Batch, Local, Phase, Trainer

SMALL = {"hidden": (12, 10), "epochs": 1, "batch_size": 8}


def blocks() -> list[nn.Module]:
    return [nn.Sequential(nn.Flatten(), nn.Linear(49, 12), nn.ReLU()), nn.Sequential(nn.Linear(12, 10))]


class Rule(Trainer):
    """The last block learns what it can; a test changes one thing."""

    def local_losses(self, batch: Batch):
        h = self.blocks[0](batch.x)
        yield Local(F.cross_entropy(self.blocks[1](h.detach()), batch.y), owner=1)

    def predict(self, batch: Batch):
        return self.blocks[1](self.blocks[0](batch.x))


# Local losses ---------------------------------------------------------------------------------------------------------


def chained(self, batch):
    yield Local(F.cross_entropy(self.blocks[1](self.blocks[0](batch.x)), batch.y), owner=1)


def twice(self, batch):
    h = self.blocks[0](batch.x)
    yield Local(h.square().mean(), owner=0)
    yield Local(self.blocks[1](h).square().mean(), owner=1)


def no_graph(self, batch):
    yield Local(torch.zeros(()), owner=0)


def a_float(self, batch):
    yield Local(1.0, owner=0)


def a_list_as_owner(self, batch):
    yield Local(self.blocks[0](batch.x).sum(), owner=[0])


def text_as_owner(self, batch):
    yield Local(self.blocks[0](batch.x).sum(), owner="0")


def no_generator(self, batch):
    return [Local(self.blocks[0](batch.x).sum(), owner=0)]


LOSSES = {
    chained: "a loss of another owner has gradients for owner 0: detach its block's input",
    twice: "the loss of owner 1 uses a graph that was already freed: detach its block's input",
    no_graph: "the loss of owner 0 depends on no parameter that trains",
    a_float: "the loss of owner 0 is a float: yield a tensor",
    a_list_as_owner: r"no owner \[0\]: choose from 0, 1",
    text_as_owner: "no owner '0': choose from 0, 1",
    no_generator: "local_losses returns a list: write it with yield",
}


@pytest.mark.parametrize("losses", LOSSES, ids=lambda losses: losses.__name__)
def test_a_wrong_local_loss_is_one_clear_line(losses):
    wrong = type("Wrong", (Rule,), {"local_losses": losses})(blocks(), epochs=1, batch_size=8)
    before = weights_hash(wrong.blocks[0])
    with pytest.raises(InputError, match=LOSSES[losses]):
        run(wrong)
    assert losses is twice or weights_hash(wrong.blocks[0]) == before


def test_a_loss_for_everybody_may_reach_everybody():
    def losses(self, batch):
        yield Local(F.cross_entropy(self.blocks[1](self.blocks[0](batch.x)), batch.y), owner=None)

    rule = type("Whole", (Rule,), {"local_losses": losses})(blocks(), epochs=1, batch_size=8)
    before = [weights_hash(block) for block in rule.blocks]
    run(rule)
    assert all(weights_hash(block) != old for block, old in zip(rule.blocks, before, strict=True))


def test_a_parameter_without_an_owner_is_named():
    class Forgetful(Rule):
        def setup(self):
            self.extra = nn.Linear(10, 10)

    with pytest.raises(InputError, match=r"extra\.weight has no owner and would never train: add it to owners"):
        run(Forgetful(blocks(), epochs=1, batch_size=8))


def test_a_parameter_that_thaws_without_an_owner_is_named():
    class Thawing(Rule):
        def setup(self):
            self.extra = nn.Linear(10, 10).requires_grad_(False)

        def local_losses(self, batch):
            h = self.blocks[1](self.blocks[0](batch.x).detach())
            yield Local(F.cross_entropy(self.extra.requires_grad_()(h), batch.y), owner=1)

    with pytest.raises(InputError, match=r"extra\.weight gets gradients and has no owner"):
        run(Thawing(blocks(), epochs=1, batch_size=8))


def test_gradients_from_before_do_not_enter_the_first_step():
    net = blocks()
    mine, other = (MonoForward(copy.deepcopy(net), epochs=1, batch_size=8) for _ in range(2))
    other.blocks[0](torch.ones(1, 49)).sum().backward()
    assert weights_hash(run(mine).trainer) == weights_hash(run(other).trainer)


# Building -------------------------------------------------------------------------------------------------------------


class Choosy(MonoForward):
    """Refuses the net halfway, after it has made heads and a buffer, until it is told to take it."""

    willing = False

    def setup(self):
        super().setup()
        self.register_buffer("state", torch.zeros(3))
        if not self.willing:
            raise InputError("the net has the wrong form")


@pytest.mark.parametrize("net", [None, blocks()], ids=["net by its name", "net by its blocks"])
def test_a_trainer_that_setup_refused_is_unbuilt_and_refuses_again(net):
    trainer, data = Choosy(net, epochs=1, batch_size=8, **({} if net else {"hidden": (12, 10)})), tiny()
    for _ in range(2):
        with pytest.raises(InputError, match=r"^the net has the wrong form$"):
            trainer.fit(data)
    trainer.willing = True
    trainer.fit(data)
    assert [head.out_features for head in trainer.heads] == [data.spec.classes] * len(trainer.blocks)


# Phases ---------------------------------------------------------------------------------------------------------------

PHASES = {
    "gives no phase": [],
    "phase a has 0 epochs: expected a whole number, 1 or more": [Phase("a", (0,), 0)],
    "phase a has 1.5 epochs: expected a whole number, 1 or more": [Phase("a", (0,), 1.5)],
    r"phase a trains block 5: expected 0\.\.1": [Phase("a", (5,), 1)],
    "gives a tuple: give Phase": [("a", (0,), 1)],
    "two phases are called a": [Phase("a", (0,), 1), Phase("a", (1,), 1)],
}


@pytest.mark.parametrize("why", PHASES)
def test_a_wrong_schedule_is_one_clear_line(why):
    wrong = type("Wrong", (MonoForward,), {"phases": lambda self, epochs: PHASES[why]})
    with pytest.raises(InputError, match=why):
        run(wrong(**SMALL))


# Predictions ----------------------------------------------------------------------------------------------------------

SCORES = {
    "returns a NoneType: return a tensor": lambda scores: None,
    r"returns shape \(8, 9\) for 8 examples: expected \(8, 10\)": lambda scores: scores[:, :9],
    r"returns shape \(16, 10\) for 8 examples": lambda scores: scores.repeat(2, 1),
    r"returns shape \(10, 8\) for 8 examples": lambda scores: scores.T,
}


@pytest.mark.parametrize("why", SCORES)
def test_wrong_scores_are_one_clear_line(why):
    wrong = type(
        "Wrong", (MonoForward,), {"predict": lambda self, batch: SCORES[why](MonoForward.predict(self, batch))}
    )
    loop = loop_of(MonoForward(**SMALL), tiny())
    loop.trainer.__class__ = wrong
    with pytest.raises(InputError, match=why):
        loop.evaluate(loop.data.val)


def test_predictions_that_are_no_numbers_end_the_run():
    wrong = type("Wrong", (MonoForward,), {"predict": lambda self, batch: MonoForward.predict(self, batch) * torch.nan})
    loop = loop_of(MonoForward(**SMALL), tiny())
    loop.trainer.__class__ = wrong
    with pytest.raises(Diverged, match="predictions hold NaN"):
        loop.run()


@pytest.mark.parametrize("rule", [MonoForward, ForwardGNN])
def test_a_rule_does_not_get_the_answers_when_it_predicts(rule):
    """On a graph the nodes that are asked about are ``batch.index``."""
    seen = []

    class Cheat(rule):
        def predict(self, batch):
            seen.append(batch.y)
            return super().predict(batch)

    net = {"net": "gnn"} if rule is ForwardGNN else {}
    loop = run(Cheat(**SMALL, **net))
    loop.scores(loop.data.test)
    assert set(seen) == {None}


def test_after_training_the_net_is_in_evaluation_mode():
    net = [nn.Sequential(nn.Flatten(), nn.Linear(49, 12), nn.BatchNorm1d(12), nn.Dropout(), nn.ReLU())]
    rule = run(MonoForward(net, epochs=1, batch_size=8)).trainer
    x = Batch(torch.rand(4, 1, 7, 7))
    with torch.no_grad():
        assert torch.equal(rule.predict(x), rule.predict(x))


# Nets -----------------------------------------------------------------------------------------------------------------

NETS = {
    r"block 1 cannot take examples of shape \(12,\)": lambda: [blocks()[0], nn.Linear(13, 10)],
    "block 0 puts out a tuple: a block gives one tensor": lambda: [nn.Sequential(nn.Flatten(), nn.LSTM(49, 5))],
    "blocks is empty": lambda: [],
    "block 0 is lazy": lambda: [nn.Sequential(nn.Flatten(), nn.LazyLinear(12))],
}


@pytest.mark.parametrize("why", NETS)
def test_a_net_that_does_not_fit_is_one_clear_line(why):
    with pytest.raises(InputError, match=why):
        run(MonoForward(NETS[why](), epochs=1))


def test_a_net_is_given_once():
    with pytest.raises(InputError, match="by its blocks or by its name"):
        MonoForward(blocks(), net="cnn")


def test_a_net_of_other_data_is_refused():
    rule = run(MonoForward(**SMALL)).trainer
    with pytest.raises(InputError, match=r"was built for shape and classes .*, 10\), not .*, 3\): make a new trainer"):
        rule.fit(tiny(classes=3))


# Around a run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_training_where_there_are_no_gradients_is_refused(around):
    with around(), pytest.raises(InputError, match=r"call it outside of torch\."):
        loop_of(make("mono-forward", **SMALL), tiny())


def test_another_default_type_is_refused():
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(InputError, match=r"torch's default type is float64: set it to torch\.float32"):
            loop_of(make("mono-forward", **SMALL), tiny())
    finally:
        torch.set_default_dtype(torch.float32)


class Late:
    def on_epoch_end(self, loop):
        """A name of another library."""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"folder": "runs/x"}, "folder is 'runs/x'"),
        ({"meter": "none"}, "meter is 'none'"),
        ({"callbacks": [Late()]}, "is never called: it has none of on_start"),
    ],
)
def test_helpers_that_cannot_help_are_refused(options, why):
    with pytest.raises(InputError, match=why):
        loop_of(make("mono-forward", **SMALL), tiny(), **options)


def test_diagnostics_are_plain_and_have_names_of_their_own():
    for values, why in (({"size": torch.ones(())}, "JSON cannot hold"), ({"val": 1.0}, "the history has already")):
        rule = type("Telling", (MonoForward,), {"diagnostics": lambda self, values=values: values})
        with pytest.raises(InputError, match=why):
            run(rule(**SMALL))


def test_an_instance_is_no_rule():
    with pytest.raises(InputError, match="algo is a MonoForward: give the name of a rule, or a subclass"):
        bpfree.train(MonoForward(**SMALL), subset=200)
    with pytest.raises(InputError, match="algo is Linear"):
        bpfree.train(nn.Linear, subset=200)


def test_runs_in_threads_are_those_of_their_seeds(tmp_path: Path):
    """Dropout and initial weights come from generators that the whole process shares."""
    options = {"data": "mnist", "subset": 60, "hidden": (8,), "epochs": 1, "batch_size": 8, "meter": "none"}
    results = {}

    def one(name):
        results[name] = bpfree.train("mono-forward", out=tmp_path / name, seed=7, threads=1, **options)

    one("alone")
    threads = [threading.Thread(target=one, args=(f"thread{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.dumps([r["init_sha256"], r["result"]["test"]]) for r in results.values()}) == 1
    assert len(results) == 4
