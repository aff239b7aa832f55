"""The house rules, held against the whole tree; and for each way to break one, that it is seen."""

import fnmatch
import functools
import importlib
import pathlib
import re
import subprocess
import types
from typing import NamedTuple

import jax
import pytest

from iwae_jax import bounds, keys
from tests import house, mutants
from tests.house import ROOT


def public(name, module):
    """What a module defines or exports; a private module has nothing public of its own."""
    exported = getattr(module, "__all__", ())
    return {
        f"{name}.{key}": thing
        for key, thing in vars(module).items()
        if callable(thing) and "._" not in f"{name}.{key}"
        if getattr(thing, "__module__", None) == name or key in exported
    }


def repository_files():
    """What git tracks; without git, or before the first commit, all that it would not ignore."""
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        tracked = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        tracked = ""
    if tracked:
        return [path for path in (ROOT / name for name in tracked.split("\0")) if path.is_file()]
    patterns = [".git/", *(ROOT / ".gitignore").read_text().splitlines()]
    ignored = re.compile("|".join(fnmatch.translate(pattern.strip("/")) for pattern in patterns))
    is_ignored = lambda path: any(map(ignored.fullmatch, path.relative_to(ROOT).parts))
    return [path for path in ROOT.rglob("*") if path.is_file() and not is_ignored(path)]


