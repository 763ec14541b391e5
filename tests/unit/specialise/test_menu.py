"""What was changed in the kernel's menu, as lines for a uk.toml."""

from ukcc.specialise.menu import changed


def test_each_option_with_another_value_is_a_line() -> None:
    before = {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": "100", "CONFIG_D": "y"}
    after = {"CONFIG_A": "y", "CONFIG_B": "y", "CONFIG_C": "250", "CONFIG_E": '"x"'}
    assert changed(before, after, ()) == (
        "CONFIG_B=y",
        "CONFIG_C=250",
        "# CONFIG_D is not set",
        'CONFIG_E="x"',
    )


def test_earlier_lines_stay_unless_they_are_changed_again() -> None:
    earlier = ("CONFIG_HZ_1000=y", "# CONFIG_B is not set")
    assert changed({}, {"CONFIG_B": "y"}, earlier) == ("CONFIG_HZ_1000=y", "CONFIG_B=y")
    assert changed({}, {}, earlier) == earlier
