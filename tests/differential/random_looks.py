# SPDX-License-Identifier: Apache-2.0
"""Who looks at a random file: mostly somebody who can open it, so that what stands behind the keys is read, too."""

from pieces import CHANGED, CREATED
from random_files import OTHER_KEY, TIMES
from random_slots import HYBRID_KEYS, PARENTS, PASSPHRASES, PINS, PRIVATE_KEYS, RECOVERY_KEYS
from scenario import CHANGER, NOW, ORIGIN, STRANGER

KNOWN = {
    "passphrase": PASSPHRASES,
    "parent_scalar": PARENTS,
    "private_key": PRIVATE_KEYS,
    "hybrid_key": HYBRID_KEYS,
    "recovery_key": RECOVERY_KEYS,
}
EVERYBODY = (ORIGIN, OTHER_KEY, CHANGER, STRANGER)
ENDS = (0, CREATED, CREATED + 1, CHANGED, CHANGED + 1)


def random_look(rng, plan, hybrid):
    """As in vectors.json. `hybrid` is whether our reader can use a hybrid key."""
    easy = rng.random() < 0.5  # trusts everybody and has a key for each kind of slot, at a time when all may
    look = keys_for(rng, plan, hybrid, easy)
    look["pin"] = rng.choice((None, PINS[0], PINS[0], PINS[1], "9")) if look["parent_scalar"] else None
    look["trusted"] = [host.public() for host in EVERYBODY] if easy else trusted(rng)
    signed = plan.options["origin"] is not None
    look["allow_unsigned"] = easy or rng.random() < (0.25 if signed else 0.9)
    look["now"] = CREATED if easy else rng.choice((NOW, NOW, rng.choice(TIMES) + rng.choice((-1, 0, 1))))
    look["max_memory_kib"] = rng.choices((63, 64, 128, 1024), (5, 20, 25, 50))[0]
    look["wanted_operation"] = rng.choice(("verify", "extract"))
    return look


def keys_for(rng, plan, hybrid, easy):
    look = dict.fromkeys(KNOWN)
    if not easy and rng.random() < 0.1:
        return look
    for name, known in KNOWN.items():
        used = plan.chooser.used.get(name, [])
        wanted = 0.05 if not used else 1.0 if easy else 0.7
        if rng.random() < wanted and (hybrid or name != "hybrid_key"):
            look[name] = rng.choice(used if used and rng.random() < 0.9 else list(known))
    return look


def trusted(rng):
    hosts = []
    for host, likely in ((ORIGIN, 0.95), (CHANGER, 0.7), (STRANGER, 0.3), (OTHER_KEY, 0.3)):
        if rng.random() < likely:
            hosts.append(host.public(0 if rng.random() < 0.85 else rng.choice(ENDS)))
    rng.shuffle(hosts)
    return hosts
