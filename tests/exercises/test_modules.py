"""The modules that learners write: named mistakes, what is kept, and a MaxViT put together."""

import linecache
import re
import shutil
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from nbclient import NotebookClient
from torch import nn

from minimaxvit import exercises, pretrained
from minimaxvit.exercises import MBCONV, check_module, mine, my_classes
from minimaxvit.exercises.mine import FILE, HEADER, randomized, wrong
from minimaxvit.exercises.modules import MODULES

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
every_module = pytest.mark.parametrize("exercise", MODULES, ids=mine.NAMES)
MISTAKES = [(e, *mistake) for e in MODULES for mistake in e.mistakes]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@cache
def solution(exercise):
    """The solution in the lesson, as a learner would write it."""
    (path,) = NOTEBOOKS.glob(f"{exercise.lesson:02}-*.ipynb")
    for cell in nbformat.read(path, 4).cells:
        if "solution" in cell.metadata.get("tags", []) and "check_module(" in cell.source:
            return cell.source.replace("Solution", "")
    raise AssertionError(f"{path.name} has no solution of {exercise.name}")


def run_cell(text):
    """Run a cell as IPython does, which keeps its text where inspect finds it."""
    name = f"<cell {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found = {"__name__": "__main__"}
    exec(HEADER, found)
    exec("from minimaxvit.exercises import *", found)
    exec(compile(text, name, "exec"), found)
    return found


def write_all():
    for exercise in MODULES:
        run_cell(solution(exercise))


@every_module
def test_the_solution_of_the_lesson_is_right_and_kept(exercise, capsys):
    run_cell(solution(exercise))
    cases = len(exercise.cases())
    assert capsys.readouterr().out == f"Right, in all {cases} cases, and kept in {FILE}.\n"
    assert f"class {exercise.name}(" in FILE.read_text()
    assert "check_module(" not in FILE.read_text()


@pytest.mark.parametrize("exercise, mistake, sentence", MISTAKES)
def test_each_mistake_is_called_by_its_name(exercise, mistake, sentence):
    outputs = [mistake(ours, *inputs) for _, inputs, ours in mine._cases(exercise)]
    assert mine._named(exercise, outputs) == f"Not yet: {sentence}"


@every_module
def test_there_are_several_cases_mistakes_and_hints(exercise):
    assert len(exercise.cases()) > 1 and len(exercise.mistakes) > 3 and len(exercise.hints) > 1
    assert not any(hint in solution(exercise) for hint in exercise.hints)


class Stub(nn.Module):
    def __init__(self, in_dim, dim, stride=1, expansion=4, activation=None):
        super().__init__()
        ...

    def forward(self, x):
        return ...


class WithLayers(exercises.modules.MBConv):
    def forward(self, x):
        return ...


class Detached(exercises.modules.MBConv):
    def forward(self, x):
        return self.shortcut(x) + super().forward(x).detach() - self.shortcut(x).detach()


class Unheard(exercises.modules.MBConv):
    def __init__(self, **options):
        super().__init__(**options)
        self.norm.momentum = 0.1


class Scaled(exercises.modules.MBConv):
    def forward(self, x):
        return 2 * super().forward(x)


class Extra(exercises.modules.MBConv):
    def __init__(self, **options):
        super().__init__(**options)
        self.more = nn.Linear(2, 2)


class Renamed(exercises.modules.MBConv):
    def __init__(self, **options):
        super().__init__(**options)
        self.widen = self.expand
        del self.expand


class OtherShape(exercises.modules.MBConv):
    def __init__(self, in_dim, dim, **options):
        super().__init__(in_dim, dim, **options)
        self.expand = nn.Conv2d(in_dim, dim, 1, bias=False)


class Several(exercises.modules.MBConv):
    def forward(self, x):
        return [super().forward(x)]


class Cropped(exercises.modules.MBConv):
    def forward(self, x):
        return super().forward(x)[..., 1:]


