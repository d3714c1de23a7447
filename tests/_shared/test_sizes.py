"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_autotune._shared.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GiB", 24 * 2**30),
        ("80GB", 80 * 10**9),
        ("512 MiB", 512 * 2**20),
        ("1.5gib", 3 * 2**29),
        (" 3 TiB ", 3 * 2**40),
        ("100KB", 100_000),
        ("4096B", 4096),
    ],
)
def test_sizes_are_read(text, size):
    """Binary and decimal units, in any case, with or without a blank, or plain bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "24 G i B", "-1GiB", "80%", "24GX", "0MiB", "1e9", "1,5GiB", "nan"])
def test_what_is_no_size_is_refused(text):
    """The message shows the text and an example."""
    with pytest.raises(ValueError, match="is not a size such as '24GiB'"):
        parse_size(text)


@pytest.mark.parametrize("text", ["24", " 1.5 "])
def test_a_size_without_a_unit_is_asked_for_one(text):
    """Nobody means 24 bytes."""
    with pytest.raises(ValueError, match=f"has no unit; write '{text.strip()}GiB'"):
        parse_size(text)


@given(st.integers(1, 2**50))
def test_written_sizes_read_back(size):
    """To the digits that are shown."""
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06, abs=1)
