"""`ukcc sbom` and `ukcc inspect --sources`: what is proved is said, all else is unknown."""

import hashlib
import json
import os
import stat
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.validation.xml import XmlValidator
from support.image_samples import make_sysroot, program

from ukcc import __version__
from ukcc.cli.inspect import command as inspect_command
from ukcc.cli.sbom import command as sbom_command
from ukcc.errors import NotAnImage, UkccError
from ukcc.image import cpio
from ukcc.image.pack import pack_image, pack_thin
from ukcc.sbom.contents import read_contents
from ukcc.sbom.dpkg import Database, FileQuery
from ukcc.sbom.sources import read_sources
from ukcc.sbom.tools_named import named_tools

ID = "0123456789abcdef"
CODE = b"\x7fELF" + b"a library's code" * 9
PATCH = "0001-init-unpack-an-archive-that-is-appended-to-the-kerne.patch"

PACKAGES = {
    "libfoo1": {"Version": "1:2.0-3+b1", "Multi-Arch": "same", "Source": "foo (1:2.0-3)"},
    "bar": {"Version": "4.5"},
    "twin": {"Version": "1"},
}
FILES: "dict[str, dict[str, bytes]]" = {
    "libfoo1": {"usr/lib/x86_64-linux-gnu/libfoo.so.1.2": CODE},
    "bar": {"usr/share/bar/data": b"bar's data", "usr/share/bar/empty": b"", "lib/same": b"same"},
    "twin": {"usr/share/twin/same": b"same"},
}
CONFFILE = b"configuration of bar\n"
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-2+

Files: x
Copyright: somebody
License: Expat

Files: y
Copyright: somebody
License: odd\x01 words
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system with three packages installed, and one that is removed."""
    where = tmp_path / "root"
    info = where / "var" / "lib" / "dpkg" / "info"
    info.mkdir(parents=True)
    stanzas = []
    for name, fields in PACKAGES.items():
        more = "".join(f"{key}: {value}\n" for key, value in fields.items())
        conffiles = f"Conffiles:\n /etc/bar.conf {md5(CONFFILE)}\n" if name == "bar" else ""
        stanzas.append(
            f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{more}{conffiles}"
        )
        key = f"{name}:amd64" if "Multi-Arch" in fields else name
        sums = "".join(f"{md5(data)}  {path}\n" for path, data in FILES[name].items())
        (info / f"{key}.md5sums").write_text(sums)
        listed = "".join(f"/{path}\n" for path in FILES[name])
        (info / f"{key}.list").write_text(listed + "/usr/lib/x86_64-linux-gnu/libfoo.so.1\n")
    stanzas.append("Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\n")
    (info / "gone.md5sums").write_text(f"{md5(b'gone')}  usr/share/gone\n")
    (info.parent / "status").write_text("\n".join(stanzas))
    (where / "etc").mkdir()
    (where / "etc" / "os-release").write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    doc = where / "usr" / "share" / "doc" / "libfoo1"
    doc.mkdir(parents=True)
    (doc / "copyright").write_text(COPYRIGHT)
    monkeypatch.setenv("DPKG_ADMINDIR", str(info.parent))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return where


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def sysroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("UKCC_SYSROOT", raising=False)
    return make_sysroot(tmp_path / "home" / "sysroots" / ID)


def record(sysroot: Path, **inputs: Any) -> None:
    """Other `inputs` in the sysroot's record."""
    path = sysroot / "sysroot.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "inputs": {**facts["inputs"], **inputs}}))


MEMBERS = {
    "/usr/lib/libfoo.so.1": CODE,  # under its soname
    "/opt/renamed": CODE,  # code tells by itself
    "/opt/libfoo.so.1": CODE + b"\0",  # changed
    "/usr/share/bar/data": b"bar's data",
    "/srv/data": b"bar's data",  # the same name elsewhere
    "/srv/other": b"bar's data",  # the same bytes by another name
    "/usr/share/bar/empty": b"",
    "/srv/empty": b"",
    "/usr/share/twin/same": b"same",
    "/usr/lib/same": b"same",  # /lib is /usr/lib
    "/srv/same": b"same",
    "/etc/bar.conf": CONFFILE,
    "/usr/share/gone": b"gone",
    "/etc/own.conf": b"mine",
}


