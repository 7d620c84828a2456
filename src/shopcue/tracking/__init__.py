"""Detections over time -> tracklets: which boxes of a stream show one and the same thing."""
