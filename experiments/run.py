"""What every experiment shares: its folder, its records, its progress bar, its closing table."""

import contextlib
import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import rich.console
import rich.progress
import rich.table
import tyro

from iwae_jax.data import DataError

Summary = dict[str, Any]

PLACES = ("output_dir", "data_dir", "resume")
"""Options that say where a run is, not what it is: a run may be gone on with from elsewhere."""


class BadInput(ValueError):
    """An option that cannot be run as given; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options that every experiment has."""

    output_dir: pathlib.Path | None = None
    """folder of the results; by default runs/<experiment>-<case>-<date-time>"""
    resume: bool = False
    """go on with the run in --output-dir, with the options it was started with"""
    seed: int = 0
    """root of every random draw"""


class Run:
    """A folder that holds one run."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._lines: list[dict[str, Any]] | None = None

    def log(self, line: dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl; lines of this step or later, from before a stop, go."""
        path = self.folder / "metrics.jsonl"
        if self._lines is None:
            self._lines = [kept for kept in self.logged() if kept["step"] < line["step"]]
            _write(path, "".join(json.dumps(kept) + "\n" for kept in self._lines))
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl so far; a line cut short by a stop is left out."""
        path = self.folder / "metrics.jsonl"
        lines = []
        for text in path.read_text().splitlines() if path.exists() else ():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(text))
        return lines

    def finished(self) -> Summary | None:
        """The summary, where the run has ended before."""
        path = self.folder / "summary.json"
        return json.loads(path.read_text()) if path.exists() else None

    def finish(self, summary: Summary) -> Summary:
        """Writes summary.json."""
        _write(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        return summary


def at_least(options: Options, **least: int) -> None:
    """Refuses an option below its least value; None stands for a default and passes."""
    for name, value in least.items():
        given = getattr(options, name)
        if given is not None and given < value:
            option = f"--{name.replace('_', '-')}"
            raise BadInput(f"{option} must be at least {value}; got {given}.")


def carry_out(
    options: Options,
    *,
    name: str,
    case: str,
    work: Callable[[Run], Summary],
    report: Callable[[Summary], None],
) -> Summary:
    """Starts a run or goes on with one, does its work unless that is done, and reports."""
    this_run = start(options, name=name, case=case)
    summary = this_run.finished()
    if summary is None:
        summary = this_run.finish(work(this_run))
    report(summary)
    print(f"results and pictures: {this_run.folder}")
    return summary


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run in double precision."""

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        with jax.enable_x64(True):
            return function(*arguments)

    return wrapped


def evenly_spaced(images: np.ndarray, number: int | None) -> np.ndarray:
    """So many of the images, or all, from the first to the last."""
    if number is None or number >= len(images):
        return images
    return images[np.linspace(0, len(images) - 1, number).astype(int)]


def _write(path: pathlib.Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def recorded(config: pathlib.Path) -> dict[str, Any]:
    """What a run was started with, but for its places."""
    options = json.loads(config.read_text())["options"]
    # JSON has no tuples.
    tuples = {key: tuple(value) for key, value in options.items() if isinstance(value, list)}
    return {key: value for key, value in (options | tuples).items() if key not in PLACES}


def _plain(options: Options) -> dict[str, Any]:
    """The options as JSON has them, but for its lists."""
    values = dataclasses.asdict(options)
    return {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}


def _git_commit() -> str | None:
    command = ["git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def start(options: Options, *, name: str, case: str) -> Run:
    """Creates the run's folder with config.json, or opens it where `options.resume` is set.

    A folder that holds anything else is left as it is.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = options.output_dir or pathlib.Path("runs") / f"{name}-{case}-{stamp}"
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--output-dir {folder} is a file: choose a folder.")
    run, config = Run(folder), folder / "config.json"
    occupied = folder.exists() and any(folder.iterdir())
    if occupied and not options.resume:
        raise BadInput(
            f"{folder} is not empty: choose another --output-dir, or go on with --resume."
        )
    if occupied and not config.exists():
        raise BadInput(f"{folder} holds no run to resume: it has no config.json.")
    own = _plain(options)
    if occupied:
        before = recorded(config)
        differing = [key for key in own if key not in PLACES and before.get(key) != own[key]]
        if differing:
            raise BadInput(
                f"{folder} was started with other options: "
                + ", ".join(f"{key}={before.get(key)} (now {own[key]})" for key in differing)
            )
        return run
    folder.mkdir(parents=True, exist_ok=True)
    versions = {
        package: importlib.metadata.version(package) for package in ("jax", "flax", "optax")
    }
    versions["iwae_jax"] = importlib.metadata.version("iwae_jax")
    record = {
        "experiment": name,
        "options": own,
        "versions": versions,
        "device": jax.devices()[0].device_kind,
        "git_commit": _git_commit(),
    }
    _write(config, json.dumps(record, indent=2) + "\n")
    return run


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yields ``show(done, note)``: a bar with the time left on a terminal, else a line at times."""
    console = rich.console.Console()
    if not console.is_terminal:
        yield _plain_lines(title, total)
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[note]}"),
    )
    with rich.progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)


def _plain_lines(title: str, total: int, *, seconds: float = 15.0) -> Callable[[int, str], None]:
    shown_at = time.monotonic()

    def show(done: int, note: str) -> None:
        nonlocal shown_at
        if done >= total or time.monotonic() - shown_at >= seconds:
            shown_at = time.monotonic()
            print(f"{title} {done}/{total} {note}", flush=True)

    return show


def mean_and_error(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean of independent values, and its standard error."""
    values = np.asarray(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Prints a table: boxed on a terminal, plain lines elsewhere."""
    console = rich.console.Console()
    if not console.is_terminal:
        print(title)
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    table = rich.table.Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def command_line(main: Callable[[Any], Summary], options: type[Options]) -> None:
    """Reads the options and runs `main`; bad input ends with status 2 and one line."""
    try:
        main(tyro.cli(options, default=_started_with(options), description=main.__doc__))
    except (ValueError, DataError, ImportError) as error:
        if os.environ.get("IWAE_JAX_TRACEBACK"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except FloatingPointError as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: --resume with the same --output-dir goes on.", file=sys.stderr)
        sys.exit(130)


def _started_with(options: type[Options]) -> Options:
    """Defaults of the command line: those of the run that --resume goes on with, if any."""
    arguments = sys.argv[1:]
    if "--resume" not in arguments:
        return options()
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--output-dir", "--output_dir") and (equals or index + 1 < len(arguments)):
            config = pathlib.Path(value if equals else arguments[index + 1]) / "config.json"
            if config.exists():
                paths = {f.name for f in dataclasses.fields(options) if "Path" in str(f.type)}
                before: Any = recorded(config)
                if unknown := sorted(before.keys() - options.__dataclass_fields__.keys()):
                    raise BadInput(
                        f"{config.parent} is of another experiment or version, with the options "
                        f"{', '.join(unknown)}: choose another --output-dir."
                    )
                for option in paths & before.keys():
                    before[option] = before[option] and pathlib.Path(before[option])
                return options(**before)
            return options()
    raise BadInput("--resume needs the --output-dir of the run to go on with.")
