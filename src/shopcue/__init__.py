"""Shopcue finds which product of a shop is on screen in a video or a live stream, and when."""

__version__ = "0.1.0"
