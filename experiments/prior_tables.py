"""Lines and tables of `experiments.trainable_prior`."""

import itertools
from typing import Any

import numpy as np

from experiments import run


def line(pair: tuple[str, str], found: dict[tuple[str, str], list]) -> dict[str, Any]:
    """A case's numbers, with its margin over N(0, I) of the same posterior, image by image."""
    mean = lambda cases: np.mean([case.log_likelihoods for case in cases], axis=0)
    nll, nll_se = run.mean_and_error(-mean(found[pair]))
    case: dict[str, Any] = {"prior": pair[0], "posterior": pair[1], "test_nll": nll}
    case |= {"test_nll_se": nll_se, "margin": None, "margin_se": None, "margin_seed_se": None}
    # A hierarchy has a posterior of its own, and no N(0, I) beside it but the diagonal one's.
    base = found.get(("standard", "diagonal" if pair[1] == "hierarchical" else pair[1]))
    if base is not None and pair[0] != "standard":
        case["margin"], case["margin_se"] = run.mean_and_error(mean(found[pair]) - mean(base))
        if len(base) > 1:
            each = [
                np.mean(one.log_likelihoods - other.log_likelihoods)
                for one, other in zip(found[pair], base, strict=True)
            ]
            case["margin_seed_se"] = run.mean_and_error(each)[1]
    case["active_units"] = float(np.mean([one.active_units for one in found[pair]]))
    case["train_seconds"] = float(np.mean([one.seconds for one in found[pair]]))
    return case


def report_exact(summary: run.Summary) -> None:
    """Prints the prior that was found beside the true one, and the gradients' variances."""
    rows = []
    for index, (name, place) in enumerate(itertools.product(("mean", "variance"), range(2))):
        values = [summary[f"lambda_{name}{kind}"][place] for kind in ("_true", "_most_likely", "")]
        rows.append([f"prior's {name} {place + 1}", *(f"{value:.4f}" for value in values),
                     f"{summary['lambda_from_most_likely_in_se'][index]:+.2f}"])  # fmt: skip
    rows.append(["test log p(x)", f"{summary['log_likelihood_of_truth']:.4f}", "",
                 f"{-summary['test_nll']:.4f}", f"gap {summary['mean_gap']:.5f}"])  # fmt: skip
    columns = ["", "true", "most likely", "learnt", "off, in std. errors"]
    run.print_table("the prior of a linear-Gaussian model", columns, rows)
    parts = ("theta", "lambda", "phi")
    rows = [
        [row["estimator"], *(f"{row[f'variance_{part}']:.4g}" for part in parts),
         *(f"{row[f'from_exact_{part}_in_se']:.2f}" for part in parts)]
        for row in summary["gradients"]
    ]  # fmt: skip
    columns = ["estimator", *(f"variance, {part}" for part in parts),
               *(f"off, {part} (largest, std. errors)" for part in parts)]  # fmt: skip
    run.print_table("gradients of the ELBO, per draw of z", columns, rows)


def report_images(options, summary: run.Summary) -> None:
    """Prints a line for each pair."""
    rows = []
    for case in summary["cases"]:
        margin = case["margin"]
        seeds = case["margin_seed_se"]
        rows.append(
            [case["prior"], case["posterior"],
             f"{case['test_nll']:.2f} +- {case['test_nll_se']:.2f}",
             "" if margin is None else f"{margin:+.2f} +- {case['margin_se']:.2f}",
             "" if seeds is None else f"{seeds:.2f}", f"{case['active_units']:.1f}",
             f"{case['train_seconds']:.0f}"]
        )  # fmt: skip
    columns = ["prior", "posterior", "test NLL (nats)", "gain on N(0, I)", "std. error over seeds",
               "active units", "training (s)"]  # fmt: skip
    title = f"{options.dataset}, {options.epochs} passes, K = {options.num_samples}"
    run.print_table(title, columns, rows)
