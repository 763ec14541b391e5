"""Images that came out of builds by make and CMake, booted."""

from support.boots import Boot
from support.builders import Project


def test_program_of_a_makefile(tmp_path, boot: Boot):
    project = Project("make", tmp_path)
    project.run("make", "-j2", "calc", "CC=uk-gcc")
    assert boot(project / "calc", "3") == (0, b"sine of 3 is 0.141\n", b"")


def test_program_of_cmake_with_openssl(tmp_path, boot: Boot):
    project = Project("digest", tmp_path)
    project.run("cmake", "-S.", "-Bb", "-GNinja", CC="uk-gcc")
    project.run("ninja", "-C", "b")
    assert boot(project / "b/digest") == (0, b"baad\n", b"")


def test_program_with_a_shared_library_of_its_own(tmp_path, boot: Boot):
    project = Project("ownlib", tmp_path)
    project.run("make", "-j2", "CC=uk-gcc")
    assert boot(project / "app", "you") == (41, b"hello, you (3)\n", b"")


def test_plugins_from_a_directory_of_the_host(tmp_path, boot: Boot):
    project = Project("plugins", tmp_path)
    project.run("make", "-j2", "CC=uk-gcc")
    options = ["-v", f"{project.root}/plugins:/plugins:ro"]
    ended = boot(
        project / "chain", "21", "/plugins/double.so", "/plugins/negate.so", options=options
    )
    assert ended == (0, b"double: 42\nnegate: -42\n", b"")
