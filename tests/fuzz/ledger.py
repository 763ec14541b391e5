"""How long each target was fuzzed, in pieces: one file a target, in the store beside the corpora.

An account is of one state of the target's code (`fuzz.digest`): changed code starts from zero, and
code that comes back, by a switch of branches, goes on from where it was.

A machine's store does not last, so `keep` writes the accounts of the present code into a file that
is committed, and every other machine's ledger goes on from there.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_ACCOUNTS = 16  # of one target: those that were added to last
_MOST_FINDINGS = 64  # of one account
_ENDLESS = 1e18


@dataclass(frozen=True)
class Account:
    """seconds and executions are sums; coverage, features and corpus (inputs) the most there were.

    findings: of each, one line; used: when it was last added to, in seconds since 1970.
    """

    seconds: float = 0.0
    executions: int = 0
    coverage: int = 0
    features: int = 0
    corpus: int = 0
    findings: "tuple[str, ...]" = ()
    used: float = 0.0

    def plus(self, other: "Account") -> "Account":
        """Both together."""
        new = [what for what in other.findings if what not in self.findings]
        return Account(
            round(self.seconds + other.seconds, 1),
            self.executions + other.executions,
            max(self.coverage, other.coverage),
            max(self.features, other.features),
            max(self.corpus, other.corpus),
            (*self.findings, *new)[:_MOST_FINDINGS],
            max(self.used, other.used),
        )


class Damaged(Exception):
    """A file that is not a ledger; its text says which."""


class Ledger:
    """The accounts in a directory, which need not exist. Others may add at the same time.

    kept: the committed file, a JSON object: target -> digest of code -> account.
    """

    def __init__(self, directory: Path, kept: "Path | None" = None) -> None:
        self._directory, self._kept = directory, kept

    def account(self, target: str, digest: str) -> Account:
        """That of this code; an empty one if there is none. Raises Damaged."""
        return self._with_kept(target, self._own(target)).get(digest, Account())

    def add(self, target: str, digest: str, work: Account) -> Account:
        """What the account is then. A damaged file is set aside as TARGET.damaged, not lost.

        Raises Damaged of the committed file, which git has.
        """
        with self._locked():
            try:
                accounts = self._own(target)
            except Damaged:
                self._path(target).replace(self._directory / f"{target}.damaged")
                accounts = {}
            accounts = self._with_kept(target, accounts)
            work = dataclasses.replace(work, used=time.time())
            accounts[digest] = accounts.get(digest, Account()).plus(work)
            latest = sorted(accounts, key=lambda name: accounts[name].used)[-_MOST_ACCOUNTS:]
            self._write(target, {name: accounts[name] for name in latest})
            return accounts[digest]

    def keep(self, codes: "dict[str, str]") -> None:
        """Writes the committed file: what each of these targets has for that code, if anything.

        What the file has of other targets stays. Raises Damaged.
        """
        assert self._kept is not None
        content = _load(self._kept)
        for target, digest in codes.items():
            account = self.account(target, digest)
            content.pop(target, None)
            if account.executions:
                fields = dataclasses.asdict(account)
                del fields["used"]  # of this machine
                content[target] = {digest: fields}
        _write_whole(self._kept, dict(sorted(content.items())))

    def _path(self, target: str) -> Path:
        return self._directory / f"{target}.json"

    def _own(self, target: str) -> "dict[str, Account]":
        return _accounts(self._path(target), _load(self._path(target)))

    def _with_kept(self, target: str, accounts: "dict[str, Account]") -> "dict[str, Account]":
        """What was done here goes on from what is kept, so of two the longer one counts."""
        if self._kept is None:
            return accounts
        kept = _accounts(self._kept, _load(self._kept).get(target, {}))
        longer = {
            digest: account
            for digest, account in kept.items()
            if account.seconds > accounts.get(digest, Account()).seconds
        }
        return {**accounts, **longer}

    def _write(self, target: str, accounts: "dict[str, Account]") -> None:
        content = {digest: dataclasses.asdict(account) for digest, account in accounts.items()}
        _write_whole(self._path(target), content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _load(path: Path) -> "dict[str, object]":
    """The object in a file; an empty one if there is no file. Raises Damaged."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if not isinstance(content, dict):
        raise Damaged(f"{path} is damaged (not an object)")
    return content


def _accounts(path: Path, rows: object) -> "dict[str, Account]":
    """By digest, of what is in a file. Raises Damaged."""
    try:
        return {digest: _account(row) for digest, row in rows.items()}  # type: ignore[attr-defined]
    except (ValueError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error


def _write_whole(path: Path, content: "dict[str, object]") -> None:
    """Whole or not at all."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _account(row: object) -> Account:
    """Raises ValueError, TypeError: missing, unknown or senseless fields."""
    if not isinstance(row, dict):
        raise TypeError("an account is not an object")
    given = Account(**row)
    for field in dataclasses.fields(Account):
        value = getattr(given, field.name)
        if field.name == "findings":
            if not isinstance(value, list) or not all(isinstance(what, str) for what in value):
                raise ValueError("findings are not lines")
            continue
        kinds = (int,) if field.type is int else (int, float)
        if type(value) not in kinds or not 0 <= value < _ENDLESS:
            raise ValueError(f"{field.name} is not a number from 0 on")
    return dataclasses.replace(given, findings=tuple(given.findings))
