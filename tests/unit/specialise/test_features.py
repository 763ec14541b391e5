"""From needs to features: the table's meaning, its checks, and what the user says."""

from dataclasses import replace
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.needs import CodePlace, Needs, Unknown, Values
from ukcc.needs.learned import Learned
from ukcc.specialise import features, told
from ukcc.specialise.features import SIZE, SPEED, Choice, FeatureWish, choose, parse

NEEDS = Needs(
    path="app",
    program="/app/app",
    sysroot="0" * 16,
    keeps_everything=False,
    calls=(),
    by={},
    unknown=(),
    absent={},
    arguments={},
    own_arguments={},
    program_arguments={},
    asked=(),
    paths={},
    settings={},
    members=(),
)
NOTHING = FeatureWish()


def calling(*calls: str, file: str = "/app/app") -> Needs:
    return replace(NEEDS, calls=calls, by={c: (CodePlace(file, "main", 16),) for c in calls})


def reading(path: str, file: str = "/app/app") -> Needs:
    return replace(NEEDS, paths={path: (file,)})


def chosen(needs: Needs, wish: FeatureWish = NOTHING, **said: str) -> Choice:
    return choose(needs, said, wish)


def test_a_program_without_needs_gets_none() -> None:
    assert chosen(NEEDS) == Choice(SIZE, {}, {}, ())


@pytest.mark.parametrize(
    ("needs", "feature", "why"),
    [
        (calling("epoll_create1"), "events", "epoll_create1 in /app/app main"),
        (calling("flock"), "locks", "flock in /app/app main"),
        (calling("semop"), "ipc", "semop in /app/app main"),
        (
            replace(NEEDS, paths={"/proc/sys/net": ("/app/app",)}),
            "sysctl",
            "/proc/sys/net in /app/app",
        ),
        (replace(NEEDS, paths={"/dev/ptmx": ("/app/app",)}), "ptys", "/dev/ptmx in /app/app"),
        (replace(NEEDS, asked=("openpty",)), "ptys", "openpty of libc"),
        (calling("fchown"), "users", "fchown in /app/app main"),
        (calling("fallocate"), "tmpfs", "fallocate in /app/app main"),
        (reading("/proc/1/smaps"), "proc-detail", "/proc/1/smaps in /app/app"),
        (reading("/proc/thread-self/io"), "accounting", "/proc/thread-self/io in /app/app"),
        (reading("/proc/self/ns/pid"), "namespaces", "/proc/self/ns/pid in /app/app"),
        (reading("/proc/net/dev"), "net", "/proc/net/dev in /app/app"),
        (calling("mq_open"), "sockets", "needed by mqueue"),
        (
            replace(NEEDS, own_arguments={"fcntls": Values(("F_SETLK",), (6,))}),
            "locks",
            "F_SETLK",
        ),
    ],
)
def test_what_a_program_does_gives_the_feature(needs: Needs, feature: str, why: str) -> None:
    assert chosen(needs).reasons[feature] == why


def test_inits_needs_are_no_features() -> None:
    assert chosen(calling("epoll_create1", "socket", file="/init")).features == ()
    assert chosen(reading("/sys/class/net", "/init")).features == ()


@pytest.mark.parametrize(
    ("path", "file", "found"),
    [
        ("/proc/sys/vm/overcommit_memory", "/app/app", ()),
        ("/proc/sys/vm/swappiness", "/app/app", ("sysctl",)),
        ("/dev/ptmx", "/usr/lib/libc.so.6", ()),
        ("/dev/ptsH", "/usr/lib/libc.so.6", ()),
        ("/sys/devices/system/cpu/possible", "/app/app", ()),
        ("/sys/devices/system/cpu/cpu0/topology/core_id", "/app/app", ("sysfs",)),
        ("/sys/devices/system/cpu/online", "/usr/lib/libc.so.6", ()),
        ("/sys/block", "/usr/lib/libblk.so", ("sysfs",)),
    ],
)
def test_paths_of_glibc_that_it_does_without(path: str, file: str, found: tuple[str, ...]) -> None:
    assert chosen(reading(path, file)).features == found


def families(*names: str, any: bool = False) -> Needs:
    unknown = (Unknown("/app/app", "dial", 32, "it is what a call returns"),) if any else ()
    values = Values(names, (), any, unknown)
    groups = {"socket_families": values}
    return replace(calling("socket"), own_arguments=groups, program_arguments=groups)


def test_families_of_sockets() -> None:
    assert chosen(families("AF_LOCAL")).features == ("sockets", "unix")
    net = chosen(families("AF_INET"))
    assert net.goal == SPEED and {"sockets", "net", "rng"} <= set(net.features)
    assert not {"inet6", "packet", "vsock"} & set(net.features)
    assert {"net", "inet6"} <= set(chosen(families("AF_INET6")).features)


def test_sockets_of_libc_count_only_if_it_is_asked_for_them() -> None:
    """nscd's, of who looks up users; and the resolver's."""
    values = Values(("AF_INET", "AF_LOCAL"), (1, 2), False, ())
    quiet = replace(
        calling("socket", "connect", file="/usr/lib/libc.so.6"),
        own_arguments={"socket_families": values},
        asked=("getpwnam",),
    )
    assert chosen(quiet).features == () and features.own_calls(quiet) == ()
    asking = replace(quiet, asked=("getaddrinfo",))
    assert {"net", "sockets"} <= set(chosen(asking).features)
    assert features.own_calls(asking) == ("socket", "connect")


