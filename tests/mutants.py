"""Faults planted in the core one at a time, to see whether a test notices each.

    python -m tests.mutants                (every fault, with the tests of its part of the core)
    python -m tests.mutants bounds keys    (those whose file's name has one of the words)

`mutants.txt` has a fault a line: the file in `iwae_jax`, a text in it, and what replaces it. One
that no test notices is printed as a survivor, and the exit status is the number of these. Faults
are planted in a copy; the working tree is left alone.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]

TESTS = {
    "bounds": "bounds estimates",
    "densities": "densities",
    "diagnostics": "diagnostics",
    "estimators": "baselines estimators biased_estimators relaxed_estimators resampled"
    " relaxations trainable_prior estimator_family",
    "evaluation": "evaluation",
    "keys": "keys weights",
    "training": "training",
    "weights": "weights estimator_family",
}
"""The tests that run for the faults of each part of the core."""


class Mutant(NamedTuple):
    """One fault: a text that stands once in a file of `iwae_jax`, and what replaces it."""

    file: str
    old: str
    new: str


MUTANTS = [
    Mutant(*line.split(" | ")) for line in (ROOT / "tests" / "mutants.txt").read_text().splitlines()
]


def planted(mutant: Mutant, root: pathlib.Path) -> str:
    """The text of the file with the fault in it; what it replaces must stand there once."""
    text = (root / "iwae_jax" / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {mutant.old!r} {text.count(mutant.old)} times, not 1.")
    return text.replace(mutant.old, mutant.new)


def part(mutant: Mutant) -> str:
    """The part of the core that the fault lies in."""
    return mutant.file.partition("/")[0].removesuffix(".py")


def passes(name: str, copy: pathlib.Path) -> bool:
    """Whether the tests of a part of the core pass."""
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
    command += [f"tests/test_{test}.py" for test in TESTS[name].split()]
    # The copy comes first on the path, before the package that is installed.
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode == 0


def survives(mutant: Mutant, copy: pathlib.Path) -> bool:
    """Whether the tests of its part pass with the fault."""
    path = copy / "iwae_jax" / mutant.file
    sound = path.read_text()
    path.write_text(planted(mutant, copy))
    alive = passes(part(mutant), copy)
    path.write_text(sound)
    return alive


def main(words: list[str]) -> int:
    """Plants each fault, and prints its fate."""
    chosen = [m for m in MUTANTS if not words or any(word in m.file for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in ("iwae_jax", "tests", "experiments"):
            shutil.copytree(ROOT / name, copy / name)
        for name in ("pyproject.toml", "README.md", ".gitignore"):
            shutil.copy(ROOT / name, copy / name)
        for name in sorted(set(map(part, chosen))):
            if not passes(name, copy):
                raise RuntimeError(f"the tests of {name} fail without a fault")
        for mutant in chosen:
            start = time.monotonic()
            alive = survives(mutant, copy)
            survivors += alive
            fate = "SURVIVES" if alive else "noticed "
            seconds = time.monotonic() - start
            print(f"{fate} {seconds:4.0f} s  {' | '.join(mutant)}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} faults are noticed")
    return survivors


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
