"""The task of putting out what was put in: its data, loop, metric, record and way back."""

import copy
import json

import numpy as np
import pytest
import torch
from small import loop_of, make
from torch.utils.data import DataLoader, TensorDataset

import bpfree
from bpfree.data import as_data
from bpfree.errors import InputError
from bpfree.runs.model import evaluate
from bpfree.runs.probe import Probe
from bpfree.training.trainer import Batch, Local, Phase, Trainer

TASK = {"task": "reconstruction"}


def images(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (rows, 1, 6, 6), np.uint8), np.arange(rows) % 4


@pytest.fixture
def run(tmp_path):
    """A short run of backprop on a file of images: its record, and the images."""
    x, y = images()
    np.savez(tmp_path / "x.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    values = {"hidden": (8,), "epochs": 3, "normalize": "standard", "meter": "none", "threads": 1, "lr": 0.01}
    record = bpfree.train("backprop", f"npz:{tmp_path / 'x.npz'}", out=tmp_path / "run", **TASK, **values)
    return record, x, tmp_path


def test_target_is_the_input_as_normalised_and_augmented():
    data = as_data(images(), {**TASK, "normalize": "standard", "shift": 2, "flip": True})
    for batch in data.train.batches(7, rng=torch.Generator().manual_seed(1)):
        assert batch.y is batch.x
    assert torch.cat([batch.y for batch in data.train.batches(9)]).mean().abs() < 1e-6  # of the training part


@pytest.mark.parametrize("resident_mb", [0, 100])
def test_streamed_and_resident_splits_have_the_same_targets(resident_mb: int):
    data = as_data(images(), TASK).to("cpu", resident_mb)
    expected = as_data(images(), {}).train
    targets = torch.cat([batch.y for batch in data.train.batches(8)])
    assert targets.equal(torch.cat([batch.x for batch in expected.batches(8)]))


def test_the_data_say_task_metric_and_direction_and_have_no_classes():
    spec = as_data(images(), TASK).spec
    assert (spec.task, spec.metric, spec.maximize) == ("reconstruction", "mse", False)
    assert (spec.classes, spec.class_names, spec.outputs) == (0, None, (1, 6, 6))


def test_a_loader_has_targets_of_its_own():
    x, y = images()
    loader = DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)))
    with pytest.raises(InputError, match="task = reconstruction has no effect on a DataLoader"):
        as_data((loader, loader), TASK)


def test_a_rule_that_cannot_serve_the_task_is_refused_in_one_line():
    line = r"MonoForward cannot learn reconstruction .* it serves classification and regression$"
    with pytest.raises(InputError, match=line):
        make("mono-forward").fit(as_data(images(), TASK))


def test_a_readout_of_classes_is_refused():
    with pytest.raises(InputError, match="probe reads classes"):
        loop_of(make("backprop"), as_data(images(), TASK), callbacks=[Probe()]).run()
    with pytest.raises(InputError, match="deep_supervision needs classes"):
        loop_of(make("backprop", deep_supervision=True), as_data(images(), TASK))


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_validation_is_the_mean_squared_error_of_the_best_epoch(precision: str):
    data = as_data(images(), TASK)
    loop = loop_of(make("backprop", hidden=(8,), epochs=4, lr=0.01), data, precision=precision)
    history = loop.run()
    x = torch.cat([batch.x for batch in data.val.batches(40)]).double()
    with torch.no_grad():
        outputs = loop.trainer.predict(Batch(x.to(next(loop.trainer.parameters()).dtype)))
    best = min(entry["val"] for entry in history)
    assert best < history[0]["val"]
    assert (outputs.double() - x).square().mean().item() == pytest.approx(best, rel=1e-6)


def test_the_record_says_what_was_measured(run):
    record, _, _ = run
    result = record["result"]
    assert (result["task"], result["metric"], result["direction"]) == ("reconstruction", "mse", "min")
    assert result["val"] == min(entry["val"] for entry in record["history"])


