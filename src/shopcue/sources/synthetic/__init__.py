"""A shop and a live show that Shopcue draws itself: for the demo, and for tests that need to know the truth.

`make_shop` writes a feed with packshots of invented goods; `make_stream` writes a video in which a hand shows them,
with gaps and goods that are not for sale, together with what is said, what is written and the true schedule.
"""

from shopcue.sources.synthetic.designs import DESIGNS, Design
from shopcue.sources.synthetic.scene import Scene
from shopcue.sources.synthetic.schedule import Showing
from shopcue.sources.synthetic.shop import make_shop
from shopcue.sources.synthetic.stream import Stream, make_stream

__all__ = ["DESIGNS", "Design", "Scene", "Showing", "Stream", "make_shop", "make_stream"]
