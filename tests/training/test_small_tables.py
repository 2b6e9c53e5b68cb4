"""Small tables: epochs enough, and a net that is no wider than it need be, unless somebody says otherwise."""

import numpy as np
import pytest
import torch
import yaml

import bpfree
from bpfree.data import as_data
from bpfree.nets.mlp import Settings
from bpfree.rules.mono_forward import MonoForward
from bpfree.training.small_tables import fitted
from bpfree.training.trainer import RuleSettings

X, Y = np.random.default_rng(0).standard_normal((60, 3)), np.arange(60) % 2
SMALL = {"hidden": (4,), "batch_size": 20}


class Few(MonoForward):
    """Mono-Forward that wants 31 steps: of 50 rows in batches of 20 these are 11 epochs."""

    min_steps = 31


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"), [(60, 20, 667), (60, 128, 2000), (12_000, 128, 26), (60_000, 20, 8)]
)
def test_a_table_gets_two_thousand_steps(rows: int, batch: int, epochs: int):
    """Of the rows 5/6 train: 2000 / ceil(rows · 5/6 / batch), rounded up, but never below the default of 8."""
    data = as_data((torch.rand(rows, 1), torch.arange(rows) % 2))
    settings, _, told = fitted(RuleSettings(batch_size=batch), None, data, 2000, {"epochs": None})
    assert settings.epochs == epochs
    assert len(told.notes) - len(data.notes) == (epochs > 8)


def test_pictures_keep_the_default():
    data = as_data((torch.rand(60, 1, 4, 4), torch.arange(60) % 2))
    assert fitted(RuleSettings(), Settings(), data, 2000, {"epochs": None, "hidden": (128, 128)})[:2] == (
        RuleSettings(),
        Settings(),
    )


def test_fit_and_train_make_the_same_number(tmp_path):
    trainer = Few(**SMALL)
    record = bpfree.train(Few, (X, Y), out=tmp_path / "run", meter="none", threads=1, **SMALL)
    assert len(trainer.fit((X, Y), threads=1)) == record["result"]["epochs"] == record["config"]["epochs"] == 11
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["epochs"] == 11
    assert "11 epochs, not 8, make 31 steps on 50 rows" in record["extensions"]["notes"]["data"][-1]


def test_what_the_user_says_counts(tmp_path):
    record = bpfree.train(Few, (X, Y), out=tmp_path / "run", meter="none", threads=1, epochs=2, **SMALL)
    assert len(Few(epochs=2, **SMALL).fit((X, Y), threads=1)) == record["result"]["epochs"] == 2


def test_a_second_fit_begins_from_the_default_again():
    trainer = Few(**SMALL)
    trainer.fit((X, Y), threads=1)
    many = np.repeat(X, 40, 0), np.repeat(Y, 40)
    assert len(trainer.fit(many, threads=1)) == 8


def test_a_stopped_run_goes_on_to_the_same_number(tmp_path):
    out = tmp_path / "run"

    class Stop:
        def on_epoch(self, loop):
            if len(loop.history) == 3:
                loop.stop("enough for now")

    bpfree.train(Few, (X, Y), out=out, meter="none", threads=1, callbacks=[Stop()], **SMALL)
    assert bpfree.train(Few, (X, Y), resume=out, meter="none")["result"]["epochs"] == 11


@pytest.mark.parametrize(("rows", "widths"), [(60, [128, 128]), (12_000, [1000, 1000])])
def test_the_default_net_is_narrow_on_few_rows_only(rows: int, widths: list[int], tmp_path):
    x, y = np.random.default_rng(0).standard_normal((rows, 3)), np.arange(rows) % 2
    trainer = MonoForward(epochs=1)
    trainer.fit((x, y), threads=1, max_steps=1)
    assert trainer.features == widths
    record = bpfree.train(MonoForward, (x, y), out=tmp_path / "run", meter="none", threads=1, epochs=1, max_steps=1)
    assert record["config"]["hidden"] == widths
    assert bpfree.load(tmp_path / "run").predict(x[:3]).shape == (3, 2)
    notes = [note for note in record["extensions"]["notes"]["data"] if note.startswith("hidden")]
    assert notes == ([f"hidden = 128,128, not 1000,1000, on a table of {rows * 5 // 6} rows"] if rows == 60 else [])


def test_widths_that_the_rule_or_the_user_says_are_kept():
    class Wide(MonoForward):
        prefer = {"hidden": (9,)}

    for trainer, widths in ((Wide(epochs=1), [9]), (MonoForward(epochs=1, hidden=(1000,)), [1000])):
        trainer.fit((X, Y), threads=1)
        assert trainer.features == widths


@pytest.mark.parametrize(("rows", "batch", "keep"), [(60, 32, "last"), (12_000, 128, "best")])
def test_few_rows_make_small_batches_and_no_choice_of_an_epoch(rows: int, batch: int, keep: str, tmp_path):
    x, y = np.random.default_rng(0).standard_normal((rows, 3)), np.arange(rows) % 2
    trainer = MonoForward(epochs=1, hidden=(4,))
    trainer.fit((x, y), threads=1, max_steps=1)
    assert (trainer.settings.batch_size, trainer.settings.keep) == (batch, keep)
    options = {"meter": "none", "threads": 1, "epochs": 1, "max_steps": 1, "hidden": (4,)}
    record = bpfree.train(MonoForward, (x, y), out=tmp_path / "run", **options)
    assert (record["config"]["batch_size"], record["config"]["keep"]) == (batch, keep)
    notes = [note for note in record["extensions"]["notes"]["data"] if "on a table of" in note]
    told = ["batch_size = 32, not 128, on a table of 50 rows", "keep = last, not best, on a table of 50 rows"]
    assert notes == (told if rows == 60 else [])


def test_numbers_keep_the_best_state():
    trainer = MonoForward(epochs=1)
    trainer.fit((X, X[:, 0]), threads=1, max_steps=1)
    assert (trainer.settings.batch_size, trainer.settings.keep) == (32, "best")


def test_what_user_or_rule_decide_is_kept_on_few_rows():
    class Own(MonoForward):
        prefer = {"batch_size": 7}

    class Narrow(Own):
        on_few_rows = {"batch_size": 5, "hidden": (3,)}

    for cls, values, expected in (
        (Own, {}, (7, "last", (128, 128))),
        (Own, {"keep": "best"}, (7, "best", (128, 128))),
        (Own, {"patience": 3}, (7, "best", (128, 128))),
        (Narrow, {}, (5, "last", (3,))),
        (Narrow, {"hidden": (2,)}, (5, "last", (2,))),
    ):
        trainer = cls(epochs=1, **values)
        trainer.fit((X, Y), threads=1, max_steps=1)
        assert (trainer.settings.batch_size, trainer.settings.keep, tuple(trainer.features)) == expected
