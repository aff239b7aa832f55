"""The house rules: each takes a thing and its name, and answers with a list of faults."""

import ast
import doctest
import graphlib
import inspect
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

LEADING = {"key": 0, "params": 1, "theta": 1, "phi": 1, "lambda_": 1, "state": 1}
STATIC = {"num_samples", "num_outer", "model", "over_samples", "optimizer", "estimator"}
STATIC |= {"batch_size", "chunk_size", "data_dir", "temperature"}
VALUE = (["x"], ["z"])
POSITIONAL_STATIC = {"iwae_jax.keys.samples": {"num_samples"}}  # K is what it turns into keys
FAMILIES = {
    "iwae_jax.estimators": (["key", "params", "x"], {"model", "num_samples", "over_samples"}),
    "iwae_jax.bounds": (["log_weights"], set()),
}

DRAWS = {"iwae_jax.bounds.sumo_num_terms"}  # draws a number for a bound, and is none itself
ORDER = {"alpha", "beta"}  # of a bound: written after its log-weights, as in the papers

CORE = {"types", "keys", "_draws", "densities", "bounds", "weights", "estimators"}
CORE |= {"exact", "diagnostics"}
LAYERS = (
    "types keys _draws",
    "densities bounds weights exact diagnostics",
    "networks",
    "estimators flows priors minimax",
    "models data evaluation checkpoints anomaly",
    "training",
    "iwae_jax",
)
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units.split()}
EVERYWHERE = {"jax", "chex", "numpy", "iwae_jax", *sys.stdlib_module_names}
ALSO = {unit: {"flax"} for unit in ("networks", "flows", "models")}
ALSO |= {"training": {"optax"}, "minimax": {"optax"}, "checkpoints": {"orbax"}}
ALSO["data"] = {"tensorflow_datasets", "array_record", "importlib_resources", "requests"}
ALSO["data"] |= {"sklearn", "PIL", "<computed>"}

IMPURE = re.compile(
    r"(jax\.debug\.)?(print|breakpoint)|jax\.config\.(update|\w+ =)|flax\.nnx\.(jit|Optimizer)"
    r"|os\.(putenv|unsetenv|environ( =|\[\] =|\.(update|setdefault|pop|popitem|clear)))"
)
BANNER = re.compile(r"^\s*#+\s*[-=~*]{3,}|^\s*#{4,}|^\s*([-=~*])\1{3,}\s*$", re.MULTILINE)
UNDONE = re.compile(r"\b(TOD[O]|FIXM[E])\b")

COMMON_PLACES = {"~", "/", "/home", "/mnt", "/opt", "/srv", "/tmp", "/usr", "/var"}
PLACES = {str(ROOT), str(ROOT.parent), os.path.expanduser("~")} - COMMON_PLACES
MACHINE_PATH = re.compile(rf"(?<![\w.~-])({'|'.join(map(re.escape, PLACES))})(?![\w-])")


def signature(name, function):
    faults, positional, keyword_only = [], [], set()
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.default, bool | str):
            faults.append(f"{parameter.name} is a switch: make it two functions")
        if parameter.kind is parameter.KEYWORD_ONLY:
            keyword_only.add(parameter.name)
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional.append(parameter.name)
            if parameter.default is not parameter.empty:
                faults.append(f"{parameter.name} has a default: make it keyword-only")
    ranks = [LEADING.get(argument, 2) for argument in positional]
    if ranks != sorted(ranks) or keyword_only & LEADING.keys():
        faults.append("the order is key, params, data, *, static")
    if static := STATIC.intersection(positional) - POSITIONAL_STATIC.get(name, set()):
        faults.append(f"{sorted(static)} must be keyword-only")
    family = name.rpartition(".")[0] if name not in DRAWS else ""
    data, static = FAMILIES.get(family, (positional, set()))
    if [name for name in positional if name not in ORDER] != data or not static <= keyword_only:
        faults.append(f"its family takes {data} and keyword-only {sorted(static)}")
    if name.endswith("log_prob") and "key" not in positional and positional[-1:] not in VALUE:
        faults.append("a log-density takes its value, x or z, last")
    return faults


