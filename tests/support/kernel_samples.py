"""A specialised kernel as the store has it, made byte by byte: nothing that could boot."""

import json
from pathlib import Path

from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC


def made_kernel(where: Path, count: int, *, pages: int = 1, **said: object) -> Path:
    """A specialised kernel of `count` segments, each of `pages` pages but for the last; loaded at
    1 MiB, with the descriptor at the end of the last one."""
    names = [f".uk.kernel.part{n}" for n in range(count - 1)] + [".uk.kernel.data"]
    size = pages << 12
    segments = [
        {"name": name, "flags": 5, "paddr": (1 << 20) + n * size, "offset": n * size,
         "filesz": size if n < count - 1 else 0x80}
        for n, name in enumerate(names)
    ]  # fmt: skip
    at = (count - 1) * size + 0x60
    facts = {
        "release": "6.12.0-uk",
        "source": "6.12.0-1",
        "one_copy": True,
        "config_sha256": "5e" * 32,
        "entry_paddr": 0x100040,
        "end_paddr": 0x123456 + count * size,
        "segments": segments,
        "descriptor": {"offset": at, "size": 32},
        "offers": ["disk", "net"],
        "made": "00112233445566aa",
        **said,
    }
    data = bytearray(b"S" * (at + 32))
    DESCRIPTOR.pack_into(data, at, DESCRIPTOR_MAGIC, 0, 0, 0, 0)
    where.mkdir(parents=True)
    (where / "kernel.bin").write_bytes(data)
    (where / "kernel.json").write_text(json.dumps(facts))
    return where
