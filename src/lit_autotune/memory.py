"""What is an out-of-memory error, and how to get the memory back."""

import gc

OUT_OF_MEMORY = (
    "out of memory",  # CUDA, ROCm, XPU, HPU and MPS allocators and drivers
    "cublas_status_alloc_failed",
    "hipblas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cudnn error: cudnn_status_not_supported",  # cuDNN finds no workspace
    "defaultcpuallocator: can't allocate memory",  # Linux and macOS
    "defaultcpuallocator: not enough memory",  # Windows
    "std::bad_alloc",
    "cannot allocate memory",
    "could not create a primitive",  # oneDNN on a CPU
    "is killed by signal: killed",  # a DataLoader worker ended by the kernel
)
"""Parts of the messages of ``RuntimeError`` and ``OSError`` that mean so, in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on any device or on the host.

    Types come first: ``torch.OutOfMemoryError`` and ``MemoryError`` (NumPy's is one). Only errors of the kinds that
    allocators raise are judged by their message, so that a ``ValueError`` about "memory" is the user's.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError | OSError):
        return False
    message = str(error).lower()
    return any(part in message for part in OUT_OF_MEMORY)


def release_memory() -> None:
    """Give memory that nothing refers to back to the device. Call it outside of any ``except`` block.

    Inside one the traceback still holds the frames of the failed step, and with them its tensors.
    """
    import torch

    gc.collect()
    for accelerator in (torch.cuda, torch.xpu, torch.mps):
        if accelerator is torch.mps and not torch.backends.mps.is_available():
            continue
        if accelerator is torch.mps or accelerator.is_available():
            accelerator.empty_cache()
