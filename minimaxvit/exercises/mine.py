"""Check a module that a learner wrote, keep it when it is right, and put all of them together.

A cell with a right class goes into mine/maxvit.py, in the folder of the lesson, in the place of an
earlier one. The file begins with imports of the package's modules, and what the learner wrote
stands below and hides them: so it is always a whole MaxViT.
"""

import ast
import inspect
import linecache
import re
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from ..atomic_write import atomic_write
from .checking import differs, same
from .modules import MODULES

FILE = Path("mine") / "maxvit.py"
HEADER = '''"""My MaxViT. What I have not written yet is imported from the package."""

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import nn

from minimaxvit import GridAttention, MaxViT, MBConv, RelativeAttention
from minimaxvit.exercises.modules import MaxViTBlock
from minimaxvit.layers import BatchNorm, Conv3x3, FeedForward, gelu
from minimaxvit.mbconv import Downsample, SqueezeExcite
from minimaxvit.network import Head, Stem
from minimaxvit.partition import block_partition, block_reverse, grid_partition, grid_reverse
from minimaxvit.position import RelativePositionBias, relative_position_index
'''
TITLE = "# ---- Lesson {}: {} ----"
TITLES = re.compile("^" + TITLE.format(r"\d+", r"(\w+)") + "$", re.MULTILINE)
NAMES = [exercise.name for exercise in MODULES]


def check_module(exercise, answer):
    """Print whether `answer`, a class, is right, or what is wrong with it; keep it if it is right.

    Never raises. Only a class that has the name of the package's is kept.
    """
    print(wrong(exercise, answer) or _keep(exercise, answer))


def my_classes():
    """Put together what was kept, as attributes MBConv, RelativeAttention, ..., MaxViT.

    Says whose each is: what is missing, or is no longer right, is the package's.
    """
    kept, good = _sections(), {}
    for exercise in MODULES:
        name = exercise.name
        if name not in kept:
            print(f"{name}: the package's, until you write yours in lesson {exercise.lesson}")
            continue
        problem = _problem_by_itself(exercise, good | {name: kept[name]})
        if problem:
            print(f"{name}: the package's. Yours, in {FILE}: {problem}")
        else:
            good[name] = kept[name]
            print(f"{name}: yours")
    found = _run(_joined(good))
    return SimpleNamespace(**{name: found[name] for name in NAMES})


def wrong(exercise, answer):
    """Say what is wrong with a class; None if nothing is."""
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        return f"Not yet: give the class {exercise.name} itself, a subclass of nn.Module."
    if answer.__module__.startswith("minimaxvit"):
        return f"Not yet: this is the package's own {answer.__name__}; write one of your own."
    outputs, unlearned = [], None
    for arguments, inputs, ours in _cases(exercise):
        called = _called(exercise, arguments)
        try:
            mine = answer(**arguments).double().eval()
            if not list(mine.parameters()) and _is_a_stub(mine, inputs):
                return "Not attempted yet: replace each ... and run this cell again."
            if difference := _difference(ours.state_dict(), mine):
                return f"Not yet: {called} {difference}"
            fresh = mine(*inputs)
            mine.load_state_dict(mine.state_dict() | ours.state_dict())
            outputs.append(mine(*inputs))
            if outputs[-1] is ...:
                return "Not yet: the layers are right; now write `forward`."
            wanted = ours(*inputs)
            if getattr(outputs[-1], "shape", None) != wanted.shape:
                return f"Not yet: {called} {differs(outputs[-1], wanted)}."
            problem = _does_not_learn(ours, mine, inputs)
            if torch.equal(fresh, outputs[-1]):
                problem = "returns the same with other weights: `forward` must read them each time."
            if problem:
                unlearned = unlearned or f"Not yet: {called} {problem}"
        except Exception as error:  # theirs may fail in any way, which is also an answer
            return f"Not yet: {called} raised {type(error).__name__}: {error}"
    return _named(exercise, outputs) or unlearned or _wrong_values(exercise, outputs)


def _is_a_stub(module, inputs):
    try:
        return module(*inputs) is ...
    except Exception:  # its layers are compared first
        return False


def _cases(exercise):
    """Yield the arguments of each case, and the package's module with all numbers random."""
    for arguments, inputs in exercise.cases():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield arguments, inputs, randomized(exercise.truth(**arguments))


def randomized(module):
    """Fill a module, in float64 and evaluating, so that no norm, bias or table can be missed."""
    for part in module.double().eval().modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.1, 2)
    for numbers in module.parameters():
        matrix = numbers.ndim in (2, 4)  # it keeps the size of what goes through
        nn.init.normal_(numbers, std=numbers[0].numel() ** -0.5 if matrix else 1.0)
    return module


def _called(exercise, arguments):
    shown = [f"{name}={_written(value)}" for name, value in arguments.items()]
    return f"{exercise.name}({', '.join(shown)})"


def _written(value):
    if value is F.gelu:
        return "F.gelu"  # its name alone is that of the package's, which is the default
    return value if isinstance(value, int) else getattr(value, "__name__", "...")


