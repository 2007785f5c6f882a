"""The fusion methods to compare: CrossFuse's networks, single modalities, arithmetic ones, folders of fused images."""

from fusion.methods.base import Fused, LumaMethod, Method
from fusion.methods.registry import METHODS, make_method

__all__ = ["METHODS", "Fused", "LumaMethod", "Method", "make_method"]
