"""Check whether an answer to an exercise is right, and if it is not, name the mistake.

A mistake is recognized by its results: the exercise keeps a function that makes the mistake, and an
answer that returns the same as that function in every case has made the same mistake.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import torch

FEW = 16  # the values of a tensor are printed if there are no more than this
INTEGERS = "return integers, not floats."  # said wherever the truth is in integers


@dataclass(frozen=True)
class Exercise:
    """What an answer is compared with, so that a new exercise takes only a few functions.

    `truth` is the correct answer; `cases()` lists tuples of arguments to call it with, of several
    sizes and with random values, in new tensors at each call; `mistakes` are pairs of a function
    that makes a mistake and a sentence that names it; `hints` range from a nudge to most of the
    way, and none is the whole solution. `demands` are pairs of a test and a sentence, for what must
    hold besides correct values: the test takes one result, and the sentence is printed if the test
    fails. Where the truth returns integers, an answer must, too; no demand is needed for that.
    """

    truth: Callable
    cases: Callable
    mistakes: tuple
    hints: tuple
    demands: tuple = ()


def check(exercise, answer):
    """Print whether `answer`, a function, is right, or what is wrong with it. Never raises."""
    print(verdict(exercise, answer))


def hint(exercise, level=1):
    """Print a hint; levels start at 1, and each gives more away. ValueError for others."""
    if not 1 <= level <= len(exercise.hints):
        raise ValueError(f"there are hints 1 to {len(exercise.hints)}, got {level}")
    print(f"Hint {level} of {len(exercise.hints)}: {exercise.hints[level - 1]}")


def verdict(exercise, answer):
    """Evaluate an answer in a line or two. A stub, which returns ..., counts as not attempted."""
    given, expected = _run(answer, exercise), _run(exercise.truth, exercise)
    if all(result is ... for result in given):
        return "Not attempted yet: replace the ... and run this cell again."
    if _agree(given, expected):
        if any(map(_floats_for_integers, given, expected)):
            return f"Not yet: the values are right, but {INTEGERS}"
        for met, sentence in exercise.demands:
            if not all(map(met, given)):
                return f"Not yet: the values are right, but {sentence}"
        return f"Right, in all {len(expected)} cases."
    # If nothing works, the error message of the answer itself says more.
    works = any(isinstance(result, torch.Tensor) for result in given)
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
        except Exception as error:  # an answer may fail in any way, which is also a result
            results.append(error)
    return results


def _agree(some, others):
    return all(same(one, other) for one, other in zip(some, others, strict=True))


def same(one, other):
    """Say whether two results agree: tensors by shape and value, exceptions by kind."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and _close(one, other).all().item()
    return isinstance(one, Exception) and type(one) is type(other)


def _close(got, wanted):
    """Compare two tensors of one shape, value by value: integers exactly, floats up to rounding."""
    if _floats_for_integers(got, wanted):
        return got == wanted.to(got)  # a float of 2.5 must not become the integer 2
    relative = _tolerance(wanted)  # and a tenth of it where a sum comes out near 0
    return torch.isclose(got.to(wanted), wanted, relative, relative / 10, equal_nan=True)


def _floats_for_integers(got, wanted):
    return _is_float(got) and not _is_float(wanted)


def _is_float(result):
    return isinstance(result, torch.Tensor) and result.is_floating_point()


def _tolerance(wanted):
    return 1e-5 if wanted.is_floating_point() else 0


def _first_difference(exercise, given, expected):
    for arguments, got, wanted in zip(exercise.cases(), given, expected, strict=True):
        if not same(got, wanted):
            names = signature(exercise.truth).parameters
            called = ", ".join(map(_describe, names, arguments))
            return f"called with {called}, it {differs(got, wanted)}"


def differs(got, wanted):
    """Say in words how a result differs from the one that was wanted."""
    if isinstance(got, Exception):
        return f"raised {type(got).__name__}: {got}"
    if not isinstance(got, torch.Tensor):
        return f"returned {type(got).__name__}, not a tensor"
    shapes = f"shape {tuple(got.shape)}, not {tuple(wanted.shape)}"
    if max(got.numel(), wanted.numel()) <= FEW:
        found = "got {}, wanted {}".format(*_written_apart(got, wanted))
        return found if got.shape == wanted.shape else f"returned {shapes}: {found}"
    if got.shape != wanted.shape:
        return f"returned {shapes}"
    wrong = ~_close(got, wanted)
    return f"got the shape right, but {wrong.sum()} of {wrong.numel()} values wrong"


def _written_apart(got, wanted):
    """Write the values of two tensors, with as many digits as it takes to see a difference."""
    for digits in range(3, 18):
        texts = [_written(values.tolist(), digits) for values in (got, wanted)]
        if texts[0] != texts[1]:
            break
    return texts


def _written(values, digits):
    if isinstance(values, list):
        return f"[{', '.join(_written(value, digits) for value in values)}]"
    if isinstance(values, float):
        return f"{values:.0f}" if values.is_integer() else f"{values:.{digits}g}"
    return str(values)


def _describe(name, argument):
    if isinstance(argument, torch.Tensor):
        if argument.ndim < 2 and argument.numel() <= FEW:
            return f"{name}={_written(argument.tolist(), 3)}"
        return f"{name} of shape {tuple(argument.shape)}"
    return name if callable(argument) else f"{name}={argument}"  # a function prints its address
