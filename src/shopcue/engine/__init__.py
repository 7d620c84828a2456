"""Many live streams at once, each a `Session` that is stepped as frames come, and its focuses told as news.

`Engine` holds what the streams share: the networks, which answer them in batches, the turns at the processor, and one
pair of ears. `Stream` is one of them: a thread that reads and a thread that looks, with a short queue in between.
"""

from shopcue.engine.engine import Engine
from shopcue.engine.stream import Counts, Shop, Sink, Stream
from shopcue.engine.waiting import State

__all__ = ["Counts", "Engine", "Shop", "Sink", "State", "Stream"]
