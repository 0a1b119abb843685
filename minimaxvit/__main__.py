"""The command line: data, train, evaluate, predict, explore, summary."""

import argparse
import os
import shlex
import sys
from dataclasses import fields
from os.path import expanduser

from .commands import (
    for_images_of,
    run_data,
    run_evaluate,
    run_explore,
    run_predict,
    run_summary,
    run_train,
)
from .configs import CONFIGS
from .datasets.cifar10 import CIFAR10_URL
from .official_weights import OFFICIAL
from .pretrained_networks import bundled
from .training.allocator import keep_memory
from .training.recipe import Recipe


def main(arguments=None):
    """Run one command; an error takes one line on standard error, unless --debug asks for all."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    keep_memory()
    try:
        options.run(options, shlex.join(["minimaxvit", *arguments]))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read this, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt as stopped:
        sys.exit(f"minimaxvit: stopped{''.join(stopped.args)}")
    except Exception as error:
        if options.debug:
            raise
        sys.exit(f"minimaxvit: {in_one_line(error)}")


def in_one_line(error):
    """Tell an error that has a known cause as it is, and of any other how to report it."""
    told = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ValueError | OSError | FloatingPointError | ImportError):
        return told
    return (
        f"{type(error).__name__}: {told}; nobody foresaw this: please report it, with what the "
        f"same command tells with --debug"
    )


class OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"minimaxvit: {message}; see `{self.prog} --help`\n")


def parser():
    top = OneLineParser(prog="minimaxvit", description="Learn MaxViT by building it.")
    debug = argparse.ArgumentParser(add_help=False)
    debug.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(
        required=True,
        metavar="COMMAND",
        parser_class=lambda **options: OneLineParser(parents=[debug], **options),
    )

    data = commands.add_parser("data", help="download CIFAR-10")
    data.add_argument("name", choices=["cifar10"], help="which data set")
    data.add_argument(
        "source",
        nargs="?",
        type=expanduser,
        default=CIFAR10_URL,
        help="address or file of the official binary archive (default: %(default)s)",
    )
    data.add_argument(
        "--to", default="data", type=expanduser, help="folder to unpack into (default: %(default)s)"
    )
    data.set_defaults(run=run_data)

    train = commands.add_parser("train", help="train a network; the same command resumes it")
    train.add_argument(
        "--network",
        default="compact",
        choices=CONFIGS,
        metavar="NAME",
        help=f"one of {', '.join(for_images_of(32))} (default: %(default)s)",
    )
    train.add_argument(
        "--out", type=expanduser, help="folder of the run (default: runs/NETWORK-DATA)"
    )
    add_data_options(train)
    for field in fields(Recipe):
        add_recipe_option(train, field)
    add_device_options(train)
    train.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compute in bf16 (default: where the hardware supports it)",
    )
    train.add_argument("--compile", action="store_true", help="compile the network first")
    train.set_defaults(run=run_train)

    which = (
        f"the folder of a run, or a pretrained network: {', '.join(bundled())}, or, from the "
        f"Hugging Face hub, {', '.join(OFFICIAL)}"
    )
    measure = commands.add_parser("evaluate", help="accuracy and confusion matrix of a network")
    measure.add_argument(
        "trained",
        nargs="?",
        default="compact",
        type=expanduser,
        help=f"{which} (default: compact)",
    )
    add_data_options(measure, None)
    add_device_options(measure)
    measure.set_defaults(run=run_evaluate)

    predict = commands.add_parser("predict", help="the top-5 classes of an image")
    predict.add_argument("image", type=expanduser, help="PNG or JPEG file")
    add_run(predict, which)
    predict.set_defaults(run=run_predict)

    look = commands.add_parser("explore", help="a page that shows where a network looks")
    look.add_argument(
        "images", nargs="+", metavar="image", type=expanduser, help="PNG or JPEG file"
    )
    add_run(look, which)
    look.add_argument(
        "--out",
        default="explorer.html",
        type=expanduser,
        help="page to write (default: %(default)s)",
    )
    look.set_defaults(run=run_explore)

    tell = commands.add_parser("summary", help="stages, shapes, parameters and multiply-adds")
    tell.add_argument(
        "network", choices=CONFIGS, metavar="NAME", help=f"one of {', '.join(CONFIGS)}"
    )
    tell.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="size of the images in pixels (default: the size that the network is made for)",
    )
    tell.set_defaults(run=run_summary)
    return top


def add_run(command, which):
    command.add_argument(
        "--run",
        "--network",
        dest="trained",
        default="compact",
        type=expanduser,
        help=f"{which} (default: compact)",
    )


def add_data_options(command, default="any"):
    command.add_argument(
        "--data",
        default=default,
        choices=["any", "cifar10", "shapes"],
        help="data set; any: CIFAR-10 where it is found, else shapes"
        + (" (default)" if default else " (default: the one that the run was trained on)"),
    )
    command.add_argument(
        "--data-folder",
        type=expanduser,
        help="folder of CIFAR-10 (default: that in MINIMAXVIT_DATA, or data)",
    )


def add_recipe_option(command, field):
    flag, meaning = f"--{field.name.replace('_', '-')}", field.metadata["meaning"]
    if isinstance(field.default, bool):
        options = {"action": argparse.BooleanOptionalAction}
    else:
        options = {
            "type": type(field.default) if field.default is not None else int,
            "metavar": "N",
        }
    if field.default is not None:
        meaning += f" (default: {field.default})"
    command.add_argument(flag, default=field.default, help=meaning, **options)


def add_device_options(command):
    command.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")


if __name__ == "__main__":
    main()
