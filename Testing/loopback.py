"""A web server on this machine for tests of downloads: a few requests, and it can break, ignore ranges or redirect."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

MOST_REQUESTS = 20
TIMEOUT_S = 10


@dataclass
class Site:
    """What is served under every path, and how.

    Parameters
    ----------
    content:
        The file.
    break_after:
        Bytes after which each connection of the list breaks off, one entry for each request; then none does.
    ranges:
        Whether the server resumes.
    redirect:
        Where to send everybody.
    announced:
        A Content-Length other than the true one; "" leaves it out.
    requests:
        The Range header of each request.
    """

    content: bytes
    break_after: list[int] = field(default_factory=list)
    ranges: bool = True
    redirect: str = ""
    announced: str | None = None
    requests: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve a site on a free port of 127.0.0.1; its ``address`` says where."""

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S

        def do_GET(self) -> None:
            site.requests.append(self.headers.get("Range", ""))
            if len(site.requests) > MOST_REQUESTS or self.path.startswith("/gone"):
                return self.send_error(404)
            if site.redirect:
                self.send_response(302)
                self.send_header("Location", site.redirect)
                return self.end_headers()
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if site.ranges else None
            start = int(match[1]) if match else 0
            if match and start >= len(site.content):
                return self.send_error(416)
            self.send_response(206 if match else 200)
            body = site.content[start:]
            announced = str(len(body)) if site.announced is None else site.announced
            if announced:
                self.send_header("Content-Length", announced)
            self.end_headers()
            self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)
            return None

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up, as one that is cancelled does, is no fault."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}/model.zip"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(TIMEOUT_S)
