"""An HTTPS server for curl: CERTIFICATE KEY DATA; says its port."""

import hashlib
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

certificate, key, data = sys.argv[1:]
DATA = Path(data).read_bytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.answer(302, b"", Location="/data")
        elif self.path != "/data":
            self.answer(404, b"")
        elif asked := self.headers["Range"]:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            span = f"bytes {first}-{last}/{len(DATA)}"
            self.answer(206, DATA[first : last + 1], Content_Range=span)
        else:
            self.answer(200, DATA)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, f"{hashlib.sha256(body).hexdigest()}\n".encode())

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