def python_blocks(path):
    text = path.read_text() if path.exists() else ""
    found = re.findall(r"^```python\b.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return tuple(found) or (f"raise FileNotFoundError('{path.name}, or a Python block in it')",)


@functools.cache
def scope_after(blocks, index):
    """The names after a block of code, which sees those of the blocks before it."""
    scope = scope_after(blocks, index - 1) if index else {"__name__": "__main__"}
    exec(compile(blocks[index], f"<block {index}>", "exec"), scope)
    return scope


def texts(*folders):
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


SOURCES = {
    ".".join(pathlib.Path(name).with_suffix("").parts).removesuffix(".__init__"): source
    for name, source in texts("iwae_jax").items()
}
MODULES = {name: importlib.import_module(name) for name in SOURCES}
PUBLIC = {key: thing for item in MODULES.items() for key, thing in public(*item).items()}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {path.name: python_blocks(path) for path in PAGES if "```python" in path.read_text()}
HOUSE = {
    house.signature: {name: x for name, x in PUBLIC.items() if not isinstance(x, type)},
    house.docstring: PUBLIC,
    house.dependencies: SOURCES,
    house.acyclic: {"iwae_jax": SOURCES},
    house.purity: SOURCES,
    house.exports: {name: SOURCES[name] for name in SOURCES if hasattr(MODULES[name], "__path__")},
    house.layout: texts("iwae_jax", "experiments", "tests", "benchmarks"),
    house.portable: {str(x.relative_to(ROOT)): x.read_bytes() for x in repository_files()},
    house.doctests: MODULES,
}
CASES = [
    pytest.param(rule, name, thing, id=f"{rule.__name__}-{name}")
    for rule, things in HOUSE.items()
    for name, thing in things.items()
]


@pytest.mark.parametrize(("rule", "name", "thing"), CASES)
def test_rule_holds(rule, name, thing):
    default = not jax.config.jax_enable_x64 and jax.config.jax_numpy_dtype_promotion == "standard"
    if rule is house.doctests and not default:
        pytest.skip("the dtypes that examples print are those of the default precision")
    faults = rule(name, thing)
    assert not faults, "\n".join(faults)


def described(old, new):
    """A function like a documented one, but for its docstring."""
    double = lambda log_weights: log_weights
    double.__doc__ = bounds.iwae.__doc__.replace(old, new)
    return double


CYCLE = {"iwae_jax.bounds": "import iwae_jax.weights", "iwae_jax.weights": "import iwae_jax.bounds"}
VIOLATIONS = {
    house.signature: [
        ("f", lambda params, key: 0, "order"),
        ("f", lambda x, theta: 0, "order"),
        ("f", lambda x, *, key: 0, "order"),
        ("f", lambda x, scale=1.0: 0, "scale has a default"),
        ("f", lambda x, *, exact=True: 0, "exact is a switch"),
        ("f", keys.samples, "num_samples"),
        ("iwae_jax.estimators.f", lambda key, params, *, model, num_samples: 0, "family"),
        ("iwae_jax.bounds.f", lambda log_weights, other: 0, "family"),
        ("f_log_prob", lambda x, mean: 0, "last"),
    ],
    house.docstring: [
        ("f", lambda: 0, "summary"),
        ("f", described(".\n", "\n"), "summary"),
        ("f", described("log_weights: ", "weights: "), "log_weights not explained"),
        ("f", described("Returns:", "Gives:"), "no Returns"),
        ("f", described("Example:", "Usage:"), "no Example"),
        ("f", described(">>>", "$"), "without >>>"),
        ("f", described("References:", "See:"), "no References"),
        ("Pair", NamedTuple("Pair", [("first", int)]), "first not explained"),
        ("Layer", type("Layer", (), {"__init__": lambda self, width: None}), "width not explained"),
        ("Layer", type("Layer", (), {}), "no References"),
        ("Error", type("Error", (ValueError,), {}), "summary"),
    ],
    house.dependencies: [
        ("iwae_jax.bounds", "def f():\n import optax", "optax"),
        ("iwae_jax.training", "from flax import nnx", "flax.nnx"),
        ("iwae_jax.training", "importlib.import_module('orbax.checkpoint')", "orbax.checkpoint"),
        ("iwae_jax.models", "import_module(name)", "<computed>"),
        ("iwae_jax.data", "import tensorflow as tf", "tensorflow"),
        ("iwae_jax.data", "from . import _files", "._files"),
        ("iwae_jax.training", "from experiments import run", "experiments.run"),
        ("iwae_jax.weights", "from iwae_jax import estimators", "below"),
        ("iwae_jax.evaluation", "import iwae_jax.training.fit", "below"),
        ("iwae_jax.weights", "from iwae_jax import Params", "no layer"),
        ("iwae_jax.misc", "import iwae_jax.types", "no layer"),
    ],
    house.acyclic: [("iwae_jax", CYCLE, "bounds")],
    house.purity: [
        ("iwae_jax.data", "print(1)", "print"),
        ("iwae_jax.data", "def f():\n breakpoint()", "breakpoint"),
        ("iwae_jax.data", "from jax import config\nconfig.update('x', 1)", "jax.config.update"),
        ("iwae_jax.data", "import os as o\no.environ['A'] = 'b'", "os.environ"),
        ("iwae_jax.data", "from os import environ\nenviron.setdefault('A', 'b')", "os.environ"),
        ("iwae_jax.exact.f", "from jax import jit as fast\n@fast\ndef f(): ...", "jax.jit"),
    ],
    house.exports: [
        ("iwae_jax", "from a import b, c", "must be"),
        ("iwae_jax", "from a import b, c\n__all__ = ['b']", "must be"),
        ("iwae_jax", "from a import b, c\n__all__ = ['c', 'b']", "must be"),
        ("iwae_jax", "from a import b\n__all__ = ['b', 'c']", "must be"),
    ],
    house.layout: [
        ("a.py", "x\n" * 301, "300"),
        ("tests/utils.py", "", "name"),
        ("a.py", "x = 1\n# ---- Models ----\n", "banner"),
        ("a.py", "Models\n    ======\n", "banner"),
        ("a.py", "x = 1  # todo".upper(), "undone"),
    ],
    house.portable: [
        ("a", bytes(1_000_001), "1 MB"),
        ("a", f"cd {ROOT}/x".encode(), "names"),
    ],
    house.doctests: [("m", types.ModuleType("m", ">>> 1 + 1\n3"), "Expected")],
}


SEEN = [
    pytest.param(rule, *violation, id=f"{rule.__name__}-{violation[-1]}")
    for rule, violations in VIOLATIONS.items()
    for violation in violations
]


@pytest.mark.parametrize(("rule", "name", "thing", "fault"), SEEN)
def test_rule_sees_a_violation(rule, name, thing, fault):
    assert fault in "; ".join(rule(name, thing))


def test_every_rule_is_held_and_can_fail():
    assert VIOLATIONS.keys() == HOUSE.keys()
    assert all(HOUSE.values())


@pytest.mark.parametrize(
    ("name", "index"), [(name, index) for name in BLOCKS for index in range(len(BLOCKS[name]))]
)
def test_pages_run(name, index):
    scope_after(BLOCKS[name], index)


def test_pages_see_a_violation(tmp_path):
    (tmp_path / "README.md").write_text("```python\nx = 1\n```\n```python\n1 / (x - 1)\n```\n")
    with pytest.raises(ZeroDivisionError):
        scope_after(python_blocks(tmp_path / "README.md"), 1)
    with pytest.raises(FileNotFoundError):
        scope_after(python_blocks(tmp_path / "missing.md"), 0)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_is_short_and_draws_the_imports():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    assert house.diagram(SOURCES) in text, f"README.md must have:\n{house.diagram(SOURCES)}"


def test_the_diagram_leaves_out_what_other_imports_imply():
    sources = {
        "iwae_jax.low": "",
        "iwae_jax.middle": "import iwae_jax.low",
        "iwae_jax.high": "import iwae_jax.low, iwae_jax.middle",
    }
    drawn = house.diagram(sources).splitlines()
    assert drawn[2:-1] == ["    high --> middle", "    low", "    middle --> low"]


def test_every_mutant_can_be_planted_and_has_tests():
    for mutant in mutants.MUTANTS:
        assert mutants.planted(mutant, ROOT) != (ROOT / "iwae_jax" / mutant.file).read_text()
    assert {mutants.part(mutant) for mutant in mutants.MUTANTS} == mutants.TESTS.keys()


def test_repository_files_need_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    paths = repository_files()
    assert pathlib.Path(__file__).resolve() in paths
    assert not any({".git", "__pycache__"}.intersection(path.parts) for path in paths)
