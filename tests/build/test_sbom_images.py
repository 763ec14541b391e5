"""`ukcc sbom` and `ukcc inspect --sources` of real images, on a system that has dpkg."""

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.validation.xml import XmlValidator
from support.builders import clean_environment
from support.twin import DEADLINE

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this is not Debian")

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
ZLIB = (
    "#include <stdio.h>\nconst char *zlibVersion(void);\nint main(void) { puts(zlibVersion()); }\n"
)

# What makes `image`, and files of it that come from somewhere.
IMAGES = {
    "static": ("uk-gcc -O2 hello.c -o image", {"/init": "init", "/app/image": "program"}),
    "dynamic": (
        "uk-gcc -O2 -no-pie zlib.c -Wl,--no-as-needed -l:libz.so.1 -o image",
        {
            "/app/image": "program",
            "/lib64/ld-linux-x86-64.so.2": "glibc",
            "/usr/lib/libc.so.6": "glibc",
            "/usr/lib/libz.so.1": "zlib1g",
            "/usr/lib/libgcc_s.so.1": "libgcc-s1",
        },
    ),
    "packed": (
        "ukcc pack /bin/bash -o image",
        {"/app/bash": "bash", "/usr/lib/libc.so.6": "glibc"},
    ),
    "files": (
        "UKCC_CONFIG=uk.toml uk-gcc -O2 hello.c -o image",
        {
            "/opt/bash": "bash",
            "/etc/tree/a": "unknown",
            "/etc/tree/changed": "unknown",
            "/usr/share/doc/bash/copyright": "bash",
        },
    ),
}


def run(line: str, where: Path) -> str:
    done = subprocess.run(
        ["bash", "-ec", line],
        cwd=where,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def properties(component: "dict[str, Any]") -> "dict[str, str]":
    return {p["name"].removeprefix("ukcc:"): p["value"] for p in component["properties"]}


@pytest.mark.parametrize("name", IMAGES)
def test_image(tmp_path: Path, name: str) -> None:
    line, origins = IMAGES[name]
    (tmp_path / "hello.c").write_text(HELLO)
    (tmp_path / "zlib.c").write_text(ZLIB)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("mine\n")
    (tmp_path / "tree" / "changed").write_bytes(Path("/bin/bash").read_bytes() + b"\0")
    (tmp_path / "uk.toml").write_text(
        '[files]\n"/etc/tree" = "tree"\n"/opt/bash" = "/bin/bash"\n'
        '"/usr/share/doc/bash/copyright" = "/usr/share/doc/bash/copyright"\n'
    )
    run(line, tmp_path)
    text = run("ukcc sbom image", tmp_path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    xml = run("ukcc sbom --format xml image", tmp_path)
    assert XmlValidator(SchemaVersion.V1_6).validate_str(xml) is None
    parts = {part["bom-ref"]: part for part in json.loads(text)["components"]}
    files = {ref[5:]: properties(part) for ref, part in parts.items() if ref.startswith("file:")}
    for path, origin in origins.items():
        found = files[path].get("package", "")
        assert origin in (found, files[path]["origin"]), path
    assert "/init" in files
    assert "SHA-256" in {one["alg"] for one in parts["file:/init"]["hashes"]}
    for file in files.values():
        if file.get("origin") == "package":
            assert file["package-version"] == _version(file["package"])
            assert parts[file["package-ref"]]["purl"].startswith("pkg:deb/")
    assert parts["linux"]["pedigree"]["patches"]
    assert parts["tool:ukcc@" + run("ukcc --version", tmp_path).split()[-1]]


def _version(package: str) -> str:
    asked = ["dpkg-query", "-W", "-f", "${Version}\\n", package]
    return subprocess.run(asked, capture_output=True, text=True).stdout.split()[0]


def test_sources(tmp_path: Path) -> None:
    run("ukcc pack /bin/bash -o image", tmp_path)
    found = json.loads(run("ukcc inspect image --sources --json", tmp_path))
    linux, glibc, musl, init = found["parts"]
    assert linux["package"].startswith("linux-source-")
    word = shlex.quote(f"{linux['package']}={linux['version']}")
    assert f"apt-get source {word}" in linux["fetch"]
    assert len(linux["sha256"]) == len(linux["config_sha256"]) == 64
    config = Path(linux["config_place"]).read_text()
    assert "CONFIG_UK=y" in config.splitlines()
    assert glibc["package"] == "glibc-source"
    assert "build.sh" in {file["name"] for file in glibc["files"]}
    assert musl["fetch"] == [f"apt-get source musl={musl['version']}"]
    assert "build.sh" in {file["name"] for file in musl["files"]}
    assert "init.c" in {file["name"] for file in init["files"]}
    bash = next(one for one in found["packages"] if one["name"] == "bash")
    assert bash["fetch"] == [f"apt-get source bash={bash['source_version']}"]
    assert found["unknown"] == []


def test_digests_are_those_of_the_files(tmp_path: Path) -> None:
    run("ukcc pack /bin/bash -o image", tmp_path)
    parts = json.loads(run("ukcc sbom image", tmp_path))["components"]
    (bash,) = (part for part in parts if part["name"] == "/app/bash")
    assert (
        bash["hashes"][0]["content"] == hashlib.sha256(Path("/bin/bash").read_bytes()).hexdigest()
    )
