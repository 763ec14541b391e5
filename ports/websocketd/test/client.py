"""Clients of websocketd at once (RFC 6455): PORT COUNT. Each sends numbers and checks squares."""

import base64
import hashlib
import os
import socket
import struct
import sys
import threading

PORT, COUNT = map(int, sys.argv[1:])
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
right: list[int] = []


def talk(client: int) -> None:
    with socket.create_connection(("127.0.0.1", PORT), 120) as connection:
        stream = connection.makefile("rwb")
        key = base64.b64encode(os.urandom(16))
        stream.write(
            b"GET / HTTP/1.1\r\nHost: guest\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        stream.flush()
        assert b"101" in stream.readline()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b"\r\nSec-WebSocket-Accept: " + accept in b"\r\n" + head, head

        def receive() -> bytes:
            first, length = stream.read(2)
            assert first == 0x81, first
            return stream.read(length)

        assert receive() == b"hello"
        for n in range(client, 200, COUNT):
            text, mask = b"%d" % n, os.urandom(4)
            masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
            stream.write(struct.pack("BB", 0x81, 0x80 | len(text)) + mask + masked)
            stream.flush()
            assert receive() == b"%d %d" % (n, n * n)
            right.append(n)


threads = [threading.Thread(target=talk, args=(client,)) for client in range(COUNT)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(right) == list(range(200)), len(right)
