"""The table that a link checks a file by says what the options of `ukcc run` are."""

from ukcc.cli.configured import keys_of, long_name
from ukcc.cli.run import command
from ukcc.settings import foreign, keys


def test_the_table_is_that_of_the_options() -> None:
    assert keys_of(command) == keys.KEYS


def test_every_option_is_a_key_or_refused() -> None:
    names = {long_name(option) for option in command.params} - {"image", "arguments", "help"}
    assert names == (names & {*keys.KEYS, *keys.REFUSED})
    assert not keys.KEYS.keys() & keys.REFUSED.keys()


def test_paths_are_of_keys() -> None:
    assert keys.KEYS.keys() >= keys.OF_HOST


def test_there_is_a_rule_for_every_key_of_an_image() -> None:
    """What an image may say of it is decided, in a table, for each."""
    assert foreign.RULES.keys() == {*keys.KEYS, *keys.FURTHER}
    assert all(foreign.refused(key, "x") for key in (*keys.OF_HOST, keys.FILES, "unheard-of"))
