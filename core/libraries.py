"""What a process that will use torch and its libraries sets before it imports them."""

from __future__ import annotations

import os
import sys

ENVIRONMENT = {
    # OpenMP's threads spin while they wait; beside any other busy process that cost nine tenths of the speed
    "OMP_WAIT_POLICY": "passive",
    "USE_HUB_KERNELS": "NO",  # code of strangers
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as the driver numbers cards, whose free memory is asked of it
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",  # bars belong on terminals, not in logs
}


def prepare_libraries() -> None:
    """Set what is not set already, and shut the door to kernels from the Hub.

    With the package `kernels` installed bitsandbytes would fetch and run code of theirs as it is imported, whatever
    the variable above says: where it cannot be imported, that is not tried.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.modules["kernels"] = None  # type: ignore[assignment]
