"""Names to classes: built-in ones are the files of a folder, others come from files and entry points."""

import hashlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small import tiny

import bpfree
from bpfree import nets, rules
from bpfree.config import resolve
from bpfree.errors import InputError
from bpfree.training.trainer import Trainer

MINE = '''
from bpfree.rules.mono_forward import MonoForward

class Mine(MonoForward):
    """My own."""

class _Hidden(MonoForward):
    pass
'''


def test_rules_are_the_files_of_the_folder():
    """Those that begin with an underscore are what several rules share."""
    files = {path.stem.replace("_", "-") for path in (resolve.PACKAGE / "rules").rglob("[!_]*.py")}
    assert set(rules.RULES.builtin) == files


def test_a_name_comes_with_the_first_line_of_its_docstring():
    assert rules.RULES.names()["mono-forward"] == "Mono-Forward: local class scores train every layer."


@pytest.mark.parametrize("name", rules.RULES.builtin)
def test_every_rule_is_one_trainer(name: str):
    assert issubclass(rules.rule(name), Trainer)


@pytest.mark.parametrize("name", nets.NETS.builtin)
def test_every_net_has_a_builder_and_settings(name: str):
    build, settings = nets.net(name)
    assert callable(build)
    assert settings() == settings()


def test_names_are_listed_without_torch():
    script = "import sys; from bpfree.rules import RULES; RULES.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_an_unknown_rule_says_the_nearest():
    with pytest.raises(InputError, match=r"unknown rule 'mono-foward': did you mean mono-forward"):
        rules.rule("mono-foward")


def test_an_unknown_net_says_the_choices():
    with pytest.raises(InputError, match=r"unknown net 'xyz': choose from .*cnn.*mlp"):
        nets.net("xyz")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_rule_from_a_file_by_class(file: Path):
    assert rules.rule(f"{file}:Mine").__name__ == "Mine"


def test_a_file_with_one_public_trainer_needs_no_class(file: Path):
    assert rules.rule(str(file)).__name__ == "Mine"


def test_a_file_with_two_trainers_asks_which(file: Path):
    file.write_text(MINE + "\nclass Other(MonoForward): pass\n", encoding="utf-8")
    with pytest.raises(InputError, match="exactly one public Trainer subclass, it has Mine, Other"):
        rules.rule(str(file))


def test_a_file_without_a_trainer_says_so(file: Path):
    file.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="exactly one public Trainer subclass, it has none"):
        rules.rule(str(file))


def test_a_missing_class_says_the_nearest(file: Path):
    with pytest.raises(InputError, match=r"unknown class in .*'Mind': did you mean Mine"):
        rules.rule(f"{file}:Mind")


