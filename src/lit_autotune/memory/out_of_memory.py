"""What is an out-of-memory error, and how to get the memory back."""

import re

OUT_OF_MEMORY = re.compile(
    "|".join(
        (
            "out of memory",  # CUDA, ROCm, XPU and MPS allocators and drivers
            "cublas_status_alloc_failed",
            "hipblas_status_alloc_failed",
            "cudnn_status_alloc_failed",
            r"cudnn error: cudnn_status_not_supported\.",  # cuDNN finds no workspace
            "out_of_(device|host)_memory",  # XPU: level zero
            "pt_devmem.*allocation failed",  # HPU
            "invalid buffer size",  # MPS: one buffer beyond what Metal allows
            "defaultcpuallocator: (can't allocate|not enough) memory",  # Linux and macOS; Windows
            "std::bad_alloc",
            "cannot allocate memory",
            "could not create a primitive(?! descriptor)",  # oneDNN on a CPU; a descriptor fails for other reasons
            "canuse32bitindexmath|32-bit index|int_max elements",  # a tensor of 2^31 elements: only fewer samples help
            "caught _?(array)?memoryerror",  # in a DataLoader worker, whose error types get lost
            "is killed by signal: killed",  # a DataLoader worker ended by the kernel
        )
    )
)
"""Messages of ``RuntimeError`` and ``OSError`` that mean so, in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on any device or on the host.

    Types come first: ``torch.OutOfMemoryError`` and ``MemoryError`` (NumPy's is one). Only errors of the kinds that
    allocators raise are judged by their message, so that a ``ValueError`` about "memory" is the user's. The error
    that caused a ``RuntimeError`` counts, too: there a DataLoader says how its worker died.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError | OSError):
        return False
    if OUT_OF_MEMORY.search(str(error).lower()):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
