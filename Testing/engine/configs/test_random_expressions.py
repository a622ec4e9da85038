"""Seeded random expressions give a value of a harmless kind or a ``ConfigError``; never a module or a function."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.configs.resolving import ConfigReader
from SlicerCNNSegLib.engine.errors import ConfigError

ATOMS = """
1 -2 3.5 'a' True None @a @l @d @t x torch.float32 np.uint8 [1,2] (1,) {'a':1} {1} range(5) 10**30 2**200 math.pi
np.array([1,2]) torch.tensor([1]) os.system torch.load len ().__class__
"""
OPERATORS = "+ - * / // % ** << >> & | ^ < == in is and or"
MEMBERS = "shape dtype real T data get keys items index count item tolist split upper format to eval type"
FUNCTIONS = """
len max min sum int str list dict set tuple range zip sorted round abs float bool enumerate reversed any
np.array np.prod np.sqrt torch.tensor torch.device torch.from_numpy math.ceil math.log os.path.join
os.path.basename getattr open
"""
SHAPES = """
({})OPERATOR({})|({})[{}]|({})[{}:{}]|({}).MEMBER|({}).MEMBER()|({}).MEMBER({})|FUNCTION({})|FUNCTION({}, {})
[{} for x in {}]|{{{}: {} for x in {} if {}}}|({}) if ({}) else ({})|[*{}]|not ({})|-({})|lambda x: {}|f'{{{}}}'
"""
HARMLESS = (int, float, str, list, tuple, dict, set, range, type(None), np.ndarray, np.generic)
HARMLESS += (np.dtype, torch.Tensor, torch.dtype, torch.device)


def expression(generator: random.Random, depth: int) -> str:
    """An expression with ``depth`` levels of operators and calls."""
    if depth == 0:
        return generator.choice(ATOMS.split())
    shape = generator.choice(SHAPES.strip().replace("\n", "|").split("|"))
    for word, choices in (("OPERATOR", OPERATORS), ("MEMBER", MEMBERS), ("FUNCTION", FUNCTIONS)):
        shape = shape.replace(word, generator.choice(choices.split()))
    holes = shape.replace("{{", "").replace("}}", "").count("{}")
    return shape.format(*(expression(generator, depth - 1) for _ in range(holes)))


@pytest.mark.parametrize("seed", range(4))
def test_a_random_expression_gives_a_harmless_value_or_a_refusal(seed):
    generator, values = random.Random(seed), 0
    config = {"imports": ["$import os", "$import math"], "a": 1, "l": [1, 2, "b"], "d": {"b": 3}}
    for _ in range(2000):
        source = expression(generator, generator.randint(1, 4))
        reader = ConfigReader({**config, "t": "$torch.tensor([[1.0]])", "x": f"${source}"}, "random")
        try:
            value = reader.get("x")
        except ConfigError:
            continue
        values += 1
        assert isinstance(value, HARMLESS) or value is np.uint8, source
    assert values > 20