def test_a_family_that_cannot_be_told_is_one_of_three() -> None:
    found = chosen(families("AF_LOCAL", any=True))
    assert {"net", "inet6", "unix"} <= set(found.features)
    assert not {"packet", "vsock"} & set(found.features)
    assert found.reasons["net"] == "one of the socket families cannot be told (/app/app dial)"


def test_a_call_that_cannot_be_told_gives_all_that_code_can_ask_for() -> None:
    unknown = (Unknown("/app/app", "syscall", 48, "it is what a call returns"),)
    found = chosen(replace(NEEDS, keeps_everything=True, unknown=unknown))
    rows = features.table().feature
    by_code = {r.name for r in rows if r.calls or r.arguments or r.paths or r.imports}
    assert by_code <= set(found.features)
    assert not {"disk", "smp", "pci", "balloon"} & set(found.features)
    assert found.reasons["ipc"] == "a call cannot be told (/app/app syscall 0x30)"


def test_what_a_run_showed_counts_as_well() -> None:
    found = chosen(replace(NEEDS, learned=Learned(("epoll_wait", "flock"), ("/sys/block",))))
    assert found.reasons == {
        "locks": "flock, as a run showed",
        "sysfs": "/sys/block, as a run showed",
    }


def test_what_runs_need_is_said_by_the_settings() -> None:
    settings = {"smp": 2, "disk": ["d.img:/data"], "volume": ["a:/a"], "user": "www"}
    said = told.told_by(settings, 0, dict.fromkeys(settings, "uk.toml"))
    found = choose(NEEDS, said, NOTHING)
    assert {"smp", "disk", "9p", "virtiofs", "users"} <= set(found.features)
    assert found.reasons["disk"] == "disk in uk.toml"
    assert told.told_by({"smp": 1, "user": "root", "net": ["none"]}, 0, {}) == {}
    assert "user" in told.told_by({}, 1, {})


def test_a_command_before_the_program_may_be_a_script() -> None:
    """init starts it, whose own needs are no features."""
    said = told.told_by({}, 1, {"init": "uk.toml"})
    assert choose(NEEDS, said, NOTHING).reasons["scripts"] == "init in uk.toml"


def test_the_users_words() -> None:
    program = families("AF_INET6")
    assert "inet6" not in chosen(program, FeatureWish(forbid=("inet6",))).features
    assert chosen(program, FeatureWish(forbid=("inet6",))).forbidden == {"inet6": "AF_INET6"}
    without = chosen(program, FeatureWish(forbid=("net",)))
    assert without.goal == SIZE and without.features == ("sockets",)
    assert without.forbidden == {"net": "AF_INET6", "inet6": "AF_INET6"}
    assert "balloon" in chosen(NEEDS, FeatureWish(require=("balloon",))).features
    assert chosen(program, FeatureWish(goal=SIZE)).goal == SIZE
    assert chosen(NEEDS, FeatureWish(options=("CONFIG_HZ_1000=y",))).options == (
        "CONFIG_HZ_1000=y",
    )


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (FeatureWish(require=("disks",)), "required features: unknown name 'disks'"),
        (FeatureWish(forbid=("",)), "forbidden features: unknown name ''"),
        (
            FeatureWish(require=("net",), forbid=("net",)),
            "the feature net is both required and forbidden",
        ),
        (
            FeatureWish(require=("inet6",), forbid=("sockets",)),
            "the feature inet6 needs sockets, which is forbidden",
        ),
        (FeatureWish(options=("HZ=3",)), "kernel.options: 'HZ=3' is not a kernel option"),
        (
            FeatureWish(options=("CONFIG_A=y\nx",)),
            "kernel.options: 'CONFIG_A=y\nx' is not a kernel option",
        ),
    ],
)
def test_words_that_are_refused(wish: FeatureWish, message: str) -> None:
    with pytest.raises(UkccError) as caught:
        chosen(NEEDS, wish)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('brings = ["y"]', "features.toml: x: brings: unknown name 'y'"),
        (
            'arguments = { fctnls = ["F_SETLK"] }',
            "features.toml: x: arguments: unknown name 'fctnls'",
        ),
        ('told = ["rain"]', "features.toml: x: told: unknown name 'rain'"),
        ('goals = ["fast"]', "features.toml: x: goals: unknown name 'fast'"),
        ('cals = ["read"]', "feature[0].cals: no such key; the nearest is calls"),
    ],
)
def test_a_table_that_is_wrong(row: str, message: str) -> None:
    with pytest.raises(UkccError) as caught:
        parse(f'[[feature]]\nname = "x"\nwhat = "x"\nwhy = "x"\n{row}\n')
    assert caught.value.message == message


def test_each_feature_has_its_fragment_and_its_reason() -> None:
    directory = Path(paths.data_dir("sysroot")) / "linux" / "classes"
    for row in features.table().feature:
        assert (directory / f"{row.name}.config").is_file(), row.name
        assert row.why.strip() and row.what


def test_every_call_of_the_table_is_one_of_the_kernels() -> None:
    from ukcc.needs.names import call_names

    current = paths.current_sysroot()
    if current is None:
        pytest.skip("no sysroot has been built")
    known = set(call_names(Path(current)).values())
    for row in features.table().feature:
        assert set(row.calls) <= known, row.name


def test_the_page_for_users_lists_every_feature() -> None:
    page = (Path(__file__).parents[3] / "docs" / "specialise.md").read_text()
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in listed if name in features.table().names] == [*features.table().names]
