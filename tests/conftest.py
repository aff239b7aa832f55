"""Fixtures shared by the tests."""

import contextlib
import gc
import os
import pathlib

# Tests are many small programs that run once, so that compiling them takes most of the time. This
# must be said before jax is imported; processes that the tests start are told too.
CACHE = pathlib.Path(__file__).resolve().parents[1] / ".pytest_cache" / "compiled"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax  # noqa: E402
import pytest  # noqa: E402

# Tracing makes many small objects and little garbage, for which Python looks all too often.
gc.freeze()
gc.set_threshold(50_000, 20, 100)


@pytest.fixture
def float64():
    """Runs a test in double precision, which the oracles need."""
    with jax.enable_x64(True):
        yield


@contextlib.contextmanager
def _optimised():
    name = "jax_disable_most_optimizations"
    jax.config.update(name, False)
    try:
        yield
    finally:
        jax.config.update(name, os.environ[name.upper()] == "1")


@pytest.fixture(scope="session")
def optimised():
    """A context that compiles with every optimisation, for what runs longer than it compiles."""
    return _optimised


def pytest_collection_modifyitems(items):
    if "IWAE_JAX_RAW_DATA" not in os.environ:
        reason = "needs the raw data files: set IWAE_JAX_RAW_DATA to their folder"
        for item in items:
            if item.get_closest_marker("raw_data"):
                item.add_marker(pytest.mark.skip(reason=reason))
