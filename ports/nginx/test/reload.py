"""Asks without a pause while a command changes the server: every request must be answered.

reload.py PORT COMMAND
"""

import http.client
import subprocess
import sys
import threading
import time

CLIENTS = 4
BEFORE, AFTER, LIMIT = 100, 200, 120.0  # answers of the old, of the new; seconds


class Client(threading.Thread):
    """Asks over a fresh connection each time: one that idles may be closed by any server."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.answers, self.failure = port, [], ""

    def run(self) -> None:
        try:
            while not stop.is_set():
                self.answers.append(self.ask())
        except (OSError, http.client.HTTPException) as error:
            self.failure = repr(error)

    def ask(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/generation", headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise http.client.HTTPException(f"status {answer.status}")
        return answer.read().decode()


def of(word: str) -> int:
    return sum(word in answer for client in clients for answer in client.answers)


def wait_for(word: str, count: int) -> None:
    deadline = time.monotonic() + LIMIT
    while of(word) < count:
        if any(client.failure for client in clients) or time.monotonic() > deadline:
            break
        time.sleep(0.1)


stop = threading.Event()
port, command = int(sys.argv[1]), sys.argv[2]
clients = [Client(port) for _ in range(CLIENTS)]
for client in clients:
    client.start()
wait_for("one", BEFORE)
subprocess.run(command, shell=True, check=True)
wait_for("two", AFTER)
stop.set()
for client in clients:
    client.join()
workers = {answer for client in clients for answer in client.answers}
print(f"{of('one')} before, {of('two')} after, by {len(workers)} workers")
failures = [client.failure for client in clients if client.failure]
if failures or of("one") < BEFORE or of("two") < AFTER or len(workers) < 2:
    sys.exit(f"dropped: {failures}")
