"""A training killed at random moments ends where one that was left alone ends, bit for bit."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.house import ROOT

NUM_KILLS = 10


def start(folder):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.killed_training", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", autouse=True)
def compilation_cache(tmp_path_factory):
    """Each of the processes would compile the same programs again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def test_killed_ten_times_it_ends_bit_for_bit_the_same(tmp_path):
    with start(tmp_path / "whole") as process:
        lines = process.stdout.read().split()
    assert process.returncode == 0
    num_steps = int(lines[-1])

    moments = random.Random(0)
    killed_at = []
    for _ in range(NUM_KILLS):
        with start(tmp_path / "killed") as process:
            first = None
            for line in process.stdout:
                if line.strip() == "started":
                    continue
                first = first or int(line)
                # Some kills fall on the first scan, some between two scans, some on a checkpoint.
                if int(line) - first >= moments.randrange(0, num_steps // 12):
                    time.sleep(moments.random() * 0.2)
                    process.send_signal(signal.SIGKILL)
                    killed_at.append(int(line))
                    break
        assert process.returncode == -signal.SIGKILL
    assert killed_at == sorted(killed_at)
    assert killed_at[-1] < num_steps

    with start(tmp_path / "killed") as process:
        steps = [int(line) for line in process.stdout if line.strip() != "started"]
    assert process.returncode == 0
    assert steps[0] > killed_at[-1] - 8
    whole, killed = (np.load(tmp_path / name / "result.npz") for name in ("whole", "killed"))
    assert whole.files == killed.files
    for name in whole.files:
        np.testing.assert_array_equal(whole[name], killed[name])
