#!/usr/bin/python3
"""A process that speaks the API of Firecracker or Cloud Hypervisor, and has no machine.

It is started as the real one would be, by its name on PATH and with its command line, and does what
`scenario.json` beside it says. Each request is a line of `requests.jsonl` there. It holds requests
to the VMM's order (what before the start, what after, a snapshot of a paused machine only), opens
the files that it is told of, and answers errors in the VMM's form. vmm_scenes.py starts it.
"""

import argparse
import contextlib
import http.server
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).parent
SCENARIO: dict[str, Any] = json.loads((HERE / "scenario.json").read_text())
PORT = 30059  # of the guest's agent
FIRECRACKER, CLOUD_HYPERVISOR = "firecracker", "cloud-hypervisor"
NAME = Path(sys.argv[0]).name


class Fault(Exception):
    """What the VMM refuses, and why."""


class Vmm:
    """State of the machine: `new`, `running`, `paused`; what was put before the start."""

    def __init__(self, events: "int | None") -> None:
        self.state, self.parts = "new", {}
        self.lock = threading.Lock()
        self.events = events
        self.guest: threading.Thread | None = None
        self.vsock = ""

    def handle(self, method: str, path: str, body: Any) -> Any:
        """The answer's JSON or None. Raises Fault."""
        with self.lock:
            note({"method": method, "path": path, "body": body, "uid": os.geteuid()})
            refusal = SCENARIO.get("refuse", {}).get(f"{method} {path}")
            if refusal == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if refusal:
                raise Fault(refusal)
            return (self.firecracker if NAME == FIRECRACKER else self.cloud_hypervisor)(
                method, path, body
            )

    def firecracker(self, method: str, path: str, body: Any) -> Any:
        kind = path.lstrip("/").partition("/")[0]
        if (method, path) == ("GET", "/version"):
            return {"firecracker_version": "1.16.1"}
        if (method, path) == ("PUT", "/actions"):
            self.need("new", "The requested operation is not supported after starting the microVM.")
            if "boot-source" not in self.parts:
                raise Fault("Cannot start microvm without kernel configuration.")
            self.start()
        elif (method, path) == ("PATCH", "/vm"):
            self.pause(body["state"] == "Paused")
        elif (method, path) == ("PUT", "/snapshot/create"):
            self.need("paused", "save/restore unavailable while running")
            self.save({body["mem_file_path"]: b"M" * 8192, body["snapshot_path"]: b"state"})
        elif (method, path) == ("PUT", "/snapshot/load"):
            if self.parts or self.state != "new":
                raise Fault("Loading a microVM snapshot not allowed after configuring resources.")
            reads(body["snapshot_path"]), reads(body["mem_backend"]["backend_path"])
            assert body["resume_vm"] is True
            self.vsock = "vsock"
            self.start(continued=True)
        elif method == "PUT" and kind in (
            *("machine-config", "boot-source", "drives", "network-interfaces"),
            *("balloon", "entropy", "vsock"),
        ):
            self.need("new", "The requested operation is not supported after starting the microVM.")
            self.parts[kind] = body
            if kind == "boot-source":
                reads(body["kernel_image_path"]), reads(body["initrd_path"])
            if kind == "drives":
                opens(body["path_on_host"], body["is_read_only"])
            if kind == "vsock":
                self.vsock = body["uds_path"]
        else:
            raise Fault(f"Invalid request method and/or path: {method} {path}")
        return None

    def cloud_hypervisor(self, method: str, path: str, body: Any) -> Any:
        name = path.removeprefix("/api/v1/")
        if (method, name) == ("GET", "vmm.ping"):
            return {"build_version": "v51.0", "version": "51.0", "pid": os.getpid()}
        if method != "PUT":
            raise Fault(f"{method} {path}")
        if name == "vm.create":
            self.need("new", "VM is already created")
            reads(body["payload"]["kernel"]), reads(body["payload"]["initramfs"])
            for disk in body.get("disks", []):
                opens(disk["path"], disk["readonly"])
            self.parts, self.vsock = body, body.get("vsock", {}).get("socket", "")
        elif name == "vm.boot":
            if not self.parts:
                raise Fault("VM is not created")
            self.start()
        elif name in ("vm.pause", "vm.resume"):
            self.pause(name == "vm.pause")
        elif name == "vm.snapshot":
            self.need("paused", "VM is not paused")
            target = Path(body["destination_url"].removeprefix("file://"))
            config = json.dumps(self.parts).encode()
            self.save(
                {
                    str(target / "config.json"): config,
                    str(target / "memory-ranges"): b"M" * 8192,
                    str(target / "state.json"): b"{}",
                }
            )
        elif name == "vm.restore":
            self.need("new", "VM is already created")
            source = Path(body["source_url"].removeprefix("file://"))
            config = json.loads((source / "config.json").read_bytes())
            reads(source / "memory-ranges"), reads(source / "state.json")
            self.parts, self.vsock = config, config.get("vsock", {}).get("socket", "")
            self.state = "paused"
            self.listen()
        else:
            raise Fault(f"not known: {name}")
        return None

    def need(self, state: str, why: str) -> None:
        if self.state != state:
            raise Fault(why)

    def pause(self, wanted: bool) -> None:
        self.need("running" if wanted else "paused", "not in the state for that")
        self.state = "paused" if wanted else "running"
        if not wanted and self.guest is None:
            self.start(continued=True)

    def save(self, files: "dict[str, bytes]") -> None:
        for path, data in files.items():
            Path(path).write_bytes(data)

    def listen(self) -> None:
        """The virtio socket's end on the host; it must not be there yet."""
        if self.vsock:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.vsock)

    def start(self, continued: bool = False) -> None:
        if self.state == "new":
            self.listen()
        self.state = "running"
        key = "continued" if continued else "guest"
        self.guest = threading.Thread(target=self.run, args=(SCENARIO.get(key, []),), daemon=True)
        self.guest.start()

    def run(self, steps: "list[list[Any]]") -> None:
        """The guest: what it writes to its serial port, and how it ends."""
        agent = None
        time.sleep(0.1)  # no guest is quicker than the answer to the request that starts it
        for step in steps:
            word, *values = step
            if word == "say":
                write(values[0].encode())
            elif word == "flood":
                for _ in range(values[0]):
                    write(b"0123456789abcdef" * 4096)
            elif word == "sleep":
                time.sleep(values[0])
            elif word == "agent":
                agent = socket.socket(socket.AF_UNIX)
                agent.connect(f"{self.vsock}_{PORT}")
            elif word == "hear":  # lines of the host, shown on the console
                assert agent is not None
                lines = b""
                while lines.count(b"\n") < values[0] and (more := agent.recv(4096)):
                    lines += more
                write(lines)
            elif word == "keys":  # what is typed, shown on the console
                write(b"[" + os.read(0, values[0]) + b"]")
            elif word == "deaf":  # the agent has gone
                assert agent is not None
                agent.close()
            elif word == "chatter":  # of the agent, to a host that does not ask
                assert agent is not None
                agent.settimeout(0.5)
                with contextlib.suppress(OSError):
                    agent.sendall(b"x" * values[0])
            elif word == "link":
                Path("log").unlink()
                Path("log").symlink_to(values[0])
            elif word == "log":
                (Path("log")).write_text(values[0])
            elif word == "reset":  # of a VMM that boots its guest again
                event = {"timestamp": {"secs": 1}, "source": "vm", "event": "rebooting"}
                os.write(self.events, json.dumps(event, indent=2).encode() + b"\n\n")
            elif word == "exit":
                os._exit(values[0])
            elif word == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif word == "qemu":
                self.boot(*values)
        os._exit(0)  # a test that has failed leaves nobody behind for long

    def boot(self, *more: str) -> None:
        """The same guest by QEMU's machine of that shape: virtio-mmio, no ACPI, one serial port."""
        boot = self.parts["boot-source"]
        argv = [
            "qemu-system-x86_64",
            *("-M", "microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off"),
            *("-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config", "-no-reboot"),
            *("-global", "virtio-mmio.force-legacy=false", "-display", "none", "-serial", "stdio"),
            *("-m", str(self.parts["machine-config"]["mem_size_mib"])),
            *("-smp", str(self.parts["machine-config"]["vcpu_count"])),
            *("-kernel", boot["kernel_image_path"], "-initrd", boot["initrd_path"]),
            # a microvm has no keyboard controller, and nothing that tells its clocks' speed
            *("-append", boot["boot_args"].replace("reboot=k", "reboot=t") + " " + " ".join(more)),
        ]
        drive = self.parts.get("drives")
        if drive:
            file = f"file={drive['path_on_host']},format=raw,file.locking=off"
            argv += ["-drive", f"{file},if=none,id=d"]
            argv += ["-device", "virtio-blk-device,drive=d"]
        done = subprocess.run(argv, close_fds=False)
        os._exit(done.returncode)


