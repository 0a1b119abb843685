"""What the course shows of a training run: its curves and its record, in readable numbers."""

import base64
import io
import json
import sys

from matplotlib import rc_context

from minimaxvit.seeing import draw_history
from minimaxvit.seeing.draw.history import MEASURED

LONG = {"history", "confusion", "mistakes"}  # parts of a record that are too long for a table
TRAIN_FIRST = "train first: minimaxvit train --out runs/lessons, then pass --run runs/lessons"


def read_record(run):
    """Read the record of a finished run, or say what is missing and exit."""
    if run is None:
        sys.exit(f"the course shows a training run, but none was given; {TRAIN_FIRST}")
    path = run / "record.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"there is no {path}; {TRAIN_FIRST}")
    except json.JSONDecodeError as error:
        sys.exit(f"{path} is cut short or not JSON ({error}); {TRAIN_FIRST}")
    last = (record.get("history") or [{}])[-1]
    # A run may hold out no images, so validation may be missing, but training may not.
    missing = [key for key in MEASURED[:2] if last.get(key) is None]
    missing += [] if isinstance(record.get("result"), dict) else ["result"]
    if missing:
        sys.exit(f"{path} lacks {', '.join(missing)}: let the run finish, or {TRAIN_FIRST}")
    return record


def draw_curve(history, source):
    """Return the curves as an element of the page, with their numbers as alt text."""
    figure, alt = draw_history(history, source)
    svg = io.BytesIO()
    with rc_context({"svg.hashsalt": "curve"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
    return f'<p><img src="{source}" alt="{alt}"></p>'


def record_tables(record):
    """Group the record into tables: the result, single facts such as the seed, then the rest."""
    short = {key: value for key, value in record.items() if key not in LONG}
    groups = {key: value for key, value in short.items() if isinstance(value, dict)}
    single = {key: value for key, value in short.items() if key not in groups}
    ordered = {"result": groups.pop("result"), "run": single, **groups}
    return {"Configuration" if k == "config" else k.capitalize(): v for k, v in ordered.items()}


def duration(seconds):
    """Write seconds as people do: 2 min 5 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def readable(value, key=""):
    """Write a value of the record as text; `key` says whether it is an accuracy or a time."""
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
