"""What the course shows of a training run: its curve, its record, and how to read them aloud."""

import base64
import io
import json
import sys

from matplotlib import rc_context
from matplotlib.figure import Figure

TRAIN_FIRST = "train first: minimaxvit train --out runs/lessons, then pass --run runs/lessons"
MEASURED = ("loss", "train_accuracy", "validation_accuracy")


def read_record(run):
    """Read the record of a finished run; a course without one would show an empty curve."""
    if run is None:
        sys.exit(f"The course shows a training run, and none was given; {TRAIN_FIRST}")
    path = run / "record.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"There is no {path}; {TRAIN_FIRST}")
    except json.JSONDecodeError as error:
        sys.exit(f"{path} is cut short or no JSON ({error}); {TRAIN_FIRST}")
    last = (record.get("history") or [{}])[-1]
    # A run may hold no pictures out, so validation may be missing where training may not.
    missing = [key for key in MEASURED[:2] if last.get(key) is None]
    missing += [] if isinstance(record.get("result"), dict) else ["result"]
    if missing:
        sys.exit(f"{path} ends without {', '.join(missing)}: let the run finish, or {TRAIN_FIRST}")
    return record


def series(history, key):
    """The epochs that measured `key`, and what they measured."""
    rows = [row for row in history if row.get(key) is not None]
    return [row["epoch"] for row in rows], [row[key] for row in rows]


def describe_curve(history, source):
    """Say what the curve shows and of which pictures, computed from the numbers that are drawn."""
    loss, train, validation = (series(history, key)[1] for key in MEASURED)
    takeaway = f"{source}: training accuracy ends at {train[-1]:.1%}"
    takeaway += "; no pictures were held out to validate"
    if validation:
        gap = 100 * (validation[-1] - train[-1])
        takeaway = (
            f"{source}: validation accuracy ends at {validation[-1]:.1%}, "
            f"{abs(gap):.1f} points {'below' if gap < 0 else 'above'} training"
        )
    alt = (
        f"{takeaway}. From epoch {history[0]['epoch']} to epoch {history[-1]['epoch']}, the loss "
        f"goes from {loss[0]:.3f} to {loss[-1]:.3f}, training accuracy from {train[0]:.1%} to "
        f"{train[-1]:.1%}"
    )
    if validation:
        alt += f", validation accuracy from {validation[0]:.1%} to {validation[-1]:.1%}"
        alt += f"; the best validation accuracy is {max(validation):.1%}"
    return takeaway, alt + "."


def draw_curve(history, source):
    """Draw loss and accuracies under each other, readable also when a phone shrinks them."""
    takeaway, alt = describe_curve(history, source)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    figure.suptitle(takeaway, fontsize=11)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*series(history, "loss"), "o-", color="0.35", ms=3)
    above.set_ylabel("training loss")
    for key, style in (("train_accuracy", "s--"), ("validation_accuracy", "o-")):
        epochs, values = series(history, key)
        if not epochs:
            continue
        below.plot(epochs, [100 * value for value in values], style, ms=3, label=key.split("_")[0])
    below.set(xlabel="epoch", ylabel="accuracy (%)")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend()
    svg = io.BytesIO()
    with rc_context({"svg.hashsalt": "curve"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
    return f'<p><img src="{source}" alt="{alt}"></p>'


def record_tables(record):
    """Group the record for reading: the result, loose facts such as the seed, then the rest."""
    groups = {key: value for key, value in record.items() if isinstance(value, dict)}
    loose = {k: v for k, v in record.items() if k not in groups and k != "history"}
    ordered = {"result": groups.pop("result"), "run": loose, **groups}
    return {"Configuration" if k == "config" else k.capitalize(): v for k, v in ordered.items()}


def duration(seconds):
    """Seconds as a person says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def readable(value, key=""):
    """A value of the record as text; its name tells accuracies and times from other numbers."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {readable(item, name)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(readable(item, key) for item in value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, (int, float)) and "accuracy" in key:
        return f"{value:.1%}"
    if isinstance(value, (int, float)) and key == "seconds":
        return duration(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
