"""Prediction changes nothing, and a state is all that it needs."""

import copy

import pytest
import torch
from small import fit, loop_of, make, tiny
from table import Row, rows

from bpfree.errors import InputError


def everything(loop) -> dict:
    """All that a prediction could disturb."""
    trainer = loop.trainer
    return {
        "state": {name: tensor.clone() for name, tensor in trainer.state_dict().items()},
        "streams": {name: state.clone() for name, state in trainer.streams.state_dict().items()},
        "modes": {name: module.training for name, module in trainer.named_modules()},
        "gradients": {name: p.grad is not None for name, p in trainer.named_parameters()},
        "global": {"random": torch.get_rng_state()},
    }


def same(a: dict, b: dict) -> list[str]:
    """Names under which the two differ."""
    return [
        f"{kind} {name}"
        for kind in a
        for name in a[kind].keys() | b[kind].keys()
        if not (torch.as_tensor(a[kind].get(name)).equal(torch.as_tensor(b[kind].get(name))))
    ]


@rows()
def test_predict_in_training_leaves_no_trace(row: Row):
    """`Loop.scores` right after a batch, with the net in training mode."""
    loop = fit(row.algo, tiny(), **row.tiny)
    loop.training_mode()
    before = copy.deepcopy(everything(loop))
    loop.scores(loop.data.test)
    assert same(before, everything(loop)) == []


@rows()
def test_predict_itself_leaves_no_trace_with_gradients_on(row: Row):
    loop = fit(row.algo, tiny(), **row.tiny)
    loop.trainer.eval()
    before = copy.deepcopy(everything(loop))
    loop.trainer.predict(next(loop.data.test.batches(5)))
    assert same(before, everything(loop)) == []


@rows()
def test_a_prediction_does_not_depend_on_the_other_rows_of_its_batch(row: Row):
    """Float64: a product of another shape may sum in another order, no more."""
    loop = loop_of(make(row.algo, **row.tiny), tiny(), precision="fp64", eval_batch_size=1)
    loop.run()
    alone, _ = loop.scores(loop.data.test)
    loop.settings = loop.settings.__class__(**{**loop.settings.__dict__, "eval_batch_size": 16})
    together, _ = loop.scores(loop.data.test)
    assert torch.allclose(alone, together, rtol=1e-6, atol=1e-9)  # scores are kept in float32


@rows()
def test_predictions_are_class_scores(row: Row):
    loop = fit(row.algo, tiny(), **row.tiny)
    scores, targets = loop.scores(loop.data.test)
    assert (tuple(scores.shape), tuple(targets.shape)) == ((16, 10), (16,))
    assert scores.isfinite().all()


@rows()
def test_a_state_carried_over_gives_the_same_predictions(row: Row):
    """Into a trainer that was built with another seed."""
    loop = fit(row.algo, tiny(), {"seed": 1}, **row.tiny)
    other = loop_of(make(row.algo, **row.tiny), tiny(), seed=2)
    other.trainer.load_state_dict(loop.trainer.state_dict())
    other.trainer.phase = loop.phases[-1]
    assert other.scores(loop.data.test)[0].equal(loop.scores(loop.data.test)[0])


@rows()
def test_an_unknown_setting_names_the_nearest(row: Row):
    with pytest.raises(InputError, match="unknown setting 'epoch': did you mean epochs"):
        make(row.algo, epoch=3)


@rows()
def test_an_unknown_setting_without_near_names_lists_the_choices(row: Row):
    with pytest.raises(InputError, match=r"choose from .*batch_size.*lr.*weight_decay"):
        make(row.algo, zzzzzz=3)


@rows()
def test_a_value_out_of_range_says_what_is_allowed(row: Row):
    with pytest.raises(InputError, match=r"epochs = 0 is not valid: expected >= 1"):
        make(row.algo, epochs=0)


@rows()
def test_prediction_runs_in_evaluation_mode(row: Row):
    """In every validation of a run, and whatever `Trainer.prepare` computes for frozen blocks."""
    loop = loop_of(make(row.algo, **row.tiny), tiny())
    training: dict[str, list[bool]] = {"predict": [], "prepare": []}
    for name, seen in training.items():
        original = getattr(loop.trainer, name)

        def noting(batch, original=original, seen=seen):
            seen.extend(module.training for module in loop.trainer.modules())
            return original(batch)

        setattr(loop.trainer, name, noting)
    loop.run()
    assert training["predict"]
    assert not any(training["predict"] + training["prepare"])


@rows()
def test_a_phase_predicts_with_the_blocks_trained_so_far(row: Row):
    """Blocks above those of the phase, and their heads, may be anything."""
    loop = loop_of(make(row.algo, **row.tiny), tiny())
    for phase in loop.phases:
        loop.enter_phase(phase)
        before, _ = loop.scores(loop.data.val)
        top = max(phase.blocks, default=-1)
        above = [*loop.trainer.blocks[top + 1 :], *loop.trainer.heads[top + 1 :]]
        for part in above:
            for p in part.parameters():
                p.data.fill_(0.7)
        assert loop.scores(loop.data.val)[0].equal(before)
