"""Say of an answer whether it is right, and if it is not, name the mistake.

A mistake is known by what it does: the exercise keeps a function that makes it, and an answer that
behaves like that function in every case is told what that function did.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import torch


@dataclass(frozen=True)
class Exercise:
    """What an answer is held against, so that a new exercise is a few functions and no code.

    `truth` takes the arguments that the answer takes; `cases()` lists tuples of such arguments, of
    several sizes and random values, new tensors at each call; `mistakes` are pairs of a function
    that makes the mistake and a sentence that names it; `hints` go from a nudge to nearly the line.
    `demands` are pairs of a test and a sentence, on what right numbers must be besides right: the
    test takes one result, and where it fails the sentence is said.
    """

    truth: Callable
    cases: Callable
    mistakes: tuple
    hints: tuple
    demands: tuple = ()


def check(exercise, answer):
    """Print whether `answer`, a function, is right, or what is wrong. Never raises for it."""
    print(verdict(exercise, answer))


def hint(exercise, level=1):
    """Print a hint; each level, from 1, gives more away. ValueError for a level not there."""
    if not 1 <= level <= len(exercise.hints):
        raise ValueError(f"there are hints 1 to {len(exercise.hints)}, got {level}")
    print(f"Hint {level} of {len(exercise.hints)}: {exercise.hints[level - 1]}")


def verdict(exercise, answer):
    """Judge an answer in one or two lines of text. A stub, which returns ..., is not attempted."""
    given, expected = _run(answer, exercise), _run(exercise.truth, exercise)
    if all(result is ... for result in given):
        return "Not attempted yet: replace the ... and run this cell again."
    if _agree(given, expected):
        for met, sentence in exercise.demands:
            if not all(map(met, given)):
                return f"Not yet: right numbers, but {sentence}"
        return f"Right, in all {len(expected)} cases."
    works = any(isinstance(result, torch.Tensor) for result in given)  # else its error says more
    for mistake, sentence in exercise.mistakes:
        if works and _agree(given, _run(mistake, exercise)):
            return f"Not yet: {sentence}"
    return f"Not yet: {_first_difference(exercise, given, expected)}"


def _run(function, exercise):
    """Collect what a function returns, or raises, for the arguments of each case."""
    results = []
    for arguments in exercise.cases():
        try:
            results.append(function(*arguments))
        except Exception as error:  # an answer may fail in any way, and that is a result too
            results.append(error)
    return results


def _agree(some, others):
    return all(_same(one, other) for one, other in zip(some, others, strict=True))


def _same(one, other):
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and torch.allclose(one.to(other), other, equal_nan=True)
    return isinstance(one, Exception) and type(one) is type(other)


def _first_difference(exercise, given, expected):
    for arguments, got, wanted in zip(exercise.cases(), given, expected, strict=True):
        if not _same(got, wanted):
            names = signature(exercise.truth).parameters
            called = ", ".join(map(_describe, names, arguments))
            return f"called with {called}, it {_differs(got, wanted)}"


def _differs(got, wanted):
    if isinstance(got, Exception):
        return f"raised {type(got).__name__}: {got}"
    if not isinstance(got, torch.Tensor):
        return f"returned {type(got).__name__}, not a tensor"
    if got.shape != wanted.shape:
        return f"returned shape {tuple(got.shape)}, not {tuple(wanted.shape)}"
    wrong = ~torch.isclose(got.to(wanted), wanted)
    return f"got the shape right, but {wrong.sum()} of {wrong.numel()} values wrong"


def _describe(name, argument):
    if isinstance(argument, torch.Tensor):
        return f"{name} of shape {tuple(argument.shape)}"
    return name if callable(argument) else f"{name}={argument}"  # a function prints its address
