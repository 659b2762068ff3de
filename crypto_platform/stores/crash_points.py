"""The stores' name for crypto_platform.crash_points: where a test can kill a commit."""

from crypto_platform.crash_points import arm, reach

__all__ = ["arm", "reach"]
