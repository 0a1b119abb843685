"""Train a network: the recipe, what it is made of, and the run that follows it."""

from .device import DeviceSettings, choose_device
from .evaluation import evaluate, predict
from .recipe import Recipe
from .run import fit