class Raising(exercises.modules.MBConv):
    def forward(self, x):
        return x + torch.ones(3)


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (Stub, "Not attempted yet: replace each ... and run this cell again."),
        (WithLayers, "Not yet: the layers are right; now write `forward`."),
        (Detached, "gives norm.weight no gradient: `forward` must compute with it, undetached."),
        (Unheard, "trains otherwise: the momentum of norm is 0.01: use `BatchNorm`."),
        (Scaled, r"MBConv\(in_dim=8, dim=8\) got the shape right, but \d+ of 480 values wrong\."),
        (Extra, "has more.weight, which the package's does not have."),
        (Renamed, r"should have expand.weight of shape \(32, 8, 1, 1\); it has widen.weight"),
        (OtherShape, r"has expand.weight of shape \(8, 8, 1, 1\), not \(32, 8, 1, 1\)."),
        (Several, "returned list, not a tensor."),
        (Cropped, r"returned shape \(2, 8, 5, 5\), not \(2, 8, 5, 6\)."),
        (Raising, r"MBConv\(in_dim=8, dim=8\) raised RuntimeError"),
        (MBCONV.truth, "this is the package's own MBConv; write one of your own."),
        (nn.Identity(), "give the class MBConv itself"),
        (len, "give the class MBConv itself"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(answer, complaint, capsys):
    check_module(MBCONV, answer)
    assert re.search(complaint, capsys.readouterr().out)
    assert not FILE.exists()


def test_a_table_that_is_read_once_is_said_not_to_be_read():
    class ReadOnce(exercises.modules.RelativePositionBias):
        def __init__(self, **options):
            super().__init__(**options)
            self.register_buffer("read", super().forward().detach(), persistent=False)

        def forward(self):
            return self.read

    assert "returns the same with other weights" in wrong(exercises.POSITION_BIAS, ReadOnce)


def test_a_table_that_is_read_once_with_its_history_is_said_not_to_be_read():
    class ReadOnce(exercises.modules.RelativePositionBias):
        def __init__(self, **options):
            super().__init__(**options)
            self.read = super().forward()

        def forward(self):
            return self.read

    said = "returns the same with other weights: `forward` must read them each time."
    assert said in wrong(exercises.POSITION_BIAS, ReadOnce)


def test_a_table_that_is_no_parameter_is_said_to_get_no_gradient():
    class Buffered(exercises.POSITION_BIAS.truth):
        def __init__(self, **options):
            super().__init__(**options)
            table = self.table.detach()
            del self.table
            self.register_buffer("table", table)

    assert "gives table no gradient" in wrong(exercises.POSITION_BIAS, Buffered)


def test_a_table_that_is_a_product_with_a_parameter_is_called_a_plain_tensor():
    class Scaled(exercises.POSITION_BIAS.truth):
        def __init__(self, **options):
            super().__init__(**options)
            table = 0.02 * torch.nn.Parameter(torch.randn_like(self.table))
            del self.table
            self.table = table

    said = wrong(exercises.POSITION_BIAS, Scaled)
    assert "has table as a plain tensor, which does not learn" in said


def test_a_case_with_pytorchs_gelu_is_told_from_the_default():
    class Halved(exercises.MBCONV.truth):
        def forward(self, x):
            return super().forward(x) / (2 if self.activation is F.gelu else 1)

    assert "expansion=2, activation=F.gelu) got the shape right" in wrong(MBCONV, Halved)


def test_layers_in_a_plain_list_are_missed_by_name():
    class InAList(exercises.modules.MaxViTBlock):
        def __init__(self, **options):
            super().__init__(**options)
            parts = list(self.parts)
            del self.parts
            self.parts = parts

    assert "should have parts.0" in wrong(exercises.MAXVIT_BLOCK, InAList)


def test_another_class_name_is_checked_and_not_kept(capsys):
    run_cell(solution(MBCONV).replace("MBConv", "MyConv"))
    assert "Under the name MBConv it would have been kept" in capsys.readouterr().out
    assert not FILE.exists()


def test_what_is_right_only_with_the_help_of_another_cell_is_not_kept(capsys):
    text = solution(MBCONV).replace("expansion * dim", "expansion * helper(dim)")
    assert "helper" in text
    name = "<helped>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found = {"helper": lambda dim: dim}
    exec(HEADER + "from minimaxvit.exercises import *", found)
    exec(compile(text, name, "exec"), found)
    said = capsys.readouterr().out
    assert (
        "where the lesson's other cells are missing" in said
        and "name 'helper' is not defined" in said
    )
    assert "Not yet" not in said
    assert not FILE.exists()


def test_a_later_answer_takes_the_place_of_an_earlier_one_and_leaves_the_others():
    write_all()
    before = FILE.read_text()
    run_cell(solution(MBCONV) + "\n\nMARK = 1\n")
    after = FILE.read_text()
    assert after.replace("MARK = 1", "").split() == before.split()
    assert after.count("class MBConv(") == 1
    assert re.findall(r"# ---- Lesson (\d)", after) == ["2", "3", "5", "6", "7"]


def test_a_stub_that_is_run_again_loses_nothing():
    write_all()
    before = FILE.read_text()
    check_module(MBCONV, Stub)
    assert FILE.read_text() == before


def test_imports_of_the_packages_modules_do_not_hide_the_learners_own():
    write_all()
    block = next(e for e in MODULES if e.lesson == 6)
    run_cell("from minimaxvit import MBConv, RelativeAttention\n" + solution(block))
    classes = my_classes()
    parts = classes.MaxViTBlock(8 * 4, 32, window=2).parts
    assert type(parts[0]) is classes.MBConv and parts[0].__module__ == "mine.maxvit"
    assert type(parts[1].attention) is classes.RelativeAttention


def test_nothing_written_gives_the_packages_network(capsys):
    classes = my_classes()
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1][:14] for line in said] == 5 * [" the package's"]
    assert said[0].endswith("until you write yours in lesson 2")
    assert classes.MaxViT is MODULES[-1].truth


