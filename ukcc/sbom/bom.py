"""An image's software bill of materials: a CycloneDX 1.6 document, by CycloneDX's own library.

The same image on the same machine gives the same bytes: the serial number comes from the image's
digest, and there is no time in it unless one is given.
"""

import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import (
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
)
from cyclonedx.model.component_evidence import (
    AnalysisTechnique,
    ComponentEvidence,
    Identity,
    IdentityField,
    Method,
    Occurrence,
)
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from ukcc import __version__
from ukcc.licences import all_licences
from ukcc.sbom.contents import GLIBC, INIT, UKCC, UNKNOWN, ImageContents, ImageMember, LinkedLibrary
from ukcc.sbom.dpkg import Database, InstalledPackage
from ukcc.sbom.sources import SourceComponent, SourceFile, read_parts
from ukcc.sbom.tools_named import NamedTool, named_tools
from ukcc.terminal import shown

FORMATS = {"json": OutputFormat.JSON, "xml": OutputFormat.XML}

# A name space of ours for the serial numbers: UUIDv5 of this project's name in that of DNS.
_SERIAL_NUMBERS = uuid.uuid5(uuid.NAMESPACE_DNS, "ukcc.sbom")

_IMAGE = "image"
_UPSTREAM = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")
_CPE = {"linux": "cpe:2.3:o:linux:linux_kernel:{}:*:*:*:*:*:*:*",
        "glibc": "cpe:2.3:a:gnu:glibc:{}:*:*:*:*:*:*:*"}  # fmt: skip

# Of its origin, what a file of the archive is that came from no distribution's package.
_NO_PACKAGE = (INIT, GLIBC, UKCC)


