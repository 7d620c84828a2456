"""What the live streams of a process share, and the streams themselves by name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from shopcue.engine.batching import BatchedDetector, BatchedEncoder
from shopcue.engine.hearing import Ears
from shopcue.engine.stream import Counts, Shop, Sink, Stream
from shopcue.engine.waiting import Full
from shopcue.listening import Listener
from shopcue.methods import Method
from shopcue.records import Focus
from shopcue.sources.live import Source
from shopcue.sources.recorder import Recorder
from shopcue.trace import TraceFiles


class Engine:
    """Runs live streams: starts and stops each while the others go on.

    method: its networks are shared by all streams, in batches. listener: makes what listens to the speech of a stream
    of that name; None goes without speech. cores: so many streams are looked at at a time, the machine's where None.
    """

    def __init__(
        self, method: Method, *, listener: Callable[[str], Listener] | None = None, cores: int | None = None
    ) -> None:
        self._detector, self._encoder = BatchedDetector(method.detector), BatchedEncoder(method.encoder)
        self.method = method.sharing(self._detector, self._encoder)
        self._ears = Ears(listener) if listener is not None else None
        self._turns = threading.BoundedSemaphore(cores or os.cpu_count() or 1)
        self._streams: dict[str, Stream] = {}

    def start(
        self,
        name: str,
        source: Source,
        shop: Shop,
        sink: Sink,
        *,
        trace: TraceFiles | None = None,
        recorder: Recorder | None = None,
        first_s: float = 0.0,
        full: Full = "drop",
        resumed: tuple[Focus, ...] = (),
        sound: bool = True,
    ) -> Stream:
        """Start a stream; see `Stream`. sound: whether it is listened to, where this engine has ears."""
        ears = self._ears if sound else None
        stream = Stream(
            name,
            source,
            shop,
            self.method,
            sink,
            turns=self._turns,
            ears=ears,
            trace=trace,
            recorder=recorder,
            first_s=first_s,
            full=full,
            resumed=resumed,
        )
        self._streams[name] = stream
        stream.start()
        return stream

    def stop(self, name: str, patience_s: float = 10.0) -> None:
        """End a stream, and wait until its last news is told, or patience_s; one that is not there has ended."""
        if (stream := self._streams.pop(name, None)) is not None:
            stream.stop(patience_s)

    @property
    def counts(self) -> dict[str, Counts]:
        """What each stream has done so far."""
        return {name: stream.counts for name, stream in self._streams.items()}

    def close(self) -> None:
        """End all streams, then what they share."""
        for stream in self._streams.values():
            stream.halt()
        for name in list(self._streams):
            self.stop(name)
        if self._ears is not None:
            self._ears.close()
        self._detector.batcher.close()
        self._encoder.batcher.close()
