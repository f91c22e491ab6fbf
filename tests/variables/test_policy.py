"""The thresholds of the judging stand in one table, each with its reason."""

from __future__ import annotations

import dataclasses

import pytest

from btfdbg.variables.policy import POLICY, Policy, Tier


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Policy)])
def test_every_threshold_says_why(name: str) -> None:
    assert f":ivar {name}:" in (Policy.__doc__ or "")


def test_a_policy_is_a_value() -> None:
    assert Policy() == POLICY
    with pytest.raises(AttributeError):
        POLICY.family_share = 0.5  # type: ignore[misc]


def test_what_a_kernel_says_of_itself_is_asked_first_and_guesses_last() -> None:
    assert min(Tier) is Tier.SAME_KERNEL
    assert Tier.OTHER_KERNEL < Tier.CURATED < Tier.MACRO < Tier.FAMILY < Tier.PARAMETER
