"""The subcommands of `ukcc`, by what they are for.

Each is the attribute `command` of a module that is loaded when the command is asked for. Help of
all of them needs this table only.
"""

import importlib
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Subcommand:
    """name: as it is typed; summary: a line of `ukcc --help`; module: if it is not named alike."""

    name: str
    summary: str
    module: str = ""

    def load(self) -> click.Command:
        """Load the command itself."""
        module = self.module or f"ukcc.cli.{self.name.replace('-', '_')}"
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command


# In the order in which `ukcc --help` shows them.
GROUPS: dict[str, tuple[Subcommand, ...]] = {
    "Machines": (
        Subcommand("run", "Boot an image; its console is your terminal."),
        Subcommand("ps", "List the running machines."),
        Subcommand("logs", "Show the output of a detached machine."),
        Subcommand("stop", "Send SIGTERM to the application, then stop the machine."),
        Subcommand("kill", "Send a signal to the application."),
        Subcommand("wait", "Wait until a machine ends; print its exit status."),
        Subcommand("snapshot", "Boot an image and save the running machine."),
    ),
    "Images": (
        Subcommand("pack", "Make an image from a program built for Linux."),
        Subcommand("inspect", "Show what is inside an image."),
        Subcommand("needs", "Show which system calls an image can make."),
        Subcommand("specialise", "Give an image a kernel with only what it needs."),
        Subcommand("menuconfig", "Edit the options of the kernel that specialise makes."),
        Subcommand("size", "Show what the bytes of an image are."),
        Subcommand("boot-chart", "Show what an image executes before `main`."),
        Subcommand("sbom", "Print the SBOM of an image, in CycloneDX format."),
    ),
    "Builds": (
        Subcommand("explain", "Show how uk-gcc reads a command line."),
        Subcommand("env", "Print variables and files for a build with uk-gcc."),
        Subcommand("port", "Build, boot and test applications by recipe.", "ukcc.ports.command"),
        Subcommand("sysroot", "Build and manage sysroots: kernel, glibc, headers, init."),
        Subcommand("doctor", "Check this host; print a fix for each problem."),
        Subcommand("completion", "Print the completion script of a shell."),
        Subcommand("demo", "Build Debian's Redis, boot it, and talk to it."),
    ),
}

SUBCOMMANDS = {one.name: one for group in GROUPS.values() for one in group}