class _Refs:
    """References of components: a stranger's names may be the same, or look the same."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def of(self, text: str) -> str:
        """The text, with a number if it was there already."""
        ref = shown(text)
        self._seen[ref] = number = self._seen.get(ref, 0) + 1
        return f"{ref} #{number}" if number > 1 else ref


def document(
    contents: ImageContents, database: Database, form: str, when: "datetime | None" = None
) -> str:
    """The whole document, ended by a line's end. form: `json` or `xml`; when: its time, if any."""
    bom = _bom(contents, database, when)
    outputter = make_outputter(bom, FORMATS[form], SchemaVersion.V1_6)
    if form == "json":
        return outputter.output_as_string(indent=2) + "\n"
    # the library's own indentation goes through minidom, whose time grows with the square
    root = ElementTree.fromstring(outputter.output_as_string())
    ElementTree.register_namespace("", root.tag[1:].partition("}")[0])
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def time_of_document(now: bool) -> "datetime | None":
    """SOURCE_DATE_EPOCH where that is set (seconds), else the clock's if `now`, else none."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isascii() and epoch.isdigit() and len(epoch) <= 11:
        return datetime.fromtimestamp(int(epoch), timezone.utc)
    return datetime.now(timezone.utc).replace(microsecond=0) if now else None


def _bom(contents: ImageContents, database: Database, when: "datetime | None") -> Bom:
    refs = _Refs()
    image = _image(contents)
    parts = [_part(part, contents) for part in read_parts(contents.metadata, contents.path)]
    packages = [_package(package, contents, database, refs) for package in contents.packages]
    record = contents.metadata
    tools = named_tools(record.get("versions", {}), contents.comments, record.get("ukcc", ""))
    ours = Component(name="ukcc", version=__version__, type=ComponentType.APPLICATION)
    metadata = BomMetaData(component=image, tools=ToolRepository(components=[ours]))
    metadata.timestamp = when  # type: ignore[assignment]  # none is allowed, and reproducible
    bom = Bom(
        serial_number=uuid.uuid5(_SERIAL_NUMBERS, contents.sha256),
        metadata=metadata,
        components=[
            *parts,
            *packages,
            *_files(contents.members, refs),
            *_libraries(contents.linked, refs),
            *(_tool(tool, refs) for tool in tools),
        ],
        dependencies=[
            Dependency(image.bom_ref, (Dependency(c.bom_ref) for c in (*parts, *packages)))
        ],
    )
    # It would look up each component among all; what it checks holds by the way this is made.
    setattr(bom, "validate", lambda: True)  # noqa: B010
    return bom


def _image(contents: ImageContents) -> Component:
    metadata = contents.metadata
    properties = {
        "program": metadata.get("program", ""),
        "sysroot": metadata.get("sysroot", ""),
        "linked-by-ukcc": metadata.get("ukcc", ""),
        "linkage": metadata.get("linkage", ""),
        "changed-since-packed": "true" if contents.is_changed else "",
        "archive-sha256": contents.archive_sha256,
        "files-of-unknown-origin": str(
            sum(m.origin == UNKNOWN for m in contents.members if not m.target)
        ),
    }
    return Component(
        name=shown(Path(contents.path).name),
        type=ComponentType.APPLICATION,
        bom_ref=_IMAGE,
        hashes=_sha256(contents.sha256),
        properties=_properties(properties),
    )


def _part(part: SourceComponent, contents: ImageContents) -> Component:
    """Kernel, glibc, musl or init, with the sources as references that have digests."""
    version = part.version or contents.metadata.get("ukcc", "")
    upstream = _UPSTREAM.match(part.version)
    cpe = _CPE.get(part.name)
    kernel = contents.metadata.get("kernel", {}) if part.name == "linux" else {}
    library = ComponentType.LIBRARY
    kinds = {"linux": ComponentType.OPERATING_SYSTEM, "glibc": library, "musl": library}
    return Component(
        name=part.name,
        version=shown(version) or None,
        type=kinds.get(part.name, ComponentType.APPLICATION),
        bom_ref=part.name,
        licenses=[LicenseExpression(part.licence, acknowledgement=LicenseAcknowledgement.DECLARED)],
        cpe=cpe.format(upstream[1]) if cpe and upstream else None,
        external_references=list(_references(part)),
        pedigree=_pedigree(part, contents) if part.package else None,
        properties=_properties({"release": kernel.get("release", ""), "specialised": part.made}),
    )


def _references(part: SourceComponent) -> Iterator[ExternalReference]:
    if part.sha256:
        yield _reference(
            ExternalReferenceType.SOURCE_DISTRIBUTION,
            f"{part.package}_{part.version}",
            part.sha256,
            f"the .dsc of Debian's source package {part.package}"
            if part.is_source
            else f"the source tarball in Debian's package {part.package}",
        )
    kind = ExternalReferenceType.SOURCE_DISTRIBUTION
    for patch in part.patches:
        yield _reference(kind, patch.place or patch.name, patch.sha256, "a patch")
    if part.package:
        kind = ExternalReferenceType.BUILD_META
    for file in part.files:
        yield _reference(kind, file.place or file.name, file.sha256, "")
    if part.config_sha256:
        kind = ExternalReferenceType.CONFIGURATION
        yield _reference(kind, "kernel/config", part.config_sha256, "all options of the kernel")


def _reference(
    kind: ExternalReferenceType, url: str, digest: str, comment: str
) -> ExternalReference:
    uri = XsUri(_uri(url))
    return ExternalReference(
        type=kind, url=uri, comment=shown(comment) or None, hashes=_sha256(digest)
    )


def _uri(text: str) -> str:
    """A relative reference (RFC 3986) of a name that may have anything in it."""
    plain = "-._~/+"
    return "".join(c if c.isascii() and (c.isalnum() or c in plain) else _percent(c) for c in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _pedigree(part: SourceComponent, contents: ImageContents) -> Pedigree:
    """The source package that it was made from, and our patches to that."""
    ancestor = Component(
        name=shown(part.package),
        version=shown(part.version) or None,
        type=ComponentType.LIBRARY,
        bom_ref=f"{part.name}-source",
        hashes=_sha256(part.sha256) if part.sha256 else (),
        purl=PackageURL("deb", "debian", part.package, part.version, {"arch": "all"}),
    )
    notes = [f"{patch.sha256}  {patch.name}" for patch in part.patches]
    return Pedigree(
        ancestors=[ancestor],
        patches=[_patch(patch) for patch in part.patches],
        notes=shown("SHA-256 of the patches, in their order: " + ", ".join(notes))
        if notes
        else None,
    )


def _patch(patch: SourceFile) -> Patch:
    url = f"{_uri(patch.place or patch.name)}#sha256={patch.sha256}"
    return Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(url=XsUri(url)))


def _package(
    package: InstalledPackage, contents: ImageContents, database: Database, refs: _Refs
) -> Component:
    purl = _purl(package)
    file = database.copyright_file(package)
    licences = all_licences(file) if file else ()
    members = [m.path for m in contents.members if m.package == package]
    method = Method(technique=AnalysisTechnique.HASH_COMPARISON, confidence=Decimal(1))
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=_ref(package),
        purl=purl,
        licenses=[_licence(name) for name in licences],
        evidence=ComponentEvidence(
            identity=[Identity(field=IdentityField.PURL, confidence=Decimal(1), methods=[method])],
            # each with a name of its own: without, the library has them in a random order
            occurrences=[
                Occurrence(location=shown(path), bom_ref=refs.of(f"occurrence:{path}"))
                for path in members
            ],
        ),
        properties=_properties(
            {"source": package.source, "source-version": package.source_version}
        ),
    )


def _ref(package: InstalledPackage) -> str:
    return f"package:{package.name}:{package.architecture}@{package.version}"


def _purl(package: InstalledPackage) -> "PackageURL | None":
    """https://github.com/package-url/purl-spec, type deb."""
    if not package.vendor:
        return None
    qualifiers = {"arch": package.architecture}
    if package.release:
        qualifiers["distro"] = f"{package.vendor}-{package.release}"
    return PackageURL("deb", package.vendor, package.name, package.version, qualifiers)