def test_a_file_without_a_rule_says_so(tmp_path: Path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(InputError, match=r"empty\.py defines no Trainer"):
        rules.rule(f"{tmp_path}/empty.py:Mine")


def test_a_class_that_is_no_trainer_is_refused(file: Path):
    file.write_text("class Thing: pass\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not a Trainer: subclass bpfree.Trainer"):
        rules.rule(f"{file}:Thing")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone.py does not exist"):
        rules.rule(f"{tmp_path}/gone.py:Rule")


def test_a_file_that_does_not_import_says_why(file: Path):
    file.write_text("import no_such_module_here\n", encoding="utf-8")
    with pytest.raises(InputError, match="does not import: ModuleNotFoundError"):
        rules.rule(f"{file}:Mine")


def test_a_folder_that_has_py_in_its_name_is_no_rule_file(tmp_path: Path):
    folder = tmp_path / ".pyenv"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    assert rules.rule(f"{folder}/mine.py:Mine").__name__ == "Mine"
    assert rules.RULES.source_hash(f"{folder}/mine.py") == rules.RULES.source_hash(f"{folder}/mine.py:Mine") is not None


@pytest.mark.parametrize("name", ["{file}:Part", "{file}"])
def test_a_rule_that_lacks_methods_names_them(file: Path, name: str):
    file.write_text("import bpfree\n\nclass Part(bpfree.Trainer): pass\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not complete: it must define local_losses and predict"):
        rules.rule(name.format(file=file))


def test_a_rule_from_a_file_is_known_by_the_hash_of_its_bytes(file: Path):
    assert rules.RULES.source_hash(f"{file}:Mine") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_built_in_rule_has_no_file_hash():
    assert rules.RULES.source_hash("mono-forward") is None


LOGGED = """
import dataclasses, os
from pathlib import Path
import pydantic
from bpfree.config.settings import setting, settings
from bpfree.rules.mono_forward import MonoForward

with Path(__file__).with_name("executions").open("a") as log:
    log.write(f"{os.getpid()}\\n")

@dataclasses.dataclass
class Pair:
    left: "int"

@settings
class Settings(MonoForward.Settings):
    pair: int = setting(3, "a number")

class Mine(MonoForward):
    Settings = Settings
"""


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A rule file that writes down every execution."""
    path = tmp_path / "logged.py"
    path.write_text(LOGGED)
    return path


def executions(file: Path) -> list[str]:
    """Process of every execution of the file."""
    return file.with_name("executions").read_text().split()


def test_a_file_is_executed_once_a_process(logged: Path, monkeypatch: pytest.MonkeyPatch):
    """By whatever path it is named, and its classes are the same objects."""
    monkeypatch.chdir(logged.parent)
    loaded = [rules.rule(name) for name in (f"{logged}:Mine", "logged.py:Mine", "./logged.py", str(logged))]
    assert len(set(loaded)) == 1
    assert len(executions(logged)) == 1


def test_a_training_executes_its_rule_file_once(logged: Path, tmp_path: Path):
    values = {"hidden": (8,), "epochs": 1, "batch_size": 8, "meter": "none", "device": "cpu", "threads": 1}
    record = bpfree.train(f"{logged}:Mine", tiny(), out=tmp_path / "run", **values)
    assert record["algo_sha256"] == hashlib.sha256(logged.read_bytes()).hexdigest()
    bpfree.load(tmp_path / "run")
    assert len(executions(logged)) == 1


def test_a_file_that_has_changed_is_executed_anew(logged: Path):
    """The class loaded before keeps the hash of the bytes that made it."""
    name = f"{logged}:Mine"
    before, text = rules.rule(name), logged.read_text(encoding="utf-8")
    logged.write_text(text + "\n# changed\n", encoding="utf-8")
    after = rules.rule(name)
    assert before is not after
    assert len(executions(logged)) == 2
    assert rules.RULES.source_hash(name, before) == hashlib.sha256(text.encode()).hexdigest()
    assert rules.RULES.source_hash(name, after) == hashlib.sha256(logged.read_bytes()).hexdigest()


def test_a_file_is_a_module_under_a_name_of_its_own(logged: Path, tmp_path: Path):
    """Dataclasses and inspect look classes up by it; two files of one name, or one called json, do not collide."""
    other = tmp_path / "other" / "json.py"
    other.parent.mkdir()
    other.write_text(MINE)
    mine, third = rules.rule(f"{logged}:Mine"), rules.rule(f"{other}:Mine")
    assert sys.modules[mine.__module__].Mine is mine
    assert sys.modules[third.__module__].Mine is third
    assert inspect.getsource(third).startswith("class Mine(MonoForward)")
    assert Path(sys.modules["json"].__file__).parent != other.parent


def test_a_file_that_failed_is_tried_again(file: Path):
    before = set(sys.modules)
    file.write_text("raise ValueError('not yet')\n", encoding="utf-8")
    with pytest.raises(InputError, match="does not import: ValueError: not yet"):
        rules.rule(f"{file}:Mine")
    assert set(sys.modules) == before
    file.write_text(MINE, encoding="utf-8")
    assert rules.rule(f"{file}:Mine").__name__ == "Mine"


def test_a_script_that_names_its_own_rule_is_not_run_again(tmp_path: Path):
    script = tmp_path / "script.py"
    ask = "from bpfree.rules import rule\nprint('run')\nassert rule(__file__ + ':Mine') is Mine\n"
    script.write_text(MINE + ask)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == "run\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that offers a rule, and one whose rule does not import."""
    (tmp_path / "other_package.py").write_text(MINE)
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    points = "mine = other_package:Mine\nwrong = other_package:MINE\nthing = json:dumps\n"
    (info / "entry_points.txt").write_text(f"[bpfree.rules]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    return "mine"


def test_a_rule_of_another_package_by_its_name(plugin: str):
    assert rules.rule(plugin).__name__ == "Mine"
    assert rules.RULES.names()[plugin] == "plug-in other_package:Mine"
    assert rules.RULES.source_hash(plugin) is None


def test_a_plug_in_that_holds_no_rule_says_so(plugin: str):
    with pytest.raises(InputError, match="rule plug-in wrong does not import: AttributeError"):
        rules.rule("wrong")
    with pytest.raises(InputError, match=r"thing is not a Trainer: subclass bpfree\.Trainer"):
        rules.rule("thing")


def test_a_kind_without_a_base_takes_any_object(tmp_path: Path):
    """As nets and data will have it: a module, or an object in it, and a table that names both."""
    table = {"floats": "json.decoder", "decoder": "json.decoder:JSONDecoder"}
    things = resolve.Kind("thing", "bpfree.things", table)
    assert things.load("floats").__name__ == "json.decoder"
    assert things.load("decoder").__name__ == "JSONDecoder"
    (tmp_path / "file.py").write_text("make = len\n")
    assert things.load(f"{tmp_path}/file.py:make") is len
    assert things.load(f"{tmp_path}/file.py").make is len
    with pytest.raises(InputError, match="unknown thing 'float': did you mean floats"):
        things.load("float")
