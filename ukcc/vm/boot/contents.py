"""What a machine will have in it: a whole image, and what a run adds to that."""

import os
from dataclasses import dataclass, replace

from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.image.accounts import accounts_of, parse_owner
from ukcc.image.facts import ImageMetadata, read_facts
from ukcc.image.memory import more_cpus_mib, second_archive, second_archive_mib
from ukcc.image.thin import completed
from ukcc.vm.boot import guest, locale
from ukcc.vm.boot.program_copy import changed_program
from ukcc.vm.boot.trace import Tracer
from ukcc.vm.offers import fit_options
from ukcc.vm.options import RunOptions
from ukcc.vm.storage.trail import check_sources


@dataclass(frozen=True)
class BootInputs:
    """image: the path of a whole one; facts: of it, with the memory that the run needs on top.

    additions: what the second archive has besides the settings' own files.
    """

    image: str
    facts: ImageMetadata
    additions: tuple[cpio.Entry, ...]


def user_ids(options: RunOptions, contents: BootInputs) -> tuple[int, int]:
    """The application's (uid, gid), by the accounts that the machine will have.

    Raises MachineError for a user that it does not know.
    """
    user = options.guest.user
    if not user:
        return 0, 0
    try:
        members = (*guest.accounts_files(contents.image), *contents.additions)
        return parse_owner(user, accounts_of({one.path: one.data for one in members}))
    except UkccError as error:
        raise MachineError(f"--user {user}: {error.message}", error.hint) from None


def read_image(options: RunOptions) -> tuple[str, ImageMetadata, RunOptions]:
    """A whole image, what it says, and the options as its kernel takes them.

    Raises MachineError.
    """
    check_sources(options.shares, options.guest.files)
    image = completed(options.image)
    facts = read_facts(image)
    if not locale.may_load(options, facts):
        options = locale.with_language(options)
    return image, facts, fit_options(options, facts)


def read_contents(
    options: RunOptions, image: str, facts: ImageMetadata, tracer: "Tracer | None" = None
) -> BootInputs:
    """Reads the host's files that the options name, for a whole image. Raises MachineError."""
    tools = tracer.entries() if tracer else []
    changed = changed_program(image)
    loads_locale = changed or locale.may_load(options, facts)
    entries = (
        *changed,
        *tools,
        *(locale.entries() if loads_locale else ()),
        *guest.entries(options.guest, image, facts.program, os.environb),
    )
    if facts.memory_min_mib:
        stated = second_archive(loads_locale=facts.loads_locale)
        more = second_archive_mib(entries, stated) + more_cpus_mib(options.hardware.cpus)
        facts = replace(facts, memory_min_mib=facts.memory_min_mib + more)
    return BootInputs(image, facts, entries)
