"""SGMN: clips of a live stream and pictures of a shop as vectors that meet, and what teaches them to.

`alignment` is the network in use (GRA, eq. 1-5 and 23 of the paper); `graphs` (GCI, eq. 6-16) and `fusion` (SMF,
eq. 17-21) teach it and are thrown away; `network` puts them together (eq. 22). Where the paper is silent or contradicts
itself, the docstring at that place says what was decided.
"""
