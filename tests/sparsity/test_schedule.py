import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import SCHEDULES, Schedule, make_schedule


def test_constant_and_step() -> None:
    constant = make_schedule("constant", 0.9, 100)
    assert [constant(step) for step in (0, 50, 100, 1000)] == [0.9] * 4
    step = make_schedule("step", 0.9, 100, warmup=60)
    assert [step(t) for t in (0, 59, 60, 61, 100)] == [0, 0, 0.9, 0.9, 0.9]


def test_ramps_follow_the_closed_form() -> None:
    linear = make_schedule("linear", 0.8, 100, warmup=20, ramp_end=60)
    cubic = make_schedule("cubic", 0.8, 100, warmup=20, ramp_end=60)
    for t in range(101):
        u = min(max((t - 20) / 40, 0), 1)
        assert linear(t) == pytest.approx(0.8 * u)
        assert cubic(t) == pytest.approx(0.8 * (1 - (1 - u) ** 3))
    assert linear(60) == cubic(60) == 0.8


def test_ramp_ends_half_way_by_default() -> None:
    assert make_schedule("linear", 0.9, 100)(25) == pytest.approx(0.45)
    assert make_schedule("linear", 0.9, 100)(50) == 0.9
    cubic = make_schedule("cubic", 0.9, 100, warmup=40)
    assert cubic(69) < 0.9
    assert cubic(70) == 0.9
    assert make_schedule("cubic", 0.9, 1)(1) == 0.9


def test_released_ramp_per_epoch_that_ignores_its_warmup() -> None:
    # As released, epochs e of 100: 0 before warm-up E_w, then target * e / (E / 2).
    epochs, warmup, target, steps_per_epoch = 100, 20, 0.9, 7
    ramp = make_schedule("linear", target, epochs)

    def released(step: int) -> float:
        epoch = step // steps_per_epoch
        return 0.0 if epoch < warmup else ramp(epoch)

    schedule: Schedule = released
    assert schedule(steps_per_epoch * warmup - 1) == 0
    assert schedule(steps_per_epoch * warmup) == pytest.approx(target * warmup / 50)
    assert schedule(steps_per_epoch * 50) == target


@given(
    name=st.sampled_from(SCHEDULES),
    target=st.floats(0, 1, exclude_max=True),
    total=st.integers(1, 10_000),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_every_schedule_rises_from_its_warmup_to_its_target(
    name: str, target: float, total: int, fraction: float
) -> None:
    warmup = 0 if name == "constant" else int(fraction * total)
    schedule = make_schedule(name, target, total, warmup=warmup)
    values = [schedule(total * i // 50) for i in range(51)]
    assert all(0 <= value <= target for value in values)
    assert values == sorted(values)
    assert schedule(total) == target
    if warmup:
        assert schedule(warmup - 1) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quadratic", 0.9, 100), "constant, step, linear, cubic"),
        (("cubic", 1.0, 100), "1.0 is not in"),
        (("cubic", -0.1, 100), "-0.1 is not in"),
        (("cubic", float("nan"), 100), "nan is not in"),
        (("cubic", 0.9, 0), "total_steps 0"),
        (("step", 0.9, 100, 100), "warmup 100 is outside"),
        (("step", 0.9, 100, -1), "warmup -1 is outside"),
        (("constant", 0.9, 100, 10), "use 'step'"),
        (("step", 0.9, 100, 10, 20), "no ramp_end"),
        (("linear", 0.9, 100, 20, 20), "ramp_end 20 is not after warmup 20"),
        (("linear", 0.9, 100, 20, 101), "ramp_end 101"),
    ],
)
def test_wrong_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_schedule(*arguments)