def _licence(name: str) -> License:
    declared = LicenseAcknowledgement.DECLARED
    if is_supported_id(name):
        return DisjunctiveLicense(id=name, acknowledgement=declared)
    return DisjunctiveLicense(name=shown(name), acknowledgement=declared)


def _files(members: Iterable[ImageMember], refs: _Refs) -> Iterator[Component]:
    for member in members:
        yield Component(
            name=shown(member.path),
            type=ComponentType.FILE,
            bom_ref=refs.of(f"file:{member.path}"),
            hashes=_sha256(member.sha256) if member.sha256 else (),
            properties=_properties(dict(_origin(member))),
        )


def _origin(member: ImageMember) -> Iterator[tuple[str, str]]:
    if member.target:
        yield "symlink", member.target
        return
    yield "size", str(member.size)
    yield "origin", member.origin
    if member.origin not in _NO_PACKAGE:
        yield "package", member.package.name if member.package else "unknown"
    if member.package:
        yield "package-version", member.package.version
        yield "package-ref", _ref(member.package)
    if member.same_as:
        yield "same-bytes-as-in", ", ".join(str(package) for package in member.same_as)


def _libraries(linked: Iterable[LinkedLibrary], refs: _Refs) -> Iterator[Component]:
    """Static libraries of the link. Whose they were then, nobody knows: there is no digest."""
    for library in linked:
        name = shown(library.path)
        owner = f"{library.owner}" if library.owner else ""
        yield Component(
            name=Path(name).name or name,
            type=ComponentType.LIBRARY,
            bom_ref=refs.of(f"linked:{library.path}"),
            properties=_properties(
                {
                    "linked-from": library.path,
                    "package": "unknown",
                    "path-belongs-here-to": owner,
                }
            ),
        )


def _tool(tool: NamedTool, refs: _Refs) -> Component:
    """Not in the image: what it was made by."""
    return Component(
        name=shown(tool.name),
        version=shown(tool.version) or None,
        type=ComponentType.APPLICATION,
        scope=ComponentScope.EXCLUDED,
        bom_ref=refs.of(f"tool:{tool.name}@{tool.version}"),
        description=shown("; ".join(tool.texts)),
        properties=_properties({"made": ", ".join(tool.made)}),
    )


def _sha256(digest: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest)]


def _properties(values: Mapping[str, str]) -> list[Property]:
    """Those that have a value; CycloneDX asks for a name space of one's own."""
    return [
        Property(name=f"ukcc:{name}", value=shown(value)) for name, value in values.items() if value
    ]
