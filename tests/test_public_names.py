"""Names that users import: at the top of the package, and those of version 0.1 that have moved."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bpfree
from bpfree.config.moved import FUNCTIONS, NAMES
from energy.moved import ENERGY

ROOT = Path(bpfree.__file__).parents[1]
CALLED = ("train", "load", "compare", "tune", "report", "reproduce")
OLD = {**NAMES, **ENERGY}
IN_MODULES = {  # names that plug-ins, notebooks and the examples of 0.1 took from the modules that have moved
    "bpfree.batch": ("Batch", "Local", "Phase"),
    "bpfree.callbacks": ("Callback", "HistoryFile", "Probe", "Progress"),
    "bpfree.checkpoint": ("CONFIG", "RunFolder", "read", "write_atomically"),
    "bpfree.data.base": ("Data", "Source", "Spec"),
    "bpfree.data.graph": ("GraphSource",),
    "bpfree.doctor": ("examine", "show"),
    "bpfree.functional.transforms": ("AnnealedNoise", "Centralise", "ClipNorm", "total_norm", "walk_std"),
    "bpfree.functional.graphs": ("SPARSE", "Graph", "row_norm"),
    "bpfree.live": ("LiveMemory",),
    "bpfree.loop": ("Loop", "LoopSettings"),
    "bpfree.model": ("Model", "load"),
    "bpfree.owners": ("OptimSettings", "Owner", "Schedule", "Transform", "lr_factor", "reduce_gradients"),
    "bpfree.registry": ("net", "rule"),
    "bpfree.run": ("default_net", "meter_for", "now", "plan", "read_config", "settings_of", "train"),
    "bpfree.rules.forward_gnn": ("ForwardGNN",),
    "bpfree.settings": ("setting", "settings"),
    "bpfree.trainer": ("Batch", "Local", "Phase", "RuleSettings", "Trainer"),
    "energy.record": ("SCHEMA", "read", "write"),
    "energy.report": ("build", "render"),
    "energy.source": ("Absent", "Point", "Source"),
    "energy.stats": ("differences", "interval", "paired", "summary"),
    "energy.study": ("collect",),
}


def python(code: str, *flags: str) -> str:
    """Standard output of a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *flags, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "import bpfree",
        "import bpfree.studies.compare, bpfree.studies.tune",
        "from bpfree.runs import train, recipes, model",
        "import bpfree.reports.report",
        "import bpfree.cli.commands",
        "import energy, bpfree.training.loop; from bpfree import compare, report",
    ],
)
def test_functions_are_callable_after_every_order_of_imports(first):
    calls = "; ".join(f"assert callable(bpfree.{name}), bpfree.{name}" for name in CALLED)
    rest = "import bpfree.reports.report, bpfree.studies.compare, bpfree.studies.tune, bpfree.runs.train"
    python(f"{first}\nimport bpfree\n{calls}\n{rest}\n{calls}\nfrom bpfree import {', '.join(CALLED)}\n{calls}")


def test_data_load_after_import_of_the_package_alone():
    """The vowels come with the package: 1,520 utterances of 10 vowels, hence 10 classes."""
    assert python("import bpfree; print(bpfree.data.load('peterson-barney').spec.classes)").strip() == "10"


def test_every_public_name_exists_and_torch_comes_with_the_first_that_needs_it():
    python("import sys, bpfree; assert 'torch' not in sys.modules; bpfree.Trainer; assert 'torch' in sys.modules")
    for name in bpfree.__all__:
        assert getattr(bpfree, name) is not None


def test_version_is_that_of_the_package_metadata():
    """One source: pyproject.toml reads it from the package."""
    import tomllib

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["hatch"]["version"]["path"] == "bpfree/__init__.py"
    assert bpfree.__version__ == "0.2.0"


def test_modules_under_their_old_names_are_those_of_the_new_names_and_warn_once():
    code = f"""
import importlib, warnings
import bpfree
old = {OLD!r}
for name, new in old.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        moved = importlib.import_module(name)
        importlib.import_module(name)
    texts = [str(w.message) for w in caught if w.category is DeprecationWarning and name in str(w.message)]
    parts = [new] if isinstance(new, str) else new
    assert len(texts) == 1 and all(part in texts[0] for part in parts), (name, texts)
    assert len(parts) > 1 or moved is importlib.import_module(new), name
for name, attributes in {IN_MODULES!r}.items():
    for attribute in attributes:
        assert hasattr(importlib.import_module(name), attribute), (name, attribute)
"""
    python(code)


def test_an_old_name_warns_at_the_line_that_imports_it(tmp_path):
    script = tmp_path / "plugin.py"
    script.write_text("import bpfree\n\nfrom bpfree.trainer import Trainer\nfrom bpfree.functional import graphs\n")
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{script}:3: DeprecationWarning: bpfree.trainer has moved to bpfree.training.trainer" in done.stderr
    assert f"{script}:4: DeprecationWarning: bpfree.functional.graphs has moved to bpfree.graphs.graph" in done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_module_that_became_a_function_says_so(name):
    code = f"try:\n    import {name}\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert python(code).startswith(f"{name} is a function now, not a module: call {name}(…)")


def test_nothing_of_the_package_its_examples_or_its_tests_imports_an_old_name():
    """Modules are imported with the warning as an error; scripts, which would run, are searched for the names."""
    code = """
import importlib, pkgutil
import bpfree, energy
for package in (bpfree, energy):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
    moved = [f"error:{name} has moved:DeprecationWarning" for name in OLD]
    python(code, *(word for text in moved for word in ("-W", text)))
    for path in [*(ROOT / "examples").glob("*.py"), *(ROOT / "tests/system/rules").glob("*.py")]:
        words = path.read_text(encoding="utf-8").split()
        assert not set(words) & {*OLD, *FUNCTIONS}, path
