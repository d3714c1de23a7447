"""Results in a folder: whole files only, whoever writes at the same time."""

import multiprocessing

import pytest

from lit_autotune import TunerConfig, TuningReport
from lit_autotune.cache.store import CachedResult, ResultStore, WrittenValue, differences

VALUE = WrittenValue(places=(("module", "hparams", "lr"), ("module", "lr")), value=0.1)


def result(**module):
    report = TuningReport(version="1", config=TunerConfig())
    return CachedResult(fingerprint={"module": {"class": "a.B", **module}}, values=(VALUE,), report=report)


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "not" / "there")


def test_what_was_put_is_got_again(store):
    """For the same fingerprint, and for no other."""
    one = result(width=8)
    store.put(one)
    assert store.get({"module": {"width": 8, "class": "a.B"}}) == one
    assert store.get({"module": {"class": "a.B", "width": 16}}) is None


def test_results_are_listed_from_the_newest_on(store):
    """However their files are named."""
    several = [result(width=width) for width in range(4)]
    for one in several:
        store.put(one)
    assert store.results() == several[::-1]


@pytest.mark.parametrize("content", ["", "{", '{"made": 1}', '{"fingerprint": {}, "values": [], "report": {}}'])
def test_a_file_that_cannot_be_read_is_no_result(store, content):
    """It is passed over, and replaced by the next one."""
    one = result()
    store.put(one)
    store.path(one.key).write_text(content)
    assert store.get(one.fingerprint) is None
    assert store.results() == []
    store.put(one)
    assert store.results() == [one]


def test_only_our_files_are_removed(store):
    """The folder may be one of the user's."""
    store.put(result())
    store.put(result(width=3))
    others = store.folder / "theirs.json"
    others.write_text("{}")
    assert store.remove([result().key]) == 1
    assert store.remove() == 1
    assert list(store.folder.iterdir()) == [others]


def _put_often(folder):
    for _ in range(100):
        ResultStore(folder).put(result())


@pytest.mark.slow
def test_a_reader_sees_whole_files_while_others_write(store):
    """Two processes write the same result again and again: it is there all the time, and nothing else is left."""
    store.put(result())
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put_often, args=(store.folder,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert store.get(result().fingerprint) is not None
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in store.folder.iterdir()] == [store.path(result().key).name]


def test_differences_are_told_in_words():
    """With both values where they are short; what only one has is a difference, too."""
    one = {"module": {"width": 8, "layers": "0" * 50}, "settings": {"lr_min": 1e-8}}
    other = {"module": {"width": 16, "layers": "1" * 50, "depth": 2}, "settings": {"lr_min": 1e-8}}
    assert differences(one, other) == [
        "module: width was 8, is 16",
        "module: layers changed",
        "module: depth was nothing, is 2",
    ]
    assert differences(one, one) == []
    assert differences({"a": {"b": 1}}, {}) == ["a: b was 1, is nothing"]