def make_image(
    where: Path,
    sysroot: Path,
    files: "Mapping[str, bytes] | list[cpio.Entry]" = MEMBERS,
    **more: Any,
) -> Path:
    (where / "linked").write_bytes(program())
    entries = (
        [cpio.regular(path, data) for path, data in files.items()]
        if isinstance(files, Mapping)
        else files
    )
    pack_image(
        str(where / "linked"),
        str(where / "image"),
        sysroot=str(sysroot),
        link_command=["uk-gcc", "x.c"],
        name="hello",
        **{
            "files": [*entries, cpio.symlink("/usr/lib/libfoo.so", "libfoo.so.1")],
            "libraries": ["<sysroot>/usr/lib/libc.a", "/usr/share/bar/data.a", "own/libx.a"],
            **more,
        },
    )
    return where / "image"


@pytest.fixture
def image(tmp_path: Path, sysroot: Path, root: Path) -> Path:
    return make_image(tmp_path, sysroot)


def sbom(image: Path, *words: str) -> str:
    done = CliRunner().invoke(sbom_command, [str(image), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def components(text: str) -> "dict[str, dict[str, Any]]":
    return {part["bom-ref"]: part for part in json.loads(text)["components"]}


def properties(component: "dict[str, Any]") -> "dict[str, str]":
    return {p["name"].removeprefix("ukcc:"): p["value"] for p in component.get("properties", ())}


def test_origins(image: Path, root: Path) -> None:
    contents = read_contents(image, Database())
    found = {m.path: str(m.package or m.origin) for m in contents.members}
    assert found == {
        "/init": "init",
        "/.uk/program": "ukcc",
        "/app/hello": "program",
        "/usr/lib/libfoo.so.1": "libfoo1 1:2.0-3+b1",
        "/opt/renamed": "libfoo1 1:2.0-3+b1",
        "/opt/libfoo.so.1": "unknown",
        "/usr/share/bar/data": "bar 4.5",
        "/srv/data": "bar 4.5",
        "/srv/other": "unknown",
        "/usr/share/bar/empty": "bar 4.5",
        "/srv/empty": "unknown",
        "/usr/share/twin/same": "twin 1",
        "/usr/lib/same": "bar 4.5",
        "/srv/same": "unknown",
        "/etc/bar.conf": "bar 4.5",
        "/usr/share/gone": "unknown",
        "/etc/own.conf": "unknown",
        "/usr/lib/libfoo.so": "unknown",
    }
    others = {m.path: [str(p) for p in m.same_as] for m in contents.members if m.same_as}
    assert others == {"/srv/other": ["bar 4.5"], "/srv/same": ["bar 4.5", "twin 1"]}
    assert [(one.path, str(one.owner)) for one in contents.linked] == [
        ("/usr/share/bar/data.a", "None"),
        ("own/libx.a", "None"),
    ]


def test_without_dpkg_and_without_the_sysroot(
    image: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPKG_ADMINDIR", "/nonexistent")
    sysroot.rename(sysroot.with_name("another"))
    contents = read_contents(image, Database())
    assert {m.origin for m in contents.members} == {"unknown", "program", "ukcc"}
    assert next(m for m in contents.members if m.path == "/init").origin == "unknown"
    assert contents.packages == ()


def test_a_static_library_of_the_link_is_known_by_its_path_only(
    tmp_path: Path, sysroot: Path, root: Path
) -> None:
    library = "usr/lib/libbar.a"
    with (root / "var/lib/dpkg/info/bar.md5sums").open("a") as sums:
        sums.write(f"{'0' * 32}  {library}\n")
    image = make_image(tmp_path, sysroot, libraries=[f"/{library}"])
    linked = components(sbom(image))[f"linked:/{library}"]
    assert (linked["name"], linked.get("version"), linked.get("purl")) == ("libbar.a", None, None)
    assert properties(linked)["package"] == "unknown"
    assert properties(linked)["path-belongs-here-to"] == "bar 4.5"


def test_document(image: Path, sysroot: Path) -> None:
    text = sbom(image)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = components(text)
    document = json.loads(text)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    made = document["metadata"]
    assert made["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert "timestamp" not in made
    assert [(t["name"], t["version"]) for t in made["tools"]["components"]] == [
        ("ukcc", __version__)
    ]
    for path, data in MEMBERS.items():
        file = parts[f"file:{path}"]
        assert file["hashes"][0]["content"] == hashlib.sha256(data).hexdigest()
        assert file["type"] == "file"
    assert properties(parts["file:/usr/lib/libfoo.so"])["symlink"] == "libfoo.so.1"
    assert properties(parts["file:/etc/own.conf"])["package"] == "unknown"
    foo = parts["package:libfoo1:amd64@1:2.0-3+b1"]
    assert foo["purl"] == "pkg:deb/debian/libfoo1@1:2.0-3%2Bb1?arch=amd64&distro=debian-12"
    licences = [one["license"] for one in foo["licenses"]]
    assert {one.get("id") or one["name"] for one in licences} == {
        "GPL-2.0-or-later",
        "MIT",
        "odd\\x01 words",
    }
    assert {one["location"] for one in foo["evidence"]["occurrences"]} == {
        "/usr/lib/libfoo.so.1",
        "/opt/renamed",
    }
    assert properties(foo) == {"source": "foo", "source-version": "1:2.0-3"}
    assert properties(parts["file:/opt/renamed"])["package-ref"] == foo["bom-ref"]
    assert parts["tool:ukcc@" + __version__]["scope"] == "excluded"
    needs = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert {"linux", "glibc", "init", foo["bom-ref"]} <= set(needs["image"])


def test_kernel(tmp_path: Path, sysroot: Path, root: Path) -> None:
    record(
        sysroot,
        linux={"package": "linux-source-6.12", "version": "6.12.0-1", "sha256": "1" * 64},
        kernel_patches={PATCH: "2" * 64},
        kernel_fragments={"base.config": "3" * 64},
    )
    text = sbom(make_image(tmp_path, sysroot))
    linux = components(text)["linux"]
    assert (linux["version"], linux["type"]) == ("6.12.0-1", "operating-system")
    assert linux["cpe"].startswith("cpe:2.3:o:linux:linux_kernel:6.12.0:")
    assert [one["expression"] for one in linux["licenses"]] == [
        "GPL-2.0-only WITH Linux-syscall-note"
    ]
    pedigree = linux["pedigree"]
    assert pedigree["patches"] == [
        {"type": "unofficial", "diff": {"url": f"{PATCH}#sha256={'2' * 64}"}}
    ]
    assert pedigree["ancestors"][0]["hashes"][0]["content"] == "1" * 64
    digests = {
        (one["type"], one["hashes"][0]["content"][:2]) for one in linux["externalReferences"]
    }
    assert digests == {
        ("source-distribution", "11"),
        ("source-distribution", "22"),
        ("build-meta", "33"),
        ("configuration", "c0"),
    }


def test_xml_says_the_same(image: Path) -> None:
    text = sbom(image, "--format", "xml")
    assert XmlValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = ElementTree.fromstring(text)
    space = "{http://cyclonedx.org/schema/bom/1.6}"
    found = {c.get("bom-ref") for c in bom.findall(f"{space}components/{space}component")}
    assert found == set(components(sbom(image)))
    assert bom.get("serialNumber") == json.loads(sbom(image))["serialNumber"]


@pytest.mark.parametrize("form", ["json", "xml"])
def test_same_image_same_bytes(
    image: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sbom(image, "--format", form)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "image").write_bytes(image.read_bytes())
    assert sbom(other / "image", "--format", form) == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = sbom(image, "--format", form)
    assert dated == sbom(image, "--format", form, "--timestamp")
    assert "2023-11-14T22:13:20" in dated
    assert uuid.UUID(json.loads(sbom(image))["serialNumber"][9:]).version == 5


def test_another_image_has_another_serial_number(
    image: Path, tmp_path: Path, sysroot: Path
) -> None:
    one = json.loads(sbom(image))["serialNumber"]
    other = make_image(tmp_path, sysroot, {"/etc/own.conf": b"yours"})
    assert json.loads(sbom(other))["serialNumber"] != one


def test_time_when_asked(image: Path) -> None:
    text = sbom(image, "--timestamp")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["timestamp"].startswith("20")


def test_output(image: Path, tmp_path: Path) -> None:
    wanted = sbom(image)
    target = tmp_path / "sbom.json"
    target.write_text("old")
    assert sbom(image, "-o", str(target)) == ""
    assert target.read_text() == wanted
    before = image.read_bytes()
    for bad in (str(image), str(tmp_path / "no" / "where"), str(tmp_path)):
        done = CliRunner().invoke(sbom_command, [str(image), "-o", bad])
        assert isinstance(done.exception, UkccError)
    assert image.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_without_the_library(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("cyclonedx", "ukcc.sbom.bom"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    done = CliRunner().invoke(sbom_command, [str(image)])
    assert isinstance(done.exception, UkccError)
    assert "ukcc[sbom]" in done.exception.line("ukcc")


ODD = {
    "/etc/a\x1b[31m\u202e": b"1",
    "/etc/a\\x1b[31m\\u202e": b"2",  # looks the same when it is shown
    "/etc/new\nline": b"3",
    "/etc/\udcff": b"4",
    "/etc/</component>&": b"5",
    "/etc/\ufffe": b"6",
}


@pytest.mark.parametrize("form", ["json", "xml"])
def test_odd_names(tmp_path: Path, sysroot: Path, root: Path, form: str) -> None:
    record(
        sysroot,
        kernel_patches={"\x1b[2J/../\u202e.patch": "2" * 64},
        init={"a b%\udcff.c": "3" * 64},
    )
    image = make_image(
        tmp_path, sysroot, ODD, libraries=["\x07.a", "\\x07.a"], linkage="\x1b]0;x\x07"
    )
    text = sbom(image, "--format", form)
    validator = JsonStrictValidator if form == "json" else XmlValidator
    assert validator(SchemaVersion.V1_6).validate_str(text) is None
    text.encode()
    assert not [char for char in text if not char.isprintable() and char != "\n"]
    if form == "json":
        assert len(components(text)) == len(json.loads(text)["components"])
        assert properties(components(text)["file:/etc/new\\nline"])["size"] == "1"
    sources = CliRunner().invoke(inspect_command, [str(image), "--sources"])
    assert "\x1b" not in sources.output
    assert sources.exit_code == 0


def test_the_same_name_twice(tmp_path: Path, sysroot: Path, root: Path) -> None:
    twice = [cpio.regular("/etc/a", b"1"), cpio.regular("/etc/a", b"2")]
    parts = components(sbom(make_image(tmp_path, sysroot, files=twice)))
    assert {"file:/etc/a", "file:/etc/a #2"} <= set(parts)


def test_thousands_of_files(tmp_path: Path, sysroot: Path, root: Path) -> None:
    many = {f"/srv/{number}": b"%d" % number for number in range(3000)}
    assert len(components(sbom(make_image(tmp_path, sysroot, many)))) > 3000


def test_too_many_files(
    tmp_path: Path, sysroot: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ukcc.sbom.contents.MOST_FILES", 100)
    image = make_image(tmp_path, sysroot, {f"/{number}": b"" for number in range(200)})
    with pytest.raises(UkccError, match="more than 100 files"):
        read_contents(image, Database())


def test_devices_and_directories_have_no_content(tmp_path: Path, sysroot: Path, root: Path) -> None:
    odd = [cpio.Entry("dev0", stat.S_IFCHR | 0o600), cpio.Entry("d", stat.S_IFDIR | 0o755)]
    contents = read_contents(make_image(tmp_path, sysroot, files=odd), Database())
    paths = [m.path for m in contents.members]
    assert paths == ["/init", "/.uk/program", "/usr/lib/libfoo.so", "/app/hello"]


def test_damaged_archive(image: Path, root: Path) -> None:
    """A member that claims to be larger than the file."""
    data = bytearray(image.read_bytes())
    at = data.index(b"etc/own.conf\0") - 110 + 6 + 6 * 8
    data[at : at + 8] = b"fffffff0"
    image.write_bytes(data)
    for command, words in ((sbom_command, ()), (inspect_command, ("--sources",))):
        done = CliRunner().invoke(command, [str(image), *words])
        assert isinstance(done.exception, NotAnImage | UkccError)
        assert "damaged archive" in str(done.exception)


@pytest.mark.parametrize(
    "inputs",
    [
        {"linux": "6.12"},
        {"linux": {"package": "-oAPT::Update::Pre-Invoke::=reboot", "version": "1"}},
        {"linux": {"package": "linux", "version": "1; reboot"}},
        {"linux": {"package": ["linux"], "version": "1"}},
        {"glibc": {"sha256": "x" * 64}},
        {"kernel_patches": ["a.patch"]},
        {"kernel_patches": {"a.patch": "1" * 63}},
        {"init": {"a.c": 7}},
        {"init": {f"{number}.c": "1" * 64 for number in range(5000)}},
    ],
)
def test_damaged_metadata(
    tmp_path: Path, sysroot: Path, root: Path, inputs: "dict[str, Any]"
) -> None:
    record(sysroot, **inputs)
    image = make_image(tmp_path, sysroot)
    for command, words in ((sbom_command, ()), (inspect_command, ("--sources",))):
        done = CliRunner().invoke(command, [str(image), *words])
        assert isinstance(done.exception, NotAnImage)
        assert "damaged metadata: 'inputs." in done.exception.message


def test_no_file_of_the_images_naming_is_opened(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def watch(event: str, arguments: "tuple[Any, ...]") -> None:
        if event == "open" and watching:
            opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str) else "")

    watching = True
    sys.addaudithook(watch)
    try:
        sbom(image)
    finally:
        watching = False
    named = {*MEMBERS, "/usr/share/bar/data.a", "/app/hello", "libfoo.so.1"}
    assert opened
    assert not named & set(opened)


def test_more_tools_than_anybody_has(image: Path, sysroot: Path, tmp_path: Path) -> None:
    path = sysroot / "sysroot.json"
    versions = {str(number): "x" for number in range(1000)}
    path.write_text(json.dumps({**json.loads(path.read_text()), "versions": versions}))
    with pytest.raises(NotAnImage, match="versions"):
        read_contents(make_image(tmp_path, sysroot), Database())


def test_a_program_that_was_changed(image: Path) -> None:
    assert "changed-since-packed" not in sbom(image)
    data = bytearray(image.read_bytes())
    at = data.index(b"application's data")
    data[at] = ord("A")
    image.write_bytes(data)
    assert '"ukcc:changed-since-packed"' in sbom(image)


def test_thin_image(tmp_path: Path, sysroot: Path, root: Path) -> None:
    (tmp_path / "linked").write_bytes(program())
    pack_thin(
        str(tmp_path / "linked"),
        str(tmp_path / "thin"),
        sysroot=str(sysroot),
        link_command=["uk-gcc"],
        name="hello",
    )
    done = CliRunner().invoke(sbom_command, [str(tmp_path / "thin")])
    assert isinstance(done.exception, UkccError)
    assert "ukcc pack" in done.exception.hint
    told = CliRunner().invoke(inspect_command, [str(tmp_path / "thin"), "--sources"])
    assert "linux-source-6.12" in told.output
    assert "a thin image" in told.output


def test_sources(
    tmp_path: Path, sysroot: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "0005-x86-entry-enter-system-calls-by-a-jump.patch"
    patches = Path(__file__).parents[2] / "sysroot" / "linux" / "patches"
    (file,) = patches.rglob(name)
    own = hashlib.sha256(file.read_bytes()).hexdigest()
    record(
        sysroot,
        linux={"package": "linux-source-6.12", "version": "6.12.0-1", "sha256": "1" * 64},
        kernel_patches={PATCH: "2" * 64, name: own},
    )
    monkeypatch.setattr(
        "ukcc.debsource.known_digests", lambda _: {("foo", "1:2.0-3"): {"foo.dsc": "4" * 64}}
    )
    image = make_image(tmp_path, sysroot)
    told = CliRunner().invoke(inspect_command, [str(image), "--sources"]).output
    assert f"in the package linux-source-6.12, sha256 {'1' * 64}" in told
    assert f"{'2' * 64}  {PATCH} (not of this ukcc)" in told
    assert f"{own}  sysroot/linux/patches/" in told
    assert "apt-get source linux-source-6.12=6.12.0-1" in told
    assert "apt-get source foo=1:2.0-3" in told
    assert f"{'4' * 64}  foo.dsc" in told
    assert "ukcc sysroot build" in told
    found = json.loads(
        CliRunner().invoke(inspect_command, [str(image), "--sources", "--json"]).output
    )
    assert [part["name"] for part in found["parts"]] == ["linux", "glibc", "init"]
    assert found["parts"][0]["patches"][1] == {
        "name": name,
        "sha256": own,
        "place": f"sysroot/linux/patches/{file.relative_to(patches)}",
    }
    foo = next(one for one in found["packages"] if one["name"] == "libfoo1")
    assert foo["source_version"] == "1:2.0-3"
    assert foo["members"] == ["/usr/lib/libfoo.so.1", "/opt/renamed"]
    assert "/etc/own.conf" in found["unknown"]
    assert read_sources(read_contents(image, Database())).linked == (
        "/usr/share/bar/data.a",
        "own/libx.a",
    )


def test_database_of_a_removed_package(root: Path) -> None:
    found = Database(root).find(FileQuery([md5(b"gone")]))
    assert found.by_digest == {}


def test_tools() -> None:
    versions = {"gcc": "gcc (Debian 12.2.0-14) 12.2.0", "linux": "6", "binutils": "GNU ld (x) 2.40"}
    comments = ["GCC: (Debian 12.2.0-14) 12.2.0", "Debian clang version 14.0.6", "my compiler"]
    found = {(t.name, t.version): t.made for t in named_tools(versions, comments, "0.1")}
    assert found == {
        ("gcc", "12.2.0"): ("kernel, glibc and init", "program"),
        ("binutils", "2.40"): ("kernel, glibc and init",),
        ("clang", "14.0.6"): ("program",),
        ("my compiler", ""): ("program",),
        ("ukcc", "0.1"): ("image",),
    }