def _difference(want, mine):
    """Say which numbers are missing, of another shape or too many. Buffers may be too many."""
    have = mine.state_dict()
    extra = [name for name, _ in mine.named_parameters() if name not in want]
    for name, numbers in want.items():
        if name not in have:
            if isinstance(_find(mine, name), torch.Tensor):
                return (
                    f"has {name} as a plain tensor, which does not learn: all that computes its "
                    f"first numbers belongs inside nn.Parameter(...)."
                )
            found = f"; it has {extra[0]}, which the package's does not have" if extra else ""
            return f"should have {name} of shape {tuple(numbers.shape)}{found}."
        if have[name].shape != numbers.shape:
            return f"has {name} of shape {tuple(have[name].shape)}, not {tuple(numbers.shape)}."
    return f"has {extra[0]}, which the package's does not have." if extra else None


def _find(module, name):
    """Find what a dotted name stands for in a module; None if it is not there."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _does_not_learn(ours, mine, inputs):
    """Say which parameter gets no gradient, or which running average moves otherwise."""
    outputs = [module.train()(*inputs) for module in (ours, mine)]
    for output in outputs:
        if output.requires_grad:
            output.square().sum().backward()
    grads = {name: p.grad for name, p in mine.named_parameters()}
    for name, parameter in ours.named_parameters():
        if parameter.grad is not None and grads.get(name) is None:
            return f"gives {name} no gradient: `forward` must compute with it, undetached."
    kept = dict(mine.named_buffers())
    for name, numbers in ours.named_buffers():
        if name.endswith("running_mean") and torch.allclose(outputs[1].to(outputs[0]), outputs[0]):
            if not torch.allclose(kept[name], numbers):
                return f"trains otherwise: the momentum of {name[:-13]} is 0.01: use `BatchNorm`."


def _named(exercise, outputs):
    """Say which known mistake gives these outputs; None if they are right or another mistake's."""
    cases = list(_cases(exercise))

    def agree(run):
        results = [run(ours, *inputs) for _, inputs, ours in cases]
        return all(map(same, outputs, results))

    if agree(lambda ours, *inputs: ours(*inputs)):
        return None
    found = (sentence for mistake, sentence in exercise.mistakes if agree(mistake))
    return next((f"Not yet: {sentence}" for sentence in found), None)


def _wrong_values(exercise, outputs):
    """Say which values are wrong in the first case with any; None if there is no such case."""
    for output, (arguments, inputs, ours) in zip(outputs, _cases(exercise), strict=True):
        if not same(output, wanted := ours(*inputs)):
            return f"Not yet: {_called(exercise, arguments)} {differs(output, wanted)}."


def _keep(exercise, answer):
    """Put the cell of a right answer into the file, if it is right there too; say what was done."""
    right = f"Right, in all {len(exercise.cases())} cases"
    if answer.__name__ != exercise.name:
        return f"{right}. (Under the name {exercise.name} it would have been kept.)"
    if not (cell := _cell(answer)):
        return f"{right}, but not kept: the text of its cell cannot be found."
    if problem := _problem_by_itself(exercise, sections := _sections() | {exercise.name: cell}):
        alone = f"In {FILE}, where the lesson's other cells are missing"
        return f"{right}, but not kept. {alone}, {problem}"
    try:
        atomic_write(FILE, lambda partial: partial.write_text(_joined(sections), "utf-8"))
    except OSError as error:
        return f"{right}, but not kept: {error}"
    return f"{right}, and kept in {FILE}."


def _cell(answer):
    """Take from the cell that defines a class all but calls, and imports of the package's modules.

    For those, mine/maxvit.py has its own imports, which what the learner wrote may hide.
    """
    code = getattr(inspect.unwrap(answer.forward), "__code__", None)
    text = "".join(linecache.getlines(code.co_filename)) if code else ""
    lines, kept = text.splitlines(), []
    for node in ast.parse(text).body:
        names = [alias.asname or alias.name for alias in getattr(node, "names", [])]
        if isinstance(node, ast.Expr) or set(names) & set(NAMES):
            continue
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        kept.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(kept)


def _sections():
    """Read what was kept: {"MBConv": text, ...}; nothing if there is no file."""
    if not FILE.is_file():
        return {}
    _, *found = TITLES.split(FILE.read_text("utf-8"))
    return {name: text.strip() for name, text in zip(found[::2], found[1::2], strict=True)}


def _joined(sections):
    parts = [
        f"{TITLE.format(each.lesson, each.name)}\n\n\n{sections[each.name]}\n"
        for each in MODULES
        if each.name in sections
    ]
    return "\n\n".join([HEADER, *parts])


def _run(text):
    found = {"__name__": "mine.maxvit"}
    exec(compile(text, str(FILE), "exec"), found)
    return found


def _problem_by_itself(exercise, sections):
    """Say why a section of the file is not right there; None if it is."""
    try:
        answer = _run(_joined(sections))[exercise.name]
    except Exception as error:
        return f"it raised {type(error).__name__}: {error}"
    problem = wrong(exercise, answer)
    return problem and problem.removeprefix("Not yet: ")
