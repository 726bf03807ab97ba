# SPDX-License-Identifier: Apache-2.0
"""Release policies at random (docs/policies.md). Most are as they may be; the others break one rule of "Encoding", and
have the digest of what they say all the same."""

from policy import any_of, approvals, epoch, online, pcrs, pin, policy, unknown

DOMAINS = ("fleet", "f", "a.b-c", "a" * 63)


def state(number):
    return pcrs(7, salt=bytes([number]))


def states(count):
    return [state(number) for number in range(count)]


# Terms of which no policy may have one, alone or twice.
ODD = (
    lambda: pcrs(7, mask=0x480),
    lambda: pcrs(7, mask=0x1000000),
    lambda: pcrs(mask=0),
    lambda: approvals(purpose=3),
    lambda: approvals(purpose=0),
    lambda: approvals(first=2),
    lambda: approvals(domain="Fleet"),
    lambda: approvals(domain=""),
    lambda: approvals(domain="a."),
    lambda: approvals(domain="a" * 64),
    lambda: epoch(index=0x00FFFFFF),
    lambda: epoch(index=0x02000000),
    lambda: online(first=3),
    lambda: any_of(state(0)),
    lambda: any_of(*states(9)),
    lambda: any_of(state(0), state(0)),
    lambda: any_of(state(0), [any_of(state(1), [any_of(*states(2))])]),
    lambda: any_of(policy(), state(0)),
    lambda: any_of(state(0), [pin(), pin()]),
    lambda: any_of(state(0), [state(1), approvals()]),
    lambda: any_of(state(0), policy(epoch(), tail=b"\0")),
    lambda: any_of(state(0), policy(epoch(), count=2)),
    lambda: unknown(0),
    lambda: unknown(7),
)


def random_policy(rng, limits):
    """For the TPM slot of a file with these limits, which an approval online tells."""
    terms = _terms(rng, 0, True)
    if rng.random() < 0.15:
        terms += [online(**limits)]
    if rng.random() < 0.8:
        return policy(*terms)
    how = rng.randrange(6)
    if how < 3:
        terms.insert(rng.randint(0, len(terms)), rng.choice(ODD)())
    elif how == 3:
        terms = rng.choice((terms * 2, terms * 17, states(16), states(17), [any_of(*states(8)) for _ in range(3)]))
    elif how == 4:
        rng.shuffle(terms)
    else:
        return policy(*terms, count=rng.choice((0, 1, 2, 17, None)), tail=rng.choice((b"", b"\0", b"\4")))
    return policy(*terms)


def _terms(rng, depth, may_begin):
    """What may begin with approvals stands first. Epoch and PIN stand outside of branches or in them, not both."""
    first = []
    if may_begin and rng.random() < 0.4:
        first = [approvals(rng.choice(DOMAINS), purpose=rng.choice((1, 1, 1, 2)))]
    others = [_pcrs(rng)] * (rng.random() < 0.4)
    if depth == 0:
        others += [epoch(rng.choice((0, 3, 2**64 - 1)))] * (rng.random() < 0.3)
        others += [pin()] * (rng.random() < 0.45)
    rng.shuffle(others)
    if depth < 2 and rng.random() < (0.3 if depth == 0 else 0.15):
        begins = may_begin and not first
        others.insert(0 if begins else rng.randint(0, len(others)), _any_of(rng, depth, begins))
    return first + others


def _any_of(rng, depth, may_begin):
    branches = []
    for number in range(rng.choice((2, 2, 3, 4, 8))):
        terms = _terms(rng, depth + 1, may_begin)
        branches.append(terms if terms and rng.random() < 0.5 else state(number))
    return any_of(*branches)


def _pcrs(rng):
    return pcrs(*sorted(rng.sample((0, 1, 4, 7, 11, 23), rng.randint(1, 3))), salt=rng.randbytes(1))