def test_a_loaded_model_is_evaluated_as_in_the_run(run):
    record, x, folder = run
    model = bpfree.load(folder / "run")
    result = evaluate(model, f"npz:{folder / 'x.npz'}", {})
    assert result["metric"] == "mse"
    assert result["test"] == pytest.approx(record["result"]["test"], rel=1e-6)
    assert np.mean(model.predictions(x[30:])) == pytest.approx(record["result"]["test"], rel=1e-6)


def test_the_command_line_says_how_far_off_every_example_is(run, capsys):
    from bpfree.cli.commands.application import run as run_command

    record, x, folder = run
    np.save(folder / "x.npy", x[30:])
    assert run_command(["predict", str(folder / "run"), str(folder / "x.npy"), "--json"]) == 0
    errors = json.loads(capsys.readouterr().out)
    assert (len(errors), np.mean(errors)) == (10, pytest.approx(record["result"]["test"], rel=1e-6))


class Halves(Trainer):
    """Two linear blocks, the second trained on what the frozen first one gives."""

    tasks = ("reconstruction",)

    def phases(self, epochs: int) -> list[Phase]:
        return [Phase("second", (1,), epochs)]

    def local_losses(self, batch):
        yield Local((self.blocks[1](batch.x) - batch.y).square().mean(), owner=1)

    def predict(self, batch):
        return self.blocks[1](self.blocks[0](batch.x))


@pytest.mark.parametrize("cache_mb", [0, 10])
def test_targets_are_kept_beside_the_inputs_of_a_frozen_prefix(cache_mb: int):
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 36))
    blocks = [first, torch.nn.Sequential(torch.nn.Linear(36, 36), torch.nn.Unflatten(1, (1, 6, 6)))]
    loop = loop_of(Halves(blocks, epochs=2), as_data(images(), TASK), cache_mb=cache_mb)
    history = loop.run()
    assert loop.prefixes == {"second": "cached" if cache_mb else "recomputed"}
    assert history[1]["val"] < history[0]["val"]


class InMemory:
    """A folder that keeps the last checkpoint."""

    saved: dict | None = None

    def load(self):
        return self.saved

    def save(self, state):
        self.saved = copy.deepcopy(state)


class StopAfter:
    def __init__(self, batches: int):
        self.left = batches

    def on_batch(self, loop):
        self.left -= 1
        if self.left == 0:
            loop.stop("enough")


AUTOENCODER = {"net": "autoencoder", "encoder": (3, 4), "epochs": 3, "batch_size": 8, "pair_scale": 1.0, "lr": 0.01}


@pytest.mark.parametrize("feedback", ["learned", "fixed"])
def test_an_autoencoder_without_backpropagation_learns_and_resumes_exactly(feedback: str):
    values = {**AUTOENCODER, "feedback": feedback, "momentum": 0.9}
    data = as_data(images(), {**TASK, "flip": True})
    whole = loop_of(make("counter-current", **values), data)
    history = whole.run()
    assert history[-1]["val"] < history[0]["val"]
    folder = InMemory()
    loop_of(make("counter-current", **values), data, folder=folder, callbacks=[StopAfter(7)]).run()
    resumed = loop_of(make("counter-current", **values), data, folder=folder)
    assert [entry["val"] for entry in resumed.run()] == [entry["val"] for entry in history]
    state = whole.trainer.state_dict()
    assert [name for name, tensor in resumed.trainer.state_dict().items() if not tensor.equal(state[name])] == []


def test_a_prediction_of_an_autoencoder_does_not_depend_on_the_other_rows():
    """Batch normalisation follows its running statistics, also while the net trains."""
    loop = loop_of(make("counter-current", **AUTOENCODER), as_data(images(), TASK), precision="fp64")
    loop.run()
    loop.training_mode()
    in_one_batch, _ = loop.scores(loop.data.val)
    loop.settings = type(loop.settings)(**{**vars(loop.settings), "eval_batch_size": 1})
    alone, _ = loop.scores(loop.data.val)
    assert torch.allclose(alone, in_one_batch, rtol=1e-6, atol=1e-9)
