"""Phases of work: nested ones count once, threads add up, and bytes and patches are counted where they are known."""

import threading
import time

import pytest

from histoforge.core.timings import Work, add_work, forget_work, spent, work_so_far

PAUSE = 0.05


@pytest.fixture(autouse=True)
def nothing_counted_before():
    forget_work()


def test_a_phase_inside_another_interrupts_it():
    began = time.perf_counter()
    with spent("write"):
        time.sleep(PAUSE)
        with spent("read"):
            time.sleep(PAUSE)
            with spent("decode"):
                time.sleep(PAUSE)
        time.sleep(PAUSE)
    whole = time.perf_counter() - began
    work = work_so_far()
    assert list(work) == ["read", "decode", "write"]
    assert sum(each.seconds for each in work.values()) == pytest.approx(whole, rel=1e-2)
    assert work["read"].seconds >= PAUSE
    assert work["write"].seconds >= 2 * PAUSE


def test_threads_add_up_and_do_not_interrupt_each_other():
    both_inside = threading.Barrier(2)

    def work():
        with spent("decode"):
            both_inside.wait()
            time.sleep(PAUSE)

    threads = [threading.Thread(target=work) for _ in range(2)]
    with spent("compute"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = work_so_far()
    assert seconds["decode"].seconds >= 2 * PAUSE
    assert seconds["compute"].seconds >= PAUSE


def test_what_is_known_only_inside_the_block_counts_as_well():
    with spent("read", size=10, patches=1) as work:
        work.bytes += 5
    add_work({"read": Work(2.0, 100, 7)})
    read = work_so_far()["read"]
    assert (read.bytes, read.patches) == (115, 8)
    assert read.seconds >= 2.0


def test_a_block_that_fails_counts_and_leaves_no_trace_on_the_next():
    with pytest.raises(ValueError, match="bad"), spent("read"):
        with spent("decode"):
            time.sleep(PAUSE)
        raise ValueError("bad")
    with spent("read"):
        pass
    assert set(work_so_far()) == {"read", "decode"}
    assert 0 <= work_so_far()["read"].seconds < PAUSE
