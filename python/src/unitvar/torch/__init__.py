"""unitvar's normalizations for PyTorch tensors on the CPU."""
from ._batch_norm import *
