"""Runs a script of this folder in several processes, with the launcher that is wanted."""

import json
import os
import subprocess
import sys
from pathlib import Path

OF_LAUNCHERS = ("LOCAL_RANK", "WORLD_SIZE")


def environment(**more):
    """This process's environment without what launchers set, and with more."""
    return {name: value for name, value in os.environ.items() if name not in OF_LAUNCHERS} | more


def run_all(commands, timeout=280):
    """Run several commands at once, each with an environment of its own; exit codes and what they printed."""
    started = [
        subprocess.Popen(command, env=one, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command, one in commands
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


def found_by_ranks():
    """What the processes of a script wrote, by rank."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(Path().glob("found_*.json"))}


def run(script, *arguments, launcher=(), timeout=280):
    """Run a script in the current folder; what each rank's process found, by rank."""
    command = [sys.executable, *launcher, str(Path(__file__).parent / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return found_by_ranks()
