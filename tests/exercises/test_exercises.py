"""Every exercise in its three states: not attempted, right, and wrong in each known way."""

import re
from inspect import ismodule
from math import ceil

import pytest
import torch
from einops import rearrange

from minimaxvit import (
    block_partition,
    block_reverse,
    exercises,
    grid_partition,
    relative_position_index,
)
from minimaxvit.exercises import (
    EFFECTIVE_KEYS,
    GRID_LAYER,
    GROUP_OF,
    PASTE_GRID,
    READ_BIAS,
    RELATIVE_INDEX,
    STAGE_SIDES,
    WINDOW_COST,
    Exercise,
    check,
    hint,
)
from minimaxvit.exercises.checking import verdict

EXERCISES = {name: e for name, e in vars(exercises).items() if isinstance(e, Exercise)}
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
MISTAKES = [(e, *mistake) for e in EXERCISES.values() for mistake in e.mistakes]


def stub(*arguments):
    return ...


@every_exercise
def test_a_stub_is_not_attempted(exercise, capsys):
    check(exercise, stub)
    assert capsys.readouterr().out.startswith("Not attempted yet")


@every_exercise
def test_the_truth_is_right_in_several_cases(exercise, capsys):
    assert len(exercise.cases()) > 1
    check(exercise, exercise.truth)
    assert capsys.readouterr().out == f"Right, in all {len(exercise.cases())} cases.\n"


@pytest.mark.parametrize("exercise, mistake, sentence", MISTAKES)
def test_each_mistake_is_called_by_its_name(exercise, mistake, sentence):
    assert verdict(exercise, mistake) == f"Not yet: {sentence}"


def test_there_are_sixteen_and_at_least_two_per_lesson():
    lessons = [vars(module).values() for module in vars(exercises).values() if ismodule(module)]
    counts = [sum(isinstance(value, Exercise) for value in values) for values in lessons]
    assert len(EXERCISES) >= 16
    assert all(count >= 2 for count in counts if count)


@every_exercise
def test_hints_come_one_by_one(exercise, capsys):
    for level, text in enumerate(exercise.hints, start=1):
        hint(exercise, level)
        assert capsys.readouterr().out == f"Hint {level} of {len(exercise.hints)}: {text}\n"
    for level in (0, len(exercise.hints) + 1):
        with pytest.raises(ValueError, match="there are hints 1 to"):
            hint(exercise, level)


@every_exercise
def test_cases_are_the_same_each_time_and_their_tensors_new(exercise):
    for some, others in zip(exercise.cases(), exercise.cases(), strict=True):
        for one, other in zip(some, others, strict=True):
            tensor = isinstance(one, torch.Tensor)
            assert torch.equal(one, other) and one is not other if tensor else one == other


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (lambda groups, grid, h, w: None, "returned NoneType, not a tensor"),
        (lambda groups, grid, h, w: groups, r"returned shape \(2, 8, 4, 3\), not \(2, 4, 8, 3\)"),
        (lambda groups, grid, h, w: groups[0], r"returned shape \(8, 4, 3\), not \(2, 4, 8, 3\)"),
        (lambda groups: groups, "raised TypeError"),
        (lambda groups, grid, h, w: block_reverse(-groups, grid, h, w), "192 of 192 values wrong"),
    ],
)
def test_other_wrong_answers_are_told_how_their_result_differs(answer, complaint):
    said = verdict(PASTE_GRID, answer)
    assert said.startswith(
        "Not yet: called with groups of shape (2, 8, 4, 3), grid=2, h=4, w=8, it "
    )
    assert re.search(complaint, said)


def test_a_correct_answer_written_differently_is_right():
    def by_slices(groups, grid, h, w):
        x = groups.new_empty(len(groups), h, w, groups.shape[-1])
        down, right = h // grid, w // grid
        for group, tokens in enumerate(groups.unbind(1)):
            row, column = divmod(group, right)
            x[:, row::down, column::right] = tokens.unflatten(1, (grid, grid))
        return x

    assert verdict(PASTE_GRID, by_slices).startswith("Right")


@pytest.mark.parametrize(
    "exercise, answer, complaint",
    [
        (RELATIVE_INDEX, lambda p: relative_position_index(p).int(), "the indices must be `long`."),
        (
            READ_BIAS,
            lambda table, window: READ_BIAS.truth(table.detach(), window),
            "the tables get no gradient: keep them in the computation, or they never learn.",
        ),
    ],
)
def test_correct_values_may_not_be_enough(exercise, answer, complaint):
    assert verdict(exercise, answer) == f"Not yet: the values are right, but {complaint}"


