"""Real servers of live streams for tests: nginx with RTMP and HLS, GStreamer's RTSP, and ffmpeg that pushes.

Each is a context manager that gives an address and leaves nothing behind; where a program is missing the test skips.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest

from clips import Sound, VideoSpec, numbered_picture, write_video

FPS = 25
_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
_SYSTEM_PYTHON = "/usr/bin/python3"
_RTSP_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f'( filesrc location="{sys.argv[2]}" ! qtdemux name=d '
    "d.video_0 ! queue ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 "
    "d.audio_0 ! queue ! aacparse ! rtpmp4apay name=pay1 pt=97 )"
)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def needs(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: {package})")
    return found


def write_numbered(
    path: Path,
    seconds: float,
    size: tuple[int, int] = (320, 180),
    *,
    first: int = 0,
    sounds: Sequence[Sound] | None = None,
    key_frames_every: int = FPS,
    b_frames: int = 2,
    start_s: float = 0.0,
) -> Path:
    """Write a video whose pictures say their numbers, from `first` on, and whose sound is a tone."""
    spec = VideoSpec(
        tuple(start_s + n / FPS for n in range(round(seconds * FPS))),
        lambda number: numbered_picture(first + number, *size),
        options={"preset": "ultrafast"},
        key_frames_every=key_frames_every,
        b_frames=b_frames,
        rate_hz=FPS,
    )
    with av.open(str(path), "w") as container:
        write_video(container, spec, [Sound(start_s, seconds)] if sounds is None else sounds)
    return path


@contextmanager
def running(command: Sequence[str], ready: Callable[[], bool] = lambda: True) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, wait until it is ready, and kill it in the end."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline_s = time.monotonic() + 15
        while not ready():
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline_s, f"{command[0]} is not ready"
            time.sleep(0.05)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 with all its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Nginx:
    """An nginx with RTMP and HLS on ports of its own; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._program = needs("nginx", "nginx")
        if not _RTMP_MODULE.exists():
            pytest.skip("nginx has no RTMP (Debian: libnginx-mod-rtmp)")
        folder.mkdir()
        self._folder = folder
        self._rtmp, self._http = free_port(), free_port()
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user} daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;"
            f"load_module {_RTMP_MODULE}; events {{ worker_connections 64; }}"
            f"rtmp {{ server {{ listen 127.0.0.1:{self._rtmp}; application live {{ live on; wait_key on; wait_video on;"
            f" hls on; hls_path {folder}/hls; hls_fragment 1s; hls_playlist_length 8s; }} }} }}"
            f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{self._http};"
            f" location / {{ root {folder}; types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }} }} }} }}"
        )

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it."""
        command = [self._program, "-c", str(self._folder / "nginx.conf"), "-p", str(self._folder)]
        with running(command, lambda: listening(self._rtmp) and listening(self._http)) as process:
            yield process

    def rtmp(self, name: str) -> str:
        return f"rtmp://127.0.0.1:{self._rtmp}/live/{name}"

    def hls(self, name: str) -> str:
        return f"http://127.0.0.1:{self._http}/hls/{name}.m3u8"

    def has_hls(self, name: str) -> bool:
        return (self._folder / "hls" / f"{name}.m3u8").exists()


@contextmanager
def pushed(
    video: Path, url: str, form: str, *, loop: bool = False, from_s: float = 0.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Push a video to an address, in its own time, as it is, from the last key frame before from_s on."""
    ffmpeg = needs("ffmpeg", "ffmpeg")
    again = ["-stream_loop", "-1"] if loop else []
    begin = ["-ss", str(from_s)] if from_s else []
    source = ["-re", *again, *begin, "-i", str(video)]
    with running([ffmpeg, "-loglevel", "quiet", *source, "-c", "copy", "-f", form, url]) as it:
        yield it


@contextmanager
def rtsp_server(video: Path) -> Iterator[str]:
    """Serve an MP4 by RTSP, from its start to whoever connects."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if (
        not Path(_SYSTEM_PYTHON).exists()
        or subprocess.run([_SYSTEM_PYTHON, "-c", check], capture_output=True).returncode
    ):
        pytest.skip("GStreamer has no RTSP server (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi)")
    port = free_port()
    with running([_SYSTEM_PYTHON, "-c", _RTSP_SERVER, str(port), str(video)], lambda: listening(port)):
        yield f"rtsp://127.0.0.1:{port}/live"


# ---- servers of our own, for what a real one would not do ------------------------------------------------------------


@dataclass
class Site:
    """A web server of this machine that answers with what it is given.

    pages: path -> bytes; a callable, which writes its answer to the handler by itself. asked: the paths so far, with
    the login that came along.
    """

    address: str
    pages: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]]
    asked: list[tuple[str, str]]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@contextmanager
def site() -> Iterator[Site]:
    """Run a web server whose pages the test gives."""
    result = Site("", {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            result.asked.append((path, self.headers.get("Authorization", "")))
            page = result.pages.get(path)
            with suppress(OSError):
                if page is None:
                    self.send_error(404)
                elif callable(page):
                    page(self)
                else:
                    self._send(page)

        def _send(self, page: bytes) -> None:
            wanted = self.headers.get("Range", "")
            start, _, end = wanted.removeprefix("bytes=").partition("-") if wanted else ("0", "", "")
            part = page[int(start) : int(end) + 1 if end else None]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    result.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield result
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def speaker(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server of raw connections, each of which `say` answers; gives its port."""
    door = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection = door.accept()[0]
                taken.append(connection)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            say(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        door.shutdown(socket.SHUT_RDWR)
        thread.join()
        door.close()
        for connection in taken:
            connection.close()