@pytest.mark.parametrize("name", ["compact", "compact-shapes"])
def test_all_written_gives_a_network_that_runs_with_bundled_weights(name, capsys):
    write_all()
    capsys.readouterr()
    classes, ours = my_classes(), pretrained(name)
    assert capsys.readouterr().out == "".join(f"{each}: yours\n" for each in mine.NAMES)
    network = classes.MaxViT(ours.config).eval()
    network.load_state_dict(ours.state_dict())
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(network(images), ours(images))
    assert not isinstance(network, type(ours))


@every_module
def test_one_written_is_used_with_the_packages_others(exercise, capsys):
    run_cell(solution(exercise))
    capsys.readouterr()
    classes = my_classes()
    said = capsys.readouterr().out.splitlines()
    assert [line.endswith(": yours") for line in said] == [e is exercise for e in MODULES]
    config = pretrained("compact").config
    network = randomized(classes.MaxViT(config))
    ours = MODULES[-1].truth(config).double().eval()
    ours.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(network(images), ours(images))


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda text: text.replace("x) + self.shrink", "x) - self.shrink"), "480 values wrong"),
        (lambda text: text.replace("def forward(self, x):", "def forward(self, x)"), "SyntaxError"),
        (lambda text: text.replace("self.shrink = ", "self.narrow = "), "should have shrink"),
    ],
)
def test_what_was_spoiled_in_the_file_is_said_and_the_packages_taken(spoil, complaint, capsys):
    run_cell(solution(MBCONV))
    FILE.write_text(spoil(FILE.read_text()))
    capsys.readouterr()
    assert my_classes().MBConv is MBCONV.truth
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f"MBConv: the package's. Yours, in {FILE}: ") and complaint in said


def test_a_folder_that_cannot_be_written_is_said(folder, capsys):
    (folder / "mine").write_text("a file")
    run_cell(solution(MBCONV))
    assert "but not kept: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_learner_who_writes_everything_has_a_maxvit_in_lesson_7(folder):
    for exercise in MODULES:
        (path,) = NOTEBOOKS.glob(f"{exercise.lesson:02}-*.ipynb")
        shutil.copy(path, folder)
        notebook = nbformat.read(path, 4)
        (stub,) = [
            cell
            for cell in notebook.cells
            if cell.cell_type == "code"
            and "check_module(" in cell.source
            and "solution" not in cell.metadata.get("tags", [])
        ]
        imports = re.findall(r"^(?:from|import) .*$", stub.source, re.MULTILINE)
        stub.source = "\n".join([*imports, solution(exercise)])
        here = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
        (said,) = stub.outputs
        assert f"and kept in {FILE}." in said["text"]
    text = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    assert [f"{name}: yours" in text for name in mine.NAMES] == 5 * [True]
