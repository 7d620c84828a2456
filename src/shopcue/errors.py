"""The errors that a user can meet, one short tree.

Every message is one line and says what came, what was expected and what to do. The command line prints a
`ShopcueError` after `error: ` and exits with 2; anything else is a fault of ours and exits with 1.
"""


class ShopcueError(Exception):
    """Something that the caller gave cannot be used; the base of all errors that Shopcue raises on purpose."""

    def __init__(self, message: str) -> None:
        # Paths and feed cells are hostile: a newline inside one must not break the one-line promise.
        super().__init__(" ".join(message.split()))


class MediaError(ShopcueError):
    """A video, stream or picture is missing, empty, damaged or holds no pictures."""


class FeedError(ShopcueError):
    """A product feed is missing, malformed, or leaves no usable product."""


class UnsafeAddress(FeedError):
    """A path leaves its folder, or a link points to a private or loopback address."""


class StoreError(ShopcueError):
    """A catalogue store cannot be opened, read or written, or holds no such shop."""


class StoreUnavailable(StoreError):
    """A store does not answer, or holds what cannot be read."""


class SubtitleError(ShopcueError):
    """A VTT or SRT file cannot be read."""


class CommentError(ShopcueError):
    """A file of comments cannot be read."""


class SettingsError(ShopcueError):
    """A configuration holds an unknown key or a value out of range."""


class WeightsError(ShopcueError):
    """Model weights are missing, damaged, or not those that a store was built with."""


class OutputError(ShopcueError):
    """Results cannot be written where they were asked for."""


class RecordError(ShopcueError):
    """A record was given values that it does not allow."""


class ScoreError(ShopcueError):
    """A prediction or a truth cannot be scored."""


class StateError(ShopcueError):
    """The database cannot be opened, or was asked for something that it does not allow."""


class Unavailable(StateError):
    """The database does not answer, or others write to it for too long."""


class Missing(StateError):
    """Nothing has the id that was given."""


class Conflict(StateError):
    """What was asked for does not fit the state that a thing is in."""


class Stale(Conflict):
    """Somebody else changed a thing since it was read."""
