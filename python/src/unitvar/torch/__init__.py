"""unitvar for torch."""

from ._communicator import Communicator
from .sync import SyncBatchNorm

__all__ = ["Communicator", "SyncBatchNorm"]
