"""The guest agent's image, built by uk-gcc from tests/conformance/agent/."""

from pathlib import Path

from ukcc import proc

SOURCES = Path(__file__).with_name("agent")


def build(image: Path, log: Path) -> Path:
    """Builds the image; returns it. Raises ProgramFailed."""
    image.parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    command = [str(proc.own_tool("uk-gcc")), "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    proc.run(proc.isolated([*command, *sources, "-o", str(image)]), log=log)
    return image