def reads(path: Any) -> None:
    with Path(path).open("rb") as file:
        if not file.read(1):
            raise Fault(f"{path}: empty")


def opens(path: str, readonly: bool) -> None:
    os.close(os.open(path, os.O_RDONLY if readonly else os.O_RDWR))


def write(data: bytes) -> None:
    """To the serial port; it waits for the reader."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def note(line: "dict[str, Any]") -> None:
    with (HERE / "requests.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP/1.1, as micro_http has it."""

    protocol_version = "HTTP/1.1"
    vmm: Vmm

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        try:
            body = json.loads(data) if data else None
            found, status = self.vmm.handle(self.command, self.path, body), 204
        except (Fault, OSError) as error:
            text = str(error)
            found = {"fault_message": text} if NAME == FIRECRACKER else ["Error", text]
            status = 400 if NAME == FIRECRACKER else 500
        payload = b"" if found is None else json.dumps(found).encode()
        if "garbage" in SCENARIO:
            payload = SCENARIO["garbage"].encode()
        self.send_response(200 if found is not None and status == 204 else status)
        if payload or found is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_PUT = do_PATCH = answer

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Who only looks whether we listen says nothing, which is no error."""


def arguments() -> "tuple[str, int | None]":
    """The API's socket and, of Cloud Hypervisor, the descriptor for events."""
    parser = argparse.ArgumentParser(prog=NAME)
    if NAME == FIRECRACKER:
        parser.add_argument("--api-sock", required=True)
        parser.add_argument("--log-path")
        parser.add_argument("--level")
        found = parser.parse_args()
        Path(found.log_path).open("a").close()
        return found.api_sock, None
    parser.add_argument("--api-socket", required=True)
    parser.add_argument("--event-monitor")
    found = parser.parse_args()
    return found.api_socket.removeprefix("path="), int(found.event_monitor.removeprefix("fd="))


def main() -> None:
    place, events = arguments()
    note({"argv": sys.argv[1:], "uid": os.geteuid(), "groups": os.getgroups(), **limits()})
    if "stderr" in SCENARIO:
        print(SCENARIO["stderr"], file=sys.stderr, flush=True)
    if "dies" in SCENARIO:
        sys.exit(SCENARIO["dies"])
    time.sleep(SCENARIO.get("start_delay", 0))
    Handler.vmm = Vmm(events)
    if NAME == CLOUD_HYPERVISOR:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with Server(place, Handler) as server:
        server.serve_forever()


def limits() -> "dict[str, Any]":
    """How it is confined."""
    import resource

    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return {
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "no_new_privs": status["NoNewPrivs"],
        "environment": sorted(os.environ),
    }


if __name__ == "__main__":
    main()
