"""Which exceptions mean that memory ran out, on any device or on the host."""

import errno
import gc
import weakref

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.memory.release import quick_release, release_memory

MESSAGES = {
    "CUDA allocator": "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB of "
    "which 12.19 MiB is free. Including non-PyTorch memory, this process has 15.75 GiB memory in use.",
    "CUDA allocator of old": "CUDA out of memory. Tried to allocate 1.50 GiB (GPU 0; 7.79 GiB total capacity; 5.60 GiB "
    "already allocated; 1.02 GiB free; 5.62 GiB reserved in total by PyTorch)",
    "CUDA async allocator": "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
    "Currently allocated     : 14.56 GiB\nRequested               : 1.00 GiB",
    "CUDA driver": "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API "
    "call, so the stacktrace below might be incorrect.",
    "CUDA driver API": "CUDA driver error: out of memory",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN": "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    "cuDNN workspace": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "HIP allocator": "HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.98 GiB of which "
    "1.20 GiB is free.",
    "HIP driver": "HIP error: out of memory\nHIP kernel errors might be asynchronously reported.",
    "hipBLAS": "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "XPU allocator": "XPU out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of 15.91 GiB.",
    "XPU driver": "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "MPS allocator": "MPS backend out of memory (MPS allocated: 17.88 GB, other allocations: 1.20 MB, max allowed: "
    "18.13 GB). Tried to allocate 512.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable it.",
    "MPS single buffer": "Invalid buffer size: 19.45 GB",
    "HPU": "[Rank:0] FATAL ERROR :: MODULE:PT_DEVMEM Allocation failed for size::268435456 (256)MB",
    "Linux": "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
    "macOS": "[enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
    "Windows": "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate "
    "4000000000000 bytes.",
    "C++": "std::bad_alloc",
    "oneDNN": "could not create a primitive",
    "shared memory": "unable to mmap 4096 bytes from file </torch_4242_17_0>: Cannot allocate memory (12)",
    "data loader worker": "DataLoader worker (pid 4242) is killed by signal: Killed. ",
}

OTHERS = {
    "device assertion": RuntimeError(
        "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously"
    ),
    "illegal access": RuntimeError("CUDA error: an illegal memory access was encountered"),
    "shared location": RuntimeError(
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation."
    ),
    "shapes": RuntimeError("mat1 and mat2 shapes cannot be multiplied (16x8 and 9x3); memory has 9 rows"),
    "memory format": RuntimeError("required rank 4 tensor to use channels_last memory format"),
    "no such kernel": RuntimeError("could not create a primitive descriptor for the matmul primitive"),
    "pinning": RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned in memory"),
    "cuDNN at fault": RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
    "segmentation fault": RuntimeError("DataLoader worker (pid 4242) is killed by signal: Segmentation fault. "),
    "user's text": ValueError("the replay buffer is out of memory"),
    "user's type": type("OutOfMemory", (Exception,), {})("out of memory"),
    "key": KeyError("memory"),
    "file": FileNotFoundError(errno.ENOENT, "No such file or directory", "memory.csv"),
    "assertion": AssertionError("out of memory"),
    "interrupt": KeyboardInterrupt(),
    "nothing said": RuntimeError(),
}


class Rows(torch.utils.data.Dataset):
    """Numbers to make batches of."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return i


def too_large(rows):
    """A batch that no machine can hold."""
    return np.empty((10**6, 10**6, 10**3))


def raised_by(function):
    """The exception that a function ends with."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        function()
    return caught.value


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_messages_of_devices_and_systems(message):
    """Older releases raise a plain ``RuntimeError``, so that only its text tells."""
    assert is_out_of_memory(RuntimeError(message))


@pytest.mark.parametrize("error", OTHERS.values(), ids=OTHERS)
def test_other_errors(error):
    """Errors that mention memory but are about something else, and errors of the user's own."""
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("anything"), torch.cuda.OutOfMemoryError(), MemoryError(), MemoryError("anything")],
)
def test_types(error):
    """These types mean it whatever they say."""
    assert is_out_of_memory(error)


def test_fork_without_memory():
    """The system's own error for a process that cannot be started."""
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))


def test_torch_runs_out_of_memory():
    """What torch really raises for a tensor that no machine can hold."""
    assert is_out_of_memory(raised_by(lambda: torch.empty(10**15)))


def test_numpy_runs_out_of_memory():
    """What NumPy really raises for an array that no machine can hold."""
    assert is_out_of_memory(raised_by(lambda: np.empty((10**6, 10**6, 10**3))))


@pytest.mark.parametrize("workers", [0, 1])
def test_batch_that_cannot_be_collated(workers):
    """What comes out of a ``DataLoader`` whose batch is too large, from its worker, too."""
    loader = DataLoader(Rows(), batch_size=2, num_workers=workers, collate_fn=too_large)
    assert is_out_of_memory(raised_by(lambda: next(iter(loader))))


def test_worker_killed_by_the_kernel():
    """A ``DataLoader`` says only in the cause that its worker was killed; any other death is the user's error."""
    error = RuntimeError("DataLoader worker (pid(s) 4711) exited unexpectedly")
    assert not is_out_of_memory(error)
    error.__cause__ = RuntimeError("DataLoader worker (pid 4711) is killed by signal: Segmentation fault. ")
    assert not is_out_of_memory(error)
    error.__cause__ = RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. ")
    assert is_out_of_memory(error)


def test_shapes_that_do_not_fit():
    """What torch really raises for shapes that do not match."""
    assert not is_out_of_memory(raised_by(lambda: torch.ones(2, 3) @ torch.ones(2, 3)))


def test_where_the_user_has_frozen_objects_no_others_are():
    """What is there during a search is garbage like any other afterwards."""

    class Node:
        """Refers to itself."""

    gc.freeze()
    node = Node()
    node.itself, reference = node, weakref.ref(node)
    with quick_release():
        release_memory()
    del node
    gc.collect()
    assert reference() is None


def test_release_without_accelerator():
    """Giving memory back works on any machine, however often."""
    release_memory()
    release_memory()
