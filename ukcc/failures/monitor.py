"""Asks QEMU's monitor (QMP) what the CPUs of a machine are at whose kernel does not answer.

Collected as data, since the machine ends soon; ukcc/failures/stuck.py makes sense of it.
"""

import asyncio
import base64
import json
import socket
from typing import Any

from qemu.qmp import QMPClient

from ukcc.failures.core import Memory
from ukcc.failures.cpus import parse_registers, parse_words
from ukcc.failures.kernel import KERNEL_MAP, KERNEL_STACK, LOW_END, entry_frame
from ukcc.qmp import BROKEN, conversation

_PATIENCE = 10.0  # seconds for all of it
_PAGE = 4096
_STACK_PAGES = 16
_CODE_PAGES = 64  # of the application, to find out which file is mapped where
_LOWEST = 65536


def ask_monitor(channel: socket.socket) -> bytes:
    """Stops the machine and asks; JSON for `unpack`, or nothing where QEMU does not answer."""
    try:
        cpus = asyncio.run(asyncio.wait_for(_ask(channel), _PATIENCE))
    except (*BROKEN, asyncio.TimeoutError, KeyError):  # the last: registers of another QEMU
        return b""
    return json.dumps(cpus).encode()


async def _ask(channel: socket.socket) -> "list[dict[str, Any]]":
    async with conversation(channel) as client:
        await client.execute("stop")
        cpus = await client.execute("query-cpus-fast")
        assert isinstance(cpus, list)
        return [await _cpu(client, cpu["cpu-index"]) for cpu in cpus]


async def _cpu(client: QMPClient, index: int) -> "dict[str, Any]":
    arguments = {"command-line": "info registers", "cpu-index": index}
    registers = parse_registers(str(await client.execute("human-monitor-command", arguments)))
    rip, rsp = registers["rip"], registers["rsp"]
    if registers["narrow"]:  # neither the application nor what the kernel's symbols are of
        return {"registers": registers, "pages": {}}
    pages: dict[int, bytes] = {}
    reader = _Reader(client, index, pages)
    await reader.stack(rsp)
    inner = entry_frame(Memory(list(pages.items())), rsp)
    if rsp >= LOW_END and inner is not None:
        await reader.stack(inner["rsp"])
        await reader.code(inner["rip"])
    await reader.code(rip)
    joined = _joined(pages)
    encoded = {at: base64.b64encode(data).decode() for at, data in joined.items()}
    return {"registers": registers, "pages": encoded}


class _Reader:
    """Pages of memory as a CPU sees them, into a dictionary by their address."""

    def __init__(self, client: QMPClient, index: int, pages: "dict[int, bytes]") -> None:
        self._client, self._index, self._pages = client, index, pages

    async def page(self, address: int) -> bool:
        """Reads one; False where none is mapped."""
        if address in self._pages:
            return True
        page = await self._words(f"x /{_PAGE // 8}xg {address:#x}")
        if len(page) != _PAGE and address >= KERNEL_MAP:
            # a reset may go by page tables that have no kernel
            page = await self._words(f"xp /{_PAGE // 8}xg {address - KERNEL_MAP:#x}")
        if len(page) != _PAGE:
            return False
        self._pages[address] = page
        return True

    async def _words(self, line: str) -> bytes:
        # not `memsave`: QEMU may be confined, and then has no file to write
        arguments = {"command-line": line, "cpu-index": self._index}
        return parse_words(str(await self._client.execute("human-monitor-command", arguments)))

    async def stack(self, sp: int) -> None:
        """From a stack pointer on, as far as there is memory; a kernel's ends at its alignment."""
        at = sp & -_PAGE
        end = at + _STACK_PAGES * _PAGE
        if sp >= LOW_END:
            end = min(end, -(-(sp + 1) // KERNEL_STACK) * KERNEL_STACK)
        while at < end and await self.page(at):
            at += _PAGE

    async def code(self, rip: int) -> None:
        """The pages to which words on the stack may return."""
        words = [rip]
        for page in list(self._pages.values()):
            words += memoryview(page).cast("Q").tolist()
        wanted = dict.fromkeys(w & -_PAGE for w in words if _LOWEST <= w < LOW_END)
        for address in list(wanted)[:_CODE_PAGES]:
            await self.page(address)


def _joined(pages: "dict[int, bytes]") -> "dict[int, bytes]":
    """Neighbours in one stretch."""
    joined: dict[int, bytes] = {}
    last = 0
    for address in sorted(pages):
        if joined and last + len(joined[last]) == address:
            joined[last] += pages[address]
        else:
            joined[address], last = pages[address], address
    return joined
