"""Which links look for a kernel of the program's own."""

import pytest

from ukcc.cc import own_kernel
from ukcc.cc.own_kernel import is_wanted
from ukcc.cc.toolchain import find_toolchain
from ukcc.errors import UkccError
from ukcc.specialise import program


@pytest.mark.parametrize(
    ("chosen", "settings", "wanted"),
    [
        ("", None, False),
        ("", {}, False),
        ("", {"kernel": {"require": ["disk"]}}, False),
        ("", {"kernel": {"class": "general"}}, False),
        ("", {"kernel": {"class": "auto"}}, True),
        ("", {"kernel": {"class": "size"}}, True),
        ("auto", None, True),
        ("auto", {"kernel": {"class": "general"}}, True),
        ("general", {"kernel": {"class": "speed"}}, False),
    ],
)
def test_the_variable_comes_before_the_settings(chosen, settings, wanted):
    assert is_wanted(chosen, settings) is wanted


def test_a_word_that_is_none():
    with pytest.raises(UkccError) as caught:
        find_toolchain("gcc", {"PATH": "/usr/bin:/bin", "UKCC_SYSROOT": "", "UKCC_KERNEL": "tiny"})
    assert caught.value.message == "UKCC_KERNEL is 'tiny'"
    assert caught.value.hint == "say general or auto, or unset it"


def test_a_link_knows_the_status_of_a_kernel_that_is_not_there():
    assert own_kernel._NOT_READY == program.NOT_READY
