"""The detector's network in torch (needs the `train` extra)."""

from .config import SIZES, ModelConfig
from .network import Sanderling

__all__ = ["SIZES", "ModelConfig", "Sanderling"]
