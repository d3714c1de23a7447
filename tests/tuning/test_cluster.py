"""Two processes that a cluster's launcher has started: SLURM, by its variables, torchrun with two agents, Ray Train."""

import os
import random
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from support.processes import environment, found_by_ranks, run_all

pytestmark = pytest.mark.slow

SCRIPT = str(Path(__file__).parents[1] / "support" / "group_script.py")


def slurm(*arguments):
    """Run the script as two tasks of a job would be, on one node; exit code and output of each."""
    job = {
        "SLURM_JOB_ID": str(random.randint(10_000, 99_999)),  # Lightning makes the port of it
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
    }
    tasks = [job | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
    return run_all([([sys.executable, SCRIPT, *arguments], environment(**task)) for task in tasks])


def torchrun(*arguments):
    """Run the script with two agents, as on two nodes of one device each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "tune"]
    options += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, SCRIPT, *arguments]
    return run_all([([*command], environment(NODES="2"))] * 2)


def processes_left():
    """What is run in this folder by Python, but for this process."""
    here = str(Path.cwd())
    running = [one.info for one in psutil.process_iter(["pid", "cmdline", "cwd"]) if one.info["cwd"] == here]
    return [one["cmdline"] for one in running if one["pid"] != os.getpid() and "python" in str(one["cmdline"])]


@pytest.mark.parametrize("start", [slurm, torchrun], ids=["slurm", "torchrun"])
def test_all_ranks_find_the_same(start):
    """Sharded, with a limit of memory on one rank: both have the same value, and fit with it."""
    ended = start("fsdp2", "memory")
    assert [code for code, _ in ended] == [0, 0], ended[0][1][-2000:] + ended[1][1][-2000:]
    found = found_by_ranks()
    assert [one["memory"]["batch_size"] for one in found.values()] == [23, 23]
    assert [one["fit"] for one in found.values()] == [{"steps": 20, "parameter": "DTensor"}] * 2
    assert processes_left() == []


@pytest.mark.parametrize("start", [slurm, torchrun], ids=["slurm", "torchrun"])
def test_a_killed_rank_ends_all(start):
    """Nobody waits for a rank that is gone, with or without a launcher that ends the others; no process is left."""
    ended = start("fsdp2", "parent killed")
    assert all(code != 0 for code, _ in ended)
    if start is slurm:
        assert "rank 1 has not been heard of for 6 s" in ended[0][1]
    time.sleep(1)  # children of the killed one see that it is gone
    assert processes_left() == []


def test_ray_train():
    """In the workers of Ray Train all ranks find the same, and a worker that is killed ends all."""
    pytest.importorskip("ray.train.lightning")
    here, support = str(Path.cwd()), str(Path(SCRIPT).parent)
    path = environment(PYTHONPATH=os.pathsep.join([support, *sys.path]))
    [(code, output)] = run_all([([sys.executable, f"{support}/ray_script.py", here, "memory"], path)])
    assert code == 0, output[-2000:]
    found = found_by_ranks()
    assert [(one["batch_size"], one["fit"]) for one in found.values()] == [(23, 20)] * 2
    [(code, output)] = run_all([([sys.executable, f"{support}/ray_script.py", here, "killed"], path)])
    assert code != 0
    assert "WorkerGroupError" in output
