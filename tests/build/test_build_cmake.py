"""Builds by CMake, with the toolchain file or CC and CXX alone, by Ninja and by make."""

import re

from support.builders import Project, is_image

CC_ALONE = {"CC": "uk-gcc", "CXX": "uk-g++"}


def toolchain(project):
    return f"-DCMAKE_TOOLCHAIN_FILE={project.run('ukcc', 'env', '--cmake').strip()}"


def understood(said):
    """What CMake must have found out, however it was told of the compiler."""
    assert re.search(r"^-- C: GNU [0-9.]+, C\+\+: GNU$", said, re.MULTILINE)
    for line in (
        "on Linux-x86_64, cross: FALSE",
        "run: TRUE 7 'pages of 4096'",
        "feature cxx_std_20",
        "feature cxx_std_17",
        "Looking for strlcpy - not found",
        "Found Threads: TRUE",
    ):
        assert f"-- {line}" in said


def works(project):
    assert project.run("./words", "two", cwd="b") == "two: 1, zlib 1\n"
    assert is_image(project / "b/words")
    assert (project / "b/libcounter.so.1.2").is_file()
    assert "100% tests passed" in project.run("ctest", cwd="b")


def test_toolchain_file_and_ninja(tmp_path):
    project = Project("cmake", tmp_path)
    said = project.run("cmake", "-S.", "-Bb", "-GNinja", toolchain(project), "-DLTO=ON")
    understood(said)
    assert "-- LTO: YES" in said
    project.run("ninja", "-C", "b")
    works(project)
    stage = tmp_path / "stage"
    project.run("cmake", "--install", "b", "--strip", "--prefix", stage)
    assert {path.name for path in (stage / "lib").iterdir()} == {
        *("libcounter.so", "libcounter.so.1", "libcounter.so.1.2", "liblister.a", "cmake"),
    }
    assert project.run(stage / "bin/words", "none") == "none: 0, zlib 1\n"
    assert is_image(stage / "bin/words")
    assert project.run("nm", stage / "bin/words") == ""


def test_compilers_alone_and_makefiles(tmp_path):
    project = Project("cmake", tmp_path)
    flags = ["-DCMAKE_POSITION_INDEPENDENT_CODE=ON", "-DCMAKE_BUILD_TYPE=Release", "-DLTO=ON"]
    said = project.run("cmake", "-S.", "-Bb", "-GUnix Makefiles", *flags, **CC_ALONE)
    understood(said)
    assert "-- LTO: YES" in said
    project.run("cmake", "--build", "b", "-j2")
    works(project)
    cache = (project / "b/CMakeCache.txt").read_text()
    for name in ("AR", "RANLIB", "STRIP"):
        assert f"/uk-{name.lower()}\n" in cache.split(f"CMAKE_{name}:FILEPATH=")[1]


def test_libraries_are_found_as_ever(tmp_path):
    """OpenSSL's shared libraries are what CMake finds, their archives what is linked."""
    project = Project("digest", tmp_path)
    project.run("cmake", "-S.", "-Bb", "-GNinja", **CC_ALONE)
    project.run("ninja", "-C", "b")
    assert project.run("b/digest") == "baad\n"
    assert is_image(project / "b/digest")


def test_installation_with_a_run_path_and_the_compilers_alone(tmp_path):
    project = Project("digest", tmp_path)
    project.run("cmake", "-S.", "-Bb", "-GNinja", "-DCMAKE_INSTALL_RPATH=/opt/lib", **CC_ALONE)
    project.run("ninja", "-C", "b")
    project.run("cmake", "--install", "b", "--prefix", tmp_path / "stage")
    assert project.run(tmp_path / "stage/bin/digest") == "baad\n"
