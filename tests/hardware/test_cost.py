"""What is read of compiled programs: exchanges from a text, memory and arithmetic from a program of this machine."""

import jax
import jax.numpy as jnp
import pytest

from vasal_jax.hardware.cost import Collective, collectives, cost_of, over_memory

HLO = """
%psum.5 = f32[6]{0:T(128)} all-reduce(%a), channel_id=1, to_apply=%sum
  ROOT %all-reduce.1 = (f32[4]{0:T(128)S(1)}, bf16[3,3,2]{2,1,0}, /*index=5*/pred[8]{0}) all-reduce(%b, %c, %d)
%all-gather-start.1 = u8[16,2]{1,0} all-gather-start(%e), dimensions={0}
%gone = f32[] get-tuple-element(%all-reduce.1), index=0
"""


def test_exchanges_are_counted_with_their_bytes():
    found = collectives(HLO)
    sizes = [24, 16 + 2 * 18 + 8, 32]
    assert found == tuple(map(Collective, ("all-reduce", "all-reduce", "all-gather"), sizes))


def test_a_product_costs_what_it_says():
    x = jnp.ones((64, 32))
    cost = cost_of(jax.jit(lambda x: x @ x.T).lower(x).compile())
    assert cost.operations == pytest.approx(2 * 64 * 64 * 32, rel=0.01)
    assert (cost.arguments, cost.results) == (64 * 32 * 4, 64 * 64 * 4)
    assert cost.memory >= cost.arguments + cost.results
    assert cost.exchanged() == {}


def test_a_lack_of_memory_is_told_from_other_errors():
    said = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm."
    assert over_memory(jax.errors.JaxRuntimeError(said)) == (20.5 * 2**30, 15.75 * 2**30)
    assert over_memory(jax.errors.JaxRuntimeError("INTERNAL: something else")) is None
