"""Frames against a gallery, before any word about them is known: the ways to look.

`ClipLooker` (one-stage) compares windows of every frame, by themselves and joined to clips over time (SGMN).
`TrackletLooker` (two-stage; DPRNet's detect, pick, retrieve, on the tracklets of Fashion Focus) follows the things that
a detector finds, picks the best view of each stretch of a tracklet, and compares that alone; what it finds holds for
the whole stretch. `Examiner` looks at photos.
"""

from shopcue.looking.clips import ClipLooker
from shopcue.looking.comparison import Comparison, Resemblance
from shopcue.looking.examiner import Examiner
from shopcue.looking.looker import Looker, Seen
from shopcue.looking.tracklets import TrackletLooker

__all__ = ["ClipLooker", "Comparison", "Examiner", "Looker", "Resemblance", "Seen", "TrackletLooker"]
