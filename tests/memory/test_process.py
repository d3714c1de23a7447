"""What the system says of processes."""

import subprocess
import sys

import pytest

from lit_autotune.memory.process import available, cpu_seconds, read_status, resident

MIB = 2**20


def test_resident_memory_of_this_process():
    """It grows by what is touched."""
    before = resident()
    held = bytearray(64 * MIB)
    held[::4096] = b"x" * len(held[::4096])
    assert 60 * MIB <= resident() - before <= 80 * MIB


@pytest.mark.slow
def test_another_process_and_its_children():
    """What they have computed counts; of one that has ended nothing is known."""
    grandchild = "while True: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.DEVNULL)
    try:
        while cpu_seconds(process.pid) < 1:
            assert process.poll() is None
        assert resident(process.pid) > MIB
    finally:
        subprocess.run(["pkill", "-P", str(process.pid)], check=False)
        process.kill()
        process.wait()
    assert (resident(process.pid), cpu_seconds(process.pid)) == (0, 0)


def test_what_can_still_be_taken():
    """Some, and less than there is."""
    assert 0 < available() < 2**50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_names_of_linux():
    """The high-water mark is at least what is resident; of a process that is not there is nothing."""
    status = read_status()
    assert status["VmHWM"] >= status["VmRSS"] >= status["RssFile"]
    assert read_status(2**30) == {}
