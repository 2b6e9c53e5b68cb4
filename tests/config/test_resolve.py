"""Names to classes: the folder is the registry."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    assert set(resolve.names("rules")) == files


def test_a_name_comes_with_the_first_line_of_its_docstring():
    assert resolve.names("rules")["mono-forward"] == "Mono-Forward: local class scores train every layer."


@pytest.mark.parametrize("name", resolve.names("rules"))
def test_every_rule_is_one_trainer(name: str):
    assert issubclass(resolve.rule(name), Trainer)


@pytest.mark.parametrize("name", resolve.names("nets"))
def test_every_net_has_a_builder_and_settings(name: str):
    build, settings = resolve.net(name)
    assert callable(build)
    assert settings() == settings()


def test_names_are_listed_without_torch():
    script = "import sys; from bpfree.config import resolve; resolve.names('rules'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_an_unknown_rule_says_the_nearest():
    with pytest.raises(InputError, match=r"unknown rule 'mono-foward': did you mean mono-forward"):
        resolve.rule("mono-foward")


def test_an_unknown_net_says_the_choices():
    with pytest.raises(InputError, match=r"unknown net 'xyz': choose from .*cnn.*mlp"):
        resolve.net("xyz")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_rule_from_a_file_by_class(file: Path):
    assert resolve.rule(f"{file}:Mine").__name__ == "Mine"


def test_a_file_with_one_public_trainer_needs_no_class(file: Path):
    assert resolve.rule(str(file)).__name__ == "Mine"


def test_a_file_with_two_trainers_asks_which(file: Path):
    file.write_text(MINE + "\nclass Other(MonoForward): pass\n", encoding="utf-8")
    with pytest.raises(InputError, match="exactly one public Trainer subclass, it has Mine, Other"):
        resolve.rule(str(file))


def test_a_file_without_a_trainer_says_so(file: Path):
    file.write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="exactly one public Trainer subclass, it has none"):
        resolve.rule(str(file))


def test_a_missing_class_says_the_nearest(file: Path):
    with pytest.raises(InputError, match=r"unknown class in .*'Mind': did you mean Mine"):
        resolve.rule(f"{file}:Mind")


def test_a_file_without_a_rule_says_so(tmp_path: Path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(InputError, match=r"empty\.py defines no Trainer"):
        resolve.rule(f"{tmp_path}/empty.py:Mine")


def test_a_class_that_is_no_trainer_is_refused(file: Path):
    file.write_text("class Thing: pass\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not a Trainer: subclass bpfree.Trainer"):
        resolve.rule(f"{file}:Thing")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone.py does not exist"):
        resolve.rule(f"{tmp_path}/gone.py:Rule")


def test_a_file_that_does_not_import_says_why(file: Path):
    file.write_text("import no_such_module_here\n", encoding="utf-8")
    with pytest.raises(InputError, match="does not import: ModuleNotFoundError"):
        resolve.rule(f"{file}:Mine")


def test_a_folder_that_has_py_in_its_name_is_no_rule_file(tmp_path: Path):
    folder = tmp_path / ".pyenv"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    assert resolve.rule(f"{folder}/mine.py:Mine").__name__ == "Mine"
    assert resolve.source_hash(f"{folder}/mine.py") == resolve.source_hash(f"{folder}/mine.py:Mine") is not None


@pytest.mark.parametrize("name", ["{file}:Part", "{file}"])
def test_a_rule_that_lacks_methods_names_them(file: Path, name: str):
    file.write_text("import bpfree\n\nclass Part(bpfree.Trainer): pass\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not complete: it must define local_losses and predict"):
        resolve.rule(name.format(file=file))


def test_a_rule_from_a_file_is_known_by_the_hash_of_its_bytes(file: Path):
    import hashlib

    assert resolve.source_hash(f"{file}:Mine") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_built_in_rule_has_no_file_hash():
    assert resolve.source_hash("mono-forward") is None
