"""The command line: data, train, evaluate, predict, explore, summary."""

import argparse
import json
import shlex
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from .allocator import keep_memory
from .data import CIFAR10_URL, download_cifar10, load_data, normalise
from .evaluation import evaluate
from .machine import choose_machine
from .network import CONFIGS, MaxViT
from .picture import read_picture
from .seeing.explorer import explorer, explorer_page
from .summary import summary
from .training import RECORD, WEIGHTS, Recipe, fit
from .weights import boxed, load, pretrained, pretrained_record, write_whole

RUN = "runs/compact"


def main(arguments=None):
    """Run one command; what goes wrong for a reason is told in one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    keep_memory()
    try:
        options.run(options, shlex.join(["minimaxvit", *arguments]))
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"minimaxvit: {error}")
    except KeyboardInterrupt:
        sys.exit("minimaxvit: stopped; the same command goes on from the last checkpoint")


def parser():
    top = argparse.ArgumentParser(prog="minimaxvit", description="Learn MaxViT by building it.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="download CIFAR-10")
    data.add_argument("name", choices=["cifar10"], help="which pictures")
    data.add_argument(
        "source",
        nargs="?",
        default=CIFAR10_URL,
        help="address or copy of the official binary archive (default: %(default)s)",
    )
    data.add_argument("--to", default="data", help="folder to unpack into (default: %(default)s)")
    data.set_defaults(run=run_data)

    train = commands.add_parser("train", help="train a network; the same command resumes it")
    train.add_argument("--network", default="compact", choices=CONFIGS, help="default: compact")
    train.add_argument("--out", default=RUN, help="folder of the run (default: %(default)s)")
    add_data_options(train)
    for field in fields(Recipe):
        meaning = field.metadata["meaning"]
        train.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=int if field.default is None else type(field.default),
            default=field.default,
            metavar="N",
            help=meaning if field.default is None else f"{meaning} (default: %(default)s)",
        )
    add_machine_options(train)
    train.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="multiply in bf16 (default: where the hardware does)",
    )
    train.add_argument("--compile", action="store_true", help="compile the network first")
    train.set_defaults(run=run_train)

    which = f"a run's folder, or a network in the box: {', '.join(boxed())} (default: %(default)s)"
    measure = commands.add_parser("evaluate", help="accuracy and confusion table of a network")
    measure.add_argument("trained", nargs="?", default="compact", help=which)
    add_data_options(measure, None)
    add_machine_options(measure)
    measure.set_defaults(run=run_evaluate)

    predict = commands.add_parser("predict", help="the five likeliest classes of a picture")
    predict.add_argument("picture", help="PNG or JPEG")
    predict.add_argument("--run", dest="trained", default="compact", help=which)
    predict.set_defaults(run=run_predict)

    look = commands.add_parser("explore", help="a page in which to see where a network looks")
    look.add_argument("pictures", nargs="+", metavar="picture", help="PNG or JPEG")
    look.add_argument("--run", dest="trained", default="compact", help=which)
    look.add_argument("--out", default="explorer.html", help="page to write (default: %(default)s)")
    look.set_defaults(run=run_explore)

    tell = commands.add_parser("summary", help="stages, shapes, parameters and multiply-adds")
    tell.add_argument("network", choices=CONFIGS)
    tell.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the pictures in pixels (default: those whose last map is one window)",
    )
    tell.set_defaults(run=run_summary)
    return top


def add_data_options(command, default="any"):
    command.add_argument(
        "--data",
        default=default,
        choices=["any", "cifar10", "shapes"],
        help="any: CIFAR-10 where it is found, else shapes"
        + (" (default)" if default else "; default: what the run was trained on"),
    )
    command.add_argument("--data-folder", help="CIFAR-10's, if not MINIMAXVIT_DATA or data/")


def add_machine_options(command):
    command.add_argument("--device", help="cpu, cuda or cuda:1 (default: the GPU if there is one)")


def run_data(options, command):
    folder = download_cifar10(options.source, options.to)
    print(f"CIFAR-10 is in {folder}")


def run_train(options, command):
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    machine = choose_machine(options.device, options.bf16, options.compile)
    training, test = load_data(options.data, options.data_folder)
    config = replace(CONFIGS[options.network], num_classes=len(training.classes))
    precision = "bf16" if machine.bf16 else "fp32"
    print(
        f"{options.network} on {training.source}, computed on {machine.device} in {precision}; "
        f"the run is kept in {options.out}",
        flush=True,
    )
    record = fit(config, training, test, recipe, options.out, machine, command)
    result = record["result"]
    print(
        f"{result['accuracy']:.2%} on the test pictures of {record['data']['source']} after "
        f"{result['seconds']:.0f} s, {result['accuracy_with_flip']:.2%} with their mirror images; "
        f"weights and record are in {options.out}"
    )


def run_evaluate(options, command):
    model, record = load_trained(options.trained)
    trained_on = record["data"]["source"]
    name = options.data if options.data else ("shapes" if trained_on == "shapes" else "cifar10")
    _, test = load_data(name, options.data_folder)
    if list(test.classes) != record["data"]["classes"]:
        raise ValueError(f"the network {options.trained} was trained on {trained_on}, not {name}")
    device = choose_machine(options.device).device
    model, test = model.to(device), test.to(device)
    accuracy, confusion = evaluate(model, test)
    with_flip, _ = evaluate(model, test, flip=True)
    print(
        f"{accuracy:.2%} of {len(test)} test pictures of {test.source} are named rightly, "
        f"{with_flip:.2%} when each is judged together with its mirror image"
    )
    if test.sha256() not in record["data"]["sha256"]:
        print(f"They are not the test pictures of its record, which are of {trained_on}.")
    print(confusion_table(confusion, test.classes))


def run_predict(options, command):
    model, record = load_trained(options.trained)
    side = design_size(model.config)
    with torch.inference_mode():
        shares = model(normalise(read_picture(options.picture, side)[0])).softmax(1)[0]
    for share, index in zip(*shares.topk(min(5, len(shares))), strict=True):
        print(f"{share:6.1%}  {record['data']['classes'][index]}")
    print(f"(by a network trained on {record['data']['source']}; it saw {side} x {side} pixels)")


def run_explore(options, command):
    model, record = load_trained(options.trained)
    read = [read_picture(path, design_size(model.config)) for path in options.pictures]
    names = [
        f"{Path(path).name}{note and f' ({note})'}"
        for path, (_, note) in zip(options.pictures, read, strict=True)
    ]
    torch.manual_seed(0)
    networks = {"trained": model, "random": MaxViT(model.config)}
    images = torch.cat([image for image, _ in read])
    found = explorer(networks, images, names, record["data"]["classes"])
    page = explorer_page(found, f"Where {options.trained} looks")
    write_whole(options.out, lambda partial: partial.write_text(page, encoding="utf-8"))
    print(f"open {options.out} in a browser; it needs nothing else, and has {len(page):,} bytes")


def run_summary(options, command):
    config = CONFIGS[options.network]
    print(summary(options.network, config, *(options.size or 2 * [design_size(config)])))


def load_trained(name):
    """Load a network and its record: from the box by its name, or from a finished run's folder."""
    if name in boxed():
        return pretrained(name), pretrained_record(name)
    folder = Path(name)
    if not (folder / RECORD).is_file():
        raise FileNotFoundError(
            f"no finished run in {folder}, and no network of that name in the box "
            f"({', '.join(boxed())}): train one with `minimaxvit train --out {folder}`"
        )
    return load(folder / WEIGHTS), json.loads((folder / RECORD).read_text())


def design_size(config):
    """Side of the pictures whose last map is one window, in pixels."""
    return config.window * config.stride


def confusion_table(confusion, classes):
    """A row a true class, a column a guess."""
    rows = [f"{'true / guessed':>14} " + "".join(f"{name[:6]:>7}" for name in classes)]
    for name, counts in zip(classes, confusion.tolist(), strict=True):
        rows.append(f"{name:>14} " + "".join(f"{count:>7}" for count in counts))
    return "\n".join(rows)


if __name__ == "__main__":
    main()
