"""The command line's descriptions of itself and of rules, data and the machine."""

import json
import subprocess
import sys

import pytest
from command import ENVIRONMENT


def modules_after(*arguments: str) -> set[str]:
    """Modules that a command has imported when it ends."""
    code = (
        "import sys\nfrom bpfree.cli.commands import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("command", [["--help"], ["list"], ["list", "--json"], ["train", "--help"]])
def test_is_said_without_importing_torch(command):
    modules = modules_after(*command)
    assert "bpfree.cli.commands" in modules
    assert "torch" not in modules


def test_import_of_the_package_does_not_import_torch():
    code = (
        "import sys, bpfree, energy; assert 'torch' not in sys.modules; bpfree.Trainer; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)


def test_list_names_every_rule_net_data_and_recipe(bpfree, tmp_path):
    found = json.loads(bpfree("list", "--json", cwd=tmp_path).stdout)
    assert {"backprop", "mono-forward", "forward-forward"} <= found["rules"].keys()
    assert {"mlp", "cnn"} <= found["nets"].keys()
    assert {"mnist", "npz", "folder"} <= found["data"].keys()
    assert all(text for group in found.values() for text in group.values())


def test_help_of_a_rule_shows_every_setting_with_its_default(bpfree, tmp_path):
    out = bpfree("train", "--algo", "forward-forward", "--help", cwd=tmp_path).stdout
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("  --")}
    assert {"--algo", "--threshold", "--hidden", "--shift", "--seed"} <= rows.keys()
    assert rows["--optimizer"].split()[1] == "sgd"  # the rule's own default, not the general one
    assert rows["--hidden"].split()[1] == "500,500,500"
    assert "softmax | energy" in rows["--readout"]


def test_info_shows_equation_paper_settings_and_owners(bpfree, tmp_path):
    out = bpfree("info", "mono-forward", cwd=tmp_path).stdout
    assert "arXiv 2501.09238" in out
    assert "L_k = CE" in out
    assert "0: 795,000 parameters; 1: 1,011,000 parameters" in out
    assert "--schedule" in out


def test_info_shows_a_rule_for_graphs_on_a_graph(bpfree, tmp_path):
    """Two GCN layers of 128 on Cora's 1,433 features."""
    out = bpfree("info", "forward-gnn", cwd=tmp_path).stdout
    assert f"0: {1433 * 128 + 128:,} parameters; 1: {128 * 128 + 128:,} parameters" in out
    assert "Settings of the net gnn" in out
    assert "cora, gnn when none is named" in out


def test_info_shows_what_a_search_tries(bpfree, tmp_path):
    lines = bpfree("info", "mono-forward", cwd=tmp_path).stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("  --")}
    assert "0.0001 to 0.1, log" in rows["--lr"]
    assert "adam | sgd " in rows["--optimizer"]
    assert " - " in rows["--momentum"]


@pytest.mark.parametrize(
    ("rule", "expected"), [("mono-forward", "same result on N processes"), ("local-loss", "may differ on N processes")]
)
def test_info_compares_several_processes_with_one(bpfree, tmp_path, rule, expected):
    (line,) = [line for line in bpfree("info", rule, cwd=tmp_path).stdout.splitlines() if "torchrun" in line]
    assert expected in line


def test_data_describes_the_rows(bpfree, tmp_path):
    found = json.loads(bpfree("data", "mnist", "--json", cwd=tmp_path).stdout)
    assert found["rows"] == {"train": 50000, "val": 10000, "test": 10000}
    assert found["classes"] == 10


def test_settings_of_data_are_flags(bpfree, tmp_path):
    found = json.loads(bpfree("data", "mnist", "--subset", "500", "--val-fraction=0.1", "--json", cwd=tmp_path).stdout)
    assert found["rows"] == {"train": 500, "val": 6000, "test": 10000}


def test_doctor_says_what_is_there_and_why_something_is_not(bpfree, tmp_path):
    found = json.loads(bpfree("doctor", "--json", "--meter", "none", cwd=tmp_path).stdout)
    assert found["devices"]["cpu"]
    assert found["versions"]["torch"]
    assert all(part["source"] or part["reason"] for part in found["meters"]["components"].values())
    assert bpfree("doctor", "--meter", "none", cwd=tmp_path).returncode == 0


def test_alone_it_prints_its_help(bpfree, tmp_path):
    done = bpfree(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == bpfree("--help", cwd=tmp_path).stdout
    assert "compare " in done.stdout


def test_version(bpfree, tmp_path):
    import bpfree as package

    assert bpfree("--version", cwd=tmp_path).stdout == f"bpfree {package.__version__}\n"


FROZEN = '''"""Half of it: only the second half of the input is read."""

import torch
from bpfree.rules.mono_forward import MonoForward


class Frozen(MonoForward):
    """Mono-Forward whose first block stays as it is."""

    def setup(self):
        super().setup()
        self.blocks[0].requires_grad_(False)
'''


def test_info_of_a_file_prints_its_docstrings_and_counts_what_trains(bpfree, tmp_path):
    """The first owner is left with its head, 10 x 1000."""
    (tmp_path / "frozen.py").write_text(FROZEN)
    out = bpfree("info", "frozen.py:Frozen", cwd=tmp_path).stdout
    assert out.startswith("Half of it: only the second half of the input is read.\n\nMono-Forward whose first block")
    assert "0: 10,000 parameters; 1: 1,011,000 parameters" in out


def test_info_lists_the_defaults_that_differ_from_the_common_ones(bpfree, tmp_path):
    lines = bpfree("info", "forward-forward", cwd=tmp_path).stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Defaults that differ"))
    rows = [line.split()[:3] for line in lines[first + 2 : lines.index("", first)]]
    assert ["optimizer", "sgd", "adam"] in rows
    assert not [row for row in rows if row[1] == row[2]]


def test_list_names_the_energy_meters(bpfree, tmp_path):
    meters = json.loads(bpfree("list", "--json", cwd=tmp_path).stdout)["meters"]
    assert list(meters) == ["auto", "nvml", "nvml-sampled", "rapl", "codecarbon", "none"]


def test_error_of_the_machine_is_one_line(monkeypatch, capsys):
    """A disk or file may fail at any moment: the message is the system's, without a traceback."""
    from bpfree.cli.commands import application
    from bpfree.runs import doctor

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "here")

    monkeypatch.setattr(doctor, "examine", fail)
    assert application.run(["doctor"]) == 1
    assert capsys.readouterr().err == "error: [Errno 13] Permission denied: 'here'\n"