@every_exercise
def test_floats_are_refused_with_one_sentence_where_integers_are_meant(exercise):
    answers = [exercise.truth(*arguments) for arguments in exercise.cases()]
    said = verdict(exercise, lambda *arguments: exercise.truth(*arguments).double())
    if all(answer.is_floating_point() for answer in answers):
        assert said.startswith("Right")
    else:
        assert said == "Not yet: the values are right, but return integers, not floats."


def test_a_float_between_two_integers_is_wrong_and_not_rounded():
    said = verdict(STAGE_SIDES, lambda side, stages: STAGE_SIDES.truth(side, stages) + 0.25)
    assert said.endswith(
        "side=224, stages=4, it got [56.2, 28.2, 14.2, 7.25], wanted [56, 28, 14, 7]"
    )


def test_integers_must_be_exact_however_large():
    said = verdict(WINDOW_COST, lambda *sizes: WINDOW_COST.truth(*sizes) + 1)
    assert said.endswith("h=8, w=8, c=32, window=4, it got 327681, wanted 327680")


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (
            lambda side, stages: torch.tensor([3]),
            "returned shape (1,), not (4,): got [3], wanted [56, 28, 14, 7]",
        ),
        (
            lambda side, stages: torch.tensor(3),
            "returned shape (), not (4,): got 3, wanted [56, 28, 14, 7]",
        ),
        (
            lambda side, stages: torch.tensor([[56]]),
            "returned shape (1, 1), not (4,): got [[56]], wanted [56, 28, 14, 7]",
        ),
        (lambda side, stages: torch.ones(20), "returned shape (20,), not (4,)"),
    ],
)
def test_few_values_are_printed_beside_what_was_wanted(answer, complaint):
    assert verdict(STAGE_SIDES, answer) == (
        f"Not yet: called with side=224, stages=4, it {complaint}"
    )


def test_a_small_argument_is_printed_and_a_float_is_rounded_until_it_differs():
    said = verdict(GROUP_OF, lambda row, *others: row)
    assert re.match(
        r"Not yet: called with row=\[(\d, ){5}\d\], column=\[.*h=6, w=6, grid=2, it", said
    )
    said = verdict(EFFECTIVE_KEYS, lambda weights: EFFECTIVE_KEYS.truth(weights) * 1.0001)
    assert re.search(r"it got (\[\d\.\d{4}.*\]), wanted (?!\1)\[\d\.\d{4}.*\]$", said)


def test_a_large_whole_float_is_written_without_an_exponent():
    said = verdict(WINDOW_COST, lambda h, w, c, window: torch.tensor(1234567.0))
    assert said.endswith("it got 1234567, wanted 327680")


def test_one_rounding_up_at_the_end_is_right_as_well():
    def answer(side, stages):
        return torch.tensor([ceil(side / 2 ** (stage + 2)) for stage in range(stages)])

    assert verdict(STAGE_SIDES, answer).startswith("Right")


@every_exercise
def test_no_hint_is_the_whole_answer(exercise):
    for text in exercise.hints:
        with pytest.raises(SyntaxError):
            compile(text, "a hint", "eval")


def test_a_function_is_called_by_its_name_and_not_by_its_address():
    said = verdict(GRID_LAYER, lambda x, grid, norm, attend, feed_forward: x)
    assert "called with x of shape (2, 4, 8, 3), grid=2, norm, attend, feed_forward, it got" in said


def test_an_answer_that_is_right_on_square_maps_only_is_not_right():
    def answer(groups, grid, h, w):
        return rearrange(
            groups, "b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n2) c", n1=w // grid, g1=grid
        )

    assert verdict(PASTE_GRID, answer).startswith(
        "Not yet: called with groups of shape (2, 8, 4, 3), grid=2, h=4"
    )


def test_the_cases_tell_block_from_grid():
    for groups, grid, h, w in PASTE_GRID.cases():
        x = PASTE_GRID.truth(groups, grid, h, w)
        torch.testing.assert_close(grid_partition(x, grid), groups)
        assert not torch.equal(block_partition(x, grid), groups)


@pytest.mark.parametrize(
    "pattern, complaint",
    [
        ("b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n2) c", "Could not infer sizes"),
        ("b (n1 n2) (g1 g2) c -> b (g1 n1) (g2 n3) c", "Identifiers only on one side"),
    ],
)
def test_an_answer_that_only_raises_gets_its_own_error_message(pattern, complaint):
    def answer(groups, grid, h, w):
        return rearrange(groups, pattern, g1=grid, g2=grid)

    assert complaint in verdict(PASTE_GRID, answer)
