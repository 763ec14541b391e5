"""One event loop, with all that it can wait for."""

import asyncio
import signal
import sys

CLIENTS = 200


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def ask(port: int, n: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(n % 7 / 100)
    writer.write(b"%d\n" % n)
    answer = int(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def main() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(ask(port, n + 1) for n in range(CLIENTS)))
    print(len(answers), "echoes,", sum(answers))

    words = [sys.executable, "-c", "import sys; print(input() + ' and', flush=True); sys.exit(3)"]
    child = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate(b"42\n")
    print(said.decode().strip(), child.returncode)

    caught: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGUSR1, signal.SIGCHLD):
        loop.add_signal_handler(number, caught.put_nowait, number.name)
    signal.raise_signal(signal.SIGUSR1)
    first = await caught.get()
    signal.raise_signal(signal.SIGCHLD)
    print(first, await asyncio.wait_for(caught.get(), 10))


asyncio.run(main())
