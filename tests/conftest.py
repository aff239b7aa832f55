"""Fixtures shared by the tests."""

import os

import jax
import pytest


@pytest.fixture
def float64():
    """Runs a test in double precision, which the oracles need."""
    with jax.enable_x64(True):
        yield


def pytest_collection_modifyitems(items):
    if "IWAE_JAX_RAW_DATA" not in os.environ:
        reason = "needs the raw data files: set IWAE_JAX_RAW_DATA to their folder"
        for item in items:
            if item.get_closest_marker("raw_data"):
                item.add_marker(pytest.mark.skip(reason=reason))
