"""What the HLS demuxer opens, opened by us: see `web`."""

from __future__ import annotations

import io
from typing import Protocol

import av
from av.container import InputContainer

from shopcue.errors import MediaError, UnsafeAddress
from shopcue.sources.live.addresses import without_secrets
from shopcue.sources.live.web import MAX_PLAYLIST, Body, Web, is_playlist, prepared, target_duration_s

_FORMATS = "hls,mpegts,mov,mp4,aac,mp3,ac3,eac3,flv,webvtt"
# All that it opens comes through `_Opener`: its own connections, and its own rules about them, are not for us.
_OPTIONS = {
    "http_persistent": "0",
    "http_multiple": "0",
    "http_seekable": "0",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
    "extension_picky": "0",
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "http,https,crypto",
}
_LONGEST_SILENCE_S = 60.0
_BLOCK = 16  # bytes, of AES


class Readable(Protocol):
    """What the demuxer reads."""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Hls:
    """Opens an HLS stream. patience_s: how long its segments say that it may be silent."""

    def __init__(self, web: Web, name: str, max_side_px: int) -> None:
        self.patience_s = 0.0
        self._web, self._name, self._max_side_px = web, name, max_side_px
        self._first: tuple[str, bytes] | None = None

    def open(self, playlist: Body, timeout_s: float, options: dict[str, str]) -> InputContainer:
        """Return the container of the stream whose playlist has just been opened."""
        self._first = (playlist.url, self._prepare(playlist))
        return av.open(
            playlist.url,
            format="hls",
            io_open=self._open,
            container_options=_OPTIONS | options,
            timeout=(timeout_s, max(timeout_s, _LONGEST_SILENCE_S)),
            metadata_errors="replace",
        )

    def _open(self, url: str, flags: int, options: dict[str, str]) -> Readable:
        """Open what the demuxer asks for: the signature is PyAV's."""
        if flags & 2:
            raise UnsafeAddress(f"{self._name} asks to write, expected a stream that is read")
        if self._first is not None and self._first[0] == url:
            (_, text), self._first = self._first, None
            return io.BytesIO(text)
        encrypted = url.startswith(("crypto+", "crypto:"))
        place = url.removeprefix("crypto+").removeprefix("crypto:")
        if not place.startswith(("http://", "https://")):
            raise UnsafeAddress(f"{self._name} leads to {without_secrets(place)}, expected http or https")
        end = int(options.get("end_offset", 0)) or None
        body = self._web.get_patiently(place, int(options.get("offset", 0)), end)
        if body is None:
            return io.BytesIO()  # a segment that is gone is a gap
        if is_playlist(body.peek(10)):
            return io.BytesIO(self._prepare(body))
        return _Decrypted(body, options) if encrypted else body

    def _prepare(self, playlist: Body) -> bytes:
        content = b""
        while len(content) <= MAX_PLAYLIST and (chunk := playlist.read(1 << 16)):
            content += chunk
        playlist.close()
        if len(content) > MAX_PLAYLIST:
            raise MediaError(
                f"{self._name} has a playlist of more than {MAX_PLAYLIST >> 20} MB, expected a shorter one"
            )
        text = content.decode("utf-8", "replace")
        self.patience_s = min(3 * target_duration_s(text), _LONGEST_SILENCE_S)
        return prepared(text, playlist.url, self._max_side_px).encode()


class _Decrypted:
    """A segment in the clear: AES-128 in CBC mode with padding (RFC 8216, 4.3.2.4)."""

    def __init__(self, body: Body, options: dict[str, str]) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        except ImportError:
            raise MediaError(
                "the stream is encrypted, which needs a package more; install `cryptography` beside shopcue"
            ) from None
        key, start = bytes.fromhex(options.get("key", "")), bytes.fromhex(options.get("iv", ""))
        self._body = body
        self._decryptor = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
        self._held = b""  # in the clear; its last block may be padding until the end is known
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end."""
        while not self._ended and len(self._held) < size + _BLOCK:
            chunk = self._body.read(1 << 15)
            self._held += self._decryptor.update(chunk)
            if not chunk:
                self._ended = True
                self._held = self._held[: -self._held[-1]] if self._held else b""
        cut = min(size, len(self._held) - (0 if self._ended else _BLOCK))
        out, self._held = self._held[:cut], self._held[cut:]
        return out

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()
