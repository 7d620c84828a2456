"""Frames against a gallery, before any word about them is known: the ways to look.

`WindowLooker` (one-stage) compares windows of every frame. `TrackletLooker` (two-stage; DPRNet's detect, pick,
retrieve, on the tracklets of Fashion Focus) follows the things that a detector finds, picks the best view of each
stretch of a tracklet, and compares that alone; what it finds holds for the whole stretch. `Examiner` looks at photos.
"""

from shopcue.looking.comparison import Comparison
from shopcue.looking.examiner import Examiner
from shopcue.looking.looker import Looker, Seen
from shopcue.looking.tracklets import TrackletLooker
from shopcue.looking.windows import WindowLooker

__all__ = ["Comparison", "Examiner", "Looker", "Seen", "TrackletLooker", "WindowLooker"]
