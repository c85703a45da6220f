"""What many tests share."""

from real_data import shared_data

__all__ = ["shared_data"]