def docstring(name, thing):
    wanted, arguments = {"Example", "References"}, []
    if not isinstance(thing, type):
        read = inspect.signature(thing)
        arguments = read.parameters
        wanted |= set() if read.return_annotation in (None, "None") else {"Returns"}
    elif issubclass(thing, Exception) or getattr(thing, "_is_protocol", False):
        wanted = set()
    elif hasattr(thing, "_fields"):
        wanted, arguments = set(), thing._fields
    else:
        arguments = list(inspect.signature(thing.__init__).parameters)[1:]
    parts = re.split(r"^(\w+):$", inspect.cleandoc(thing.__doc__ or ""), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    explained = sections.get("Args", "") + sections.get("Attributes", "")
    explained = " ".join(re.findall(r"^ {2}(\*{0,2}\w[\w*, ]*):", explained, re.MULTILINE))
    found = {
        "no summary of one line": not re.match(r".+\.(\n\n|$)", parts[0]),
        "an example without >>>": ">>>" not in sections.get("Example", ">>>"),
        **{f"no {heading}:": heading not in sections for heading in wanted},
        **{f"{x} not explained": x not in re.findall(r"\w+", explained) for x in arguments},
    }
    return [fault for fault, present in found.items() if present]


def unit(module):
    return (module.split(".") * 2)[1]


def imported(source):
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                yield from (f"{'.' * level}{module or ''}.{alias.name}" for alias in aliases)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=arguments):
                if called in ("__import__", "import_module", "import_extra"):
                    name = getattr(arguments[0], "value", None) if arguments else None
                    yield name if isinstance(name, str) else "<computed>"


def dependencies(name, source):
    own, faults = unit(name), []
    for other in sorted(set(imported(source))):
        package = other.partition(".")[0]
        if package not in EVERYWHERE | ALSO.get(own, set()):
            faults.append(f"{other} has no place in {own}")
        if package == "iwae_jax" and LEVEL.get(unit(other), 99) > LEVEL.get(own, -1):
            faults.append(f"{own} lies below {other}, or one of them is in no layer")
    return faults


def graph(sources):
    """Each unit with those that it imports."""
    found = {unit(module): set() for module in sources}
    for module, source in sources.items():
        others = {unit(other) for other in imported(source) if other.startswith("iwae_jax.")}
        found[unit(module)] |= others - {unit(module)}
    return found


def acyclic(name, sources):
    try:
        graphlib.TopologicalSorter(graph(sources)).prepare()
    except graphlib.CycleError as error:
        return [str(error)]
    return []


def diagram(sources):
    """The imports as a Mermaid diagram, but for those that others imply."""
    direct = {own: others - {"iwae_jax"} for own, others in graph(sources).items()}
    below = {}
    for own in graphlib.TopologicalSorter(direct).static_order():
        below[own] = direct[own].union(*(below[other] for other in direct[own]))
    lines = ["```mermaid", "flowchart TD"]
    for own in sorted(direct.keys() - {"iwae_jax"}):
        implied = set().union(*(below[other] for other in direct[own]))
        others = sorted(direct[own] - implied)
        lines.append(f"    {own}" + (f" --> {' & '.join(others)}" if others else ""))
    return "\n".join([*lines, "```"])


def used(source):
    """Every name in use, in full whatever it was imported as, with " =" where it is written."""
    nodes, full = list(ast.walk(ast.parse(source))), {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            full |= {alias.asname or alias.name: prefix + alias.name for alias in node.names}

    def dotted(node):
        match node:
            case ast.Name(id=name):
                return full.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{dotted(value)}.{attribute}"
            case ast.Subscript(value=value):
                return f"{dotted(value)}[]"
        return ""

    for node in nodes:
        if context := getattr(node, "ctx", None):
            yield dotted(node) + ("" if isinstance(context, ast.Load) else " =")


def purity(name, source):
    wrong = lambda used: IMPURE.fullmatch(used) or (used == "jax.jit" and unit(name) in CORE)
    return sorted(filter(wrong, set(used(source))))


def exports(name, source):
    names, listed = set(), None
    for node in ast.parse(source).body:
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                listed = ast.literal_eval(value)
    # Constants, classes, the rest: the order that ruff keeps.
    order = lambda name: (not name.isupper(), not name[0].isupper(), name)
    right = sorted((name for name in names if not name.startswith("_")), key=order)
    return [] if listed == right else [f"__all__ must be {right}"]


def layout(name, text):
    found = {
        "over 300 lines": len(text.splitlines()) > 300,
        "a name that says nothing": pathlib.Path(name).name in ("utils.py", "helpers.py"),
        "a banner": BANNER.search(text),
        "work left undone": UNDONE.search(text),
    }
    return [fault for fault, present in found.items() if present]


def portable(name, content):
    faults = ["over 1 MB"] if len(content) > 1_000_000 else []
    return faults + [f"names {x}" for x in MACHINE_PATH.findall(content.decode(errors="ignore"))]


def doctests(name, module):
    report, runner = [], doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    return report
