"""The plugin that counts, for each version of QEMU's interface that it knows."""

import re
import subprocess
from pathlib import Path

import pytest

from ukcc.counting import plugin
from ukcc.counting.plugin import INTERFACES
from ukcc.errors import UkccError

REFUSAL = "plugin requires API version 7, but this QEMU supports only up to version 4"


@pytest.mark.parametrize("interface", INTERFACES)
def test_it_compiles_for_each(tmp_path: Path, interface: int) -> None:
    made = plugin.compiled(tmp_path, interface)
    listed = subprocess.run(["nm", "-D", made], capture_output=True, text=True, check=True).stdout
    used = set(re.findall(r" U (qemu_plugin_\w+)", listed))
    assert "qemu_plugin_register_vcpu_tb_exec_cb" in used
    # gone from version 2 on
    assert not [name for name in used if name.endswith("exec_inline")]
    sources = Path(plugin.__file__).parent.glob("*.c")
    argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"]
    argv += [f"-DINTERFACE={interface}", "-o", str(tmp_path / "strict.so"), *map(str, sources)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("taken", INTERFACES)
def test_the_newest_that_qemu_takes_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    tried = []

    def refusal(words: "tuple[str, ...]") -> str:
        tried.append(int(re.findall(r"count-(\d+)\.so", words[1])[0]))
        return "" if tried[-1] <= taken else REFUSAL

    monkeypatch.setattr(plugin, "refusal", refusal)
    assert plugin.plugin(tmp_path) == tmp_path / "count.so"
    assert tried == [number for number in INTERFACES if number >= taken]
    plugin.plugin(tmp_path)
    assert len(tried) == INTERFACES.index(taken) + 1


def test_a_qemu_that_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "refusal", lambda _: REFUSAL)
    with pytest.raises(UkccError) as caught:
        plugin.plugin(tmp_path)
    assert REFUSAL in caught.value.message and "docs/testing.md" in caught.value.hint
