"""What an image records of its making: the same words wherever a build lies."""

import pytest

from ukcc.image import provenance

HERE = ("/home/me/build",)

WORDS = [
    ("-O2", "-O2"),
    ("-lz", "-lz"),
    ("../lib/libx.a", "../lib/libx.a"),
    ("/home/me/build/sub/libx.a", "sub/libx.a"),
    ("/home/me/other/libx.a", ".../libx.a"),
    ("/usr/lib/libz.a", "/usr/lib/libz.a"),
    ("-L/home/me/build/lib", "-Llib"),
    ("-L/home/me/lib", "-L.../lib"),
    ("-L/usr/lib/x", "-L/usr/lib/x"),
    ("-Wl,-rpath,/home/me/build/lib", "-Wl,-rpath,lib"),
    ("-o/home/me/p", "-o.../p"),
    ("-L/home/me/build", "-L."),
    ("-L/home/me/build/", "-L."),
    ("-Wl,-rpath,/home/me/build", "-Wl,-rpath,."),
    ("-Wl,-rpath,/home/me/lib:/home/me/build/x:/usr/lib", "-Wl,-rpath,.../lib:x:/usr/lib"),
    ("-Wl,--version-script=/home/me/src/x.map", "-Wl,--version-script=.../x.map"),
    ('-DPLACE="/home/me/share"', '-DPLACE=".../share"'),
    ('-DPLACE="/usr/share/x"', '-DPLACE="/usr/share/x"'),
    ("-DURL=http://host/path", "-DURL=http://host/path"),
    ("--sysroot=/home/me/sys", "--sysroot=.../sys"),
    ("@/home/me/words", "@.../words"),
]


@pytest.mark.parametrize(("word", "recorded"), WORDS)
def test_words(word, recorded):
    assert provenance.recorded_command(["uk-gcc", word], HERE) == ["uk-gcc", recorded]


def test_a_directory_that_a_link_leads_to(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    monkeypatch.setenv("PWD", str(link))
    assert provenance.recorded_command([f"{link}/x.a"], provenance.here()) == ["x.a"]
    assert provenance.recorded_command([f"-L{link}"], provenance.here()) == ["-L."]
    monkeypatch.setenv("PWD", "/usr")
    assert provenance.here() == (str(tmp_path / "real"),)


def test_maps_of_prefixes_are_left_out():
    words = ["uk-gcc", "-ffile-prefix-map=/home/me=.", "-fdebug-prefix-map=/x=y", "a.c"]
    assert provenance.recorded_command(words, HERE) == ["uk-gcc", "a.c"]


LISTING = b"""p: \\
  /store/id/usr/lib/crt1.o \\
  /tmp/cc1.o \\
  /usr/lib/gcc/12/../../x86/libz.a \\
  /usr/lib/x86/libz.a \\
  ../own dir/libown.so \\
  /store/id/usr/lib/libc.a

/store/id/usr/lib/crt1.o:

/usr/lib/later.a:
"""


def test_libraries_of_a_link():
    used = provenance.used_libraries(provenance.opened_files(LISTING))
    assert used == [
        "/usr/lib/x86/libz.a",
        "../own dir/libown.so",
        "/store/id/usr/lib/libc.a",
    ]
    assert provenance.recorded_paths(used, HERE, "/store/id")[-1] == "<sysroot>/usr/lib/libc.a"
    assert provenance.opened_files(b"") == []


@pytest.mark.parametrize(
    "listing",
    [
        # lld quotes for make, mold writes one line
        b"p: \\\n /a/x.o \\\n /a\\ b/liba.so \\\n c$$.a \\\n m.module\n\n/a/x.o:\n\nz.a:\n",
        b"p: /a/x.o /b/liba.so c$.a m.module\n\n/a/x.o:\n",
    ],
    ids=["lld", "mold"],
)
def test_listings_of_other_linkers(listing):
    first = "/a b/liba.so" if b"\\" in listing else "/b/liba.so"
    assert provenance.opened_files(listing) == [first, "c$.a", "m.module"]


def test_directories_of_the_builds_own_libraries(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    used = ["/usr/lib/libz.so", "lib/liba.so.1", "lib/libb.so", "x/libc.a", "/store/id/usr/libc.so"]
    assert provenance.own_directories(used, "/store/id") == [str(tmp_path / "lib")]
