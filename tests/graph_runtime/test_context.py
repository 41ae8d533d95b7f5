import threading

import pytest

from loragraph.graph_runtime import Cancelled, FakeContext, ModelCache


def test_the_fake_records_and_cancels(tmp_path):
    ctx = FakeContext(tmp_path / "node", cancel_after=2)
    ctx.progress(1, 3, "going", preview=tmp_path / "p.png")
    ctx.metric("loss", 0.5, 1)
    assert ctx.steps == [(1, 3, "going")]
    assert ctx.metrics == [("loss", 0.5, 1)]
    assert ctx.previews == [tmp_path / "p.png"]
    assert ctx.folder.is_dir()
    assert ctx.scratch.is_dir()
    assert ctx.out.is_dir()
    assert len({ctx.folder, ctx.scratch, ctx.out}) == 3
    ctx.check_cancel()
    ctx.check_cancel()
    with pytest.raises(Cancelled):
        ctx.check_cancel()


def test_the_model_cache_keeps_the_last_used():
    cache, built = ModelCache(max_items=2), []

    def get(key):
        return cache.get(key, lambda: built.append(key) or key)

    for key in "abacab":
        assert get(key) == key
    assert built == ["a", "b", "c", "b"]
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0


def test_the_oldest_model_is_gone_before_a_new_one_is_built():
    cache = ModelCache(max_items=1)
    cache.get("a", lambda: 1)
    assert cache.get("b", lambda: len(cache)) == 0


def test_a_build_that_fails_leaves_nothing_and_one_may_ask_for_another():
    cache = ModelCache()
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 / 0)
    assert cache.get("a", lambda: cache.get("b", lambda: 1) + 1) == 2
    with pytest.raises(ValueError, match="at least one"):
        ModelCache(0)


def test_many_threads_build_a_model_once():
    cache, built, barrier = ModelCache(), [], threading.Barrier(8)

    def one():
        barrier.wait()
        cache.get("a", lambda: built.append(1))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
