# SPDX-License-Identifier: Apache-2.0
"""Whoever stores the file, and has no key, puts slots of his own in front of the true one, so that whoever opens it spends a
PIN try, an online approval or minutes of Argon2 on them; or he puts a removed slot back. docs/threat-model.md, C42.

Checksums are repaired, for they need no key. The files are sealed for many, so that their headers have room. Each attack has its
twin: the file that nobody attacked opens the same way. And where a reader allows what nobody signed the same slots are tried,
within the bounds of docs/format.md, "Which slot opens"."""

import os
import re
import types
from dataclasses import replace

import sealed_victim  # first: it knows where the others are
import cks
import header_parts
import online_case
import pieces
import policy
import support
import tpm_slot
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from header_parts import BLOCK, Parts, block_of, body_of, checked, put, sha256, slot, u32, u64, with_copies, with_parts
from key_slots import curve25519, public_key_slot
from policy_case import CONTENT
from sealed_victim import LIST_AT, Signer, Victim, origin_of, public_point
from slots import added, recovery_slot
from token_case import SOFTHSM, WithFailures
from tpm_bus_test import UNSEAL
from tpm_in_the_middle import TpmInTheMiddle, code_of

PIN = b"right-pin-123"
PASSPHRASE = b"a passphrase of some length"
MANY = 40
OTHERS = 90  # more recipients, so that there is room for so many slots in front
LARGEST = 2**63 - 1
NOT_SOUND, UNSIGNED, TRIED = 5, 4, 3
BY_PASSPHRASE = ("--identity", "passphrase")


class PublicHost:
    """What anybody has of a host: its record. As the writer takes a storage parent."""

    def __init__(self, record):
        self.host = origin_of(record)[0]
        x, y = public_point(record, 8)
        self.point = (int.from_bytes(x, "big"), int.from_bytes(y, "big"))

    def name(self):
        return tpm_slot.StorageParent.name(self)

    def public(self):
        return tpm_slot.StorageParent.public(self)


def without_key(content):
    """Where somebody without the key makes slots for a file: what the writer of the vectors takes for itself."""
    part = Parts.of(content).immutable
    return types.SimpleNamespace(immutable=part, checkpoint_id=part[8:24], data_key=os.urandom(32),
                                 random=lambda _label, size: os.urandom(size), step=lambda _name, value, *_where: value)


class SlotsInFrontCase(WithFailures, online_case.OnlineCase):
    HOSTS = ("host-a", "host-c")

    @classmethod
    def make_host(cls, name):
        if name != "host-a":
            return super().make_host(name)
        cls.tpm = support.start_tpm(cls, "tpm-a")
        return support.Host(cls.base, name, f"swtpm:path={cls.tpm}")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.others = []
        for number in range(OTHERS):
            path = cls.base / f"other{number}.pem"
            public = x25519.X25519PrivateKey.generate().public_key()
            path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
            cls.others += ["--to", path]

    def setUp(self):
        super().setUp()
        self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.trust = cks.Trust([origin_of(self.a.record())])

    def sealed_for_many(self, *options, **how):
        """The content, sealed for these and for many others."""
        done = self.ckpt_seal("seal", "--force", "-o", self.folder / "x.cks", *self.others, *options,
                              self.write("plain", CONTENT), **how)
        self.succeeds(done)
        return (self.folder / "x.cks").read_bytes()

    def run_on(self, content, *options, verb=("open", "-o", "-"), **how):
        return self.ckpt_seal(*verb, *options, self.write("attacked.cks", content), **how)

    def opens_to(self, content, *options, **how):
        self.assertEqual(self.succeeds(self.run_on(content, *options, **how)).stdout, CONTENT)

    def refuses(self, content, code, *options, **how):
        done = self.refused(self.run_on(content, *options, **how), code)
        self.assertEqual(done.stdout, b"")
        return done.stderr.decode()

    def lockout_counter(self):
        said = self.a.with_tools("tpm2_getcap", "properties-variable").decode()
        return int(re.search(r"TPM2_PT_LOCKOUT_COUNTER: *(\w+)", said)[1], 0)

    @staticmethod
    def without_signature(content, foreign):
        """Each way to put them in front, and how the file is refused then."""
        parts, true = Parts.of(content), header_parts.split(Parts.of(content).slots)
        slots = foreign + true
        listed = parts.with_list(slots)
        fitting = replace(listed, immutable=put(parts.immutable, LIST_AT, sha256(listed.listed)))
        ways = {"not in the list": (replace(parts, slots=header_parts.joined(slots)), NOT_SOUND),
                "in the list": (listed, NOT_SOUND),
                "in a list that fits": (fitting, NOT_SOUND), "unsigned": (parts.later(slots), UNSIGNED)}
        return {what: (with_parts(content, changed), code) for what, (changed, code) in ways.items()}

    @staticmethod
    def by_nobody(content, foreign):
        """In front, as slots that somebody who is nobody has added: a reader that allows this tries them."""
        parts, workshop = Parts.of(content), without_key(content)
        bare = [pieces.Slot(int.from_bytes(one[:2], "big"), body_of(one)) for one in foreign]
        by_him = [added(workshop, one, pieces.NOBODY).encode() for one in bare]
        return with_parts(content, parts.later(by_him + header_parts.split(parts.slots)))

    def nothing_is_tried(self, content, foreign, *options,
                         verbs=(("open", "-o", "-"), ("verify",), ("rewrap", "--add", "recovery")), **how):
        """Whatever is done with it, and whoever puts them there. The TPM hears nothing."""
        for what, (attacked, code) in {**self.without_signature(content, foreign),
                                       "added": (self.by_nobody(content, foreign), UNSIGNED)}.items():
            for verb in verbs:
                with self.subTest(what, verb=verb[0]), TpmInTheMiddle(self.base / "bus", self.tpm) as bus:
                    said = self.refuses(attacked, code, *options, verb=(*bus.options, *verb), **how)
                    self.assertEqual(bus.exchanges, [])
                    self.assertNotIn("slot ", said)
                    self.assertEqual((self.folder / "attacked.cks").read_bytes(), attacked)
            found, message = sealed_victim.read_with(self.folder / "attacked.cks", sealed_victim.Keys([]), self.trust)
            self.assertEqual(found, code, message)


class SlotsInFront(SlotsInFrontCase):
    def pin_slots(self, content, pin="wrong-pin-999"):
        workshop, host = without_key(content), PublicHost(self.a.record())
        return [tpm_slot.tpm_slot(workshop, host, any_policy=policy.policy(policy.pin()), pin=pin).encode() for _ in range(MANY)]

    def with_pin(self, *more):
        asked = self.policy("--tpm2-with-pin", "--tpm2-pcrs", "sha256:7", name="pin")
        return self.sealed_for_many("--to", "self", "--policy", asked, "--passphrase-fd", 0, *more, input=PIN + b"\n")

    def test_pin_slots(self):
        content = self.with_pin()
        given = {"input": PIN + b"\n"}
        by_pin = ("--passphrase-fd", 0)
        self.opens_to(content, *by_pin, **given)
        self.assertEqual(self.lockout_counter(), 0)
        foreign = self.pin_slots(content)
        self.nothing_is_tried(content, foreign, *by_pin, **given)
        # Nobody is asked for a PIN either.
        for attacked, code in self.without_signature(content, foreign).values():
            self.assertNotIn("PIN", self.refuses(attacked, code, start_new_session=True))
        self.assertEqual(self.lockout_counter(), 0)
        self.opens_to(content, *by_pin, **given)
        # The twins: what is heard on the way to the TPM, and that counter counts.
        with TpmInTheMiddle(self.base / "bus", self.tpm) as bus:
            self.opens_to(content, *by_pin, verb=(*bus.options, "open", "-o", "-"), **given)
        self.assertIn(UNSEAL, [code_of(command) for command, _ in bus.exchanges])
        self.refuses(content, TRIED, *by_pin, input=b"wrong-pin-999\n")
        self.assertEqual(self.lockout_counter(), 1)

    def test_a_larger_header_with_room_for_more(self):
        # The attacker has the room that the header has, for its size is below the signature, too.
        content = self.with_pin()
        parts, size = Parts.of(content), header_parts.copy_size(content)
        slots = self.pin_slots(content) * 4
        self.assertGreater(sum(map(len, slots)), parts.room(size))
        larger = replace(parts, immutable=put(parts.immutable, 4, bytes([content[10] + 1])))
        trailer_at = len(content) - header_parts.number_at(content, len(content) - 36, 4)
        trailer = content[trailer_at:-32]
        trailer = checked(put(trailer, 8, u64(header_parts.number_at(trailer, 8, 8) + 2 * size)))
        for changed in (larger, larger.later(slots + header_parts.split(parts.slots))):
            front = put(content[:BLOCK], 10, bytes([content[10] + 1])) + 2 * changed.block(2 * size)
            attacked = front + content[BLOCK + 2 * size:trailer_at] + trailer
            self.assertIn("ignature", self.refuses(attacked, NOT_SOUND, "--passphrase-fd", 0, input=PIN + b"\n"))
        self.assertEqual(self.lockout_counter(), 0)

    def test_pin_slots_where_unsigned_is_allowed(self):
        content = self.with_pin()
        foreign = self.pin_slots(content)
        allowed = ("--passphrase-fd", 0, "--allow-unsigned")
        given = {"input": PIN + b"\n"}
        for what, (attacked, _) in self.without_signature(content, foreign).items():
            with self.subTest(what):
                self.refuses(attacked, NOT_SOUND, *allowed, **given)  # at the latest its MAC is wrong
        self.assertEqual(self.lockout_counter(), 0)
        # What is tried all the same: one wrong PIN.
        for attacked in (self.by_nobody(content, foreign), self.listed_and_unsigned(self.with_pin("--unsigned"), self.pin_slots)):
            self.a.with_tools("tpm2_dictionarylockout", "-c")
            self.refuses(attacked, TRIED, *allowed, **given)
            self.assertEqual(self.lockout_counter(), 1)
        self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.opens_to(content, *allowed, **given)

    def listed_and_unsigned(self, content, make):
        """Of a file that nobody signed: its list of slots can be made to fit."""
        attacked, _ = self.without_signature(content, make(content))["in a list that fits"]
        return attacked

    @staticmethod
    def passphrase_slots(memory, passes, count=MANY):
        return [slot(2, b"\1" + os.urandom(16) + u32(memory) + u32(passes) + u32(1) + os.urandom(48)) for _ in range(count)]

    def test_passphrase_slots_of_a_high_cost(self):
        content = self.sealed_for_many("--to", "passphrase", "--passphrase-fd", 0, input=PASSPHRASE + b"\n")
        right, by_passphrase = {"input": PASSPHRASE + b"\n"}, (*BY_PASSPHRASE, "--passphrase-fd", 0)
        self.opens_to(content, *by_passphrase, **right)
        for memory in (1 << 20, 1 << 22):  # all that a run allows without asking, and all that the format does
            self.nothing_is_tried(content, self.passphrase_slots(memory, 16), *by_passphrase, **right)
        # The twin: a wrong passphrase, which is tried.
        self.refuses(content, TRIED, *by_passphrase, input=b"another\n")

    def test_passphrase_slots_where_unsigned_is_allowed(self):
        content = self.sealed_for_many("--to", "passphrase", "--passphrase-fd", 0, input=PASSPHRASE + b"\n")
        allowed = (*BY_PASSPHRASE, "--passphrase-fd", 0, "--allow-unsigned", "--max-memory", 1)
        right = {"input": PASSPHRASE + b"\n"}
        for attacked, _ in self.without_signature(content, self.passphrase_slots(1024, 16)).values():
            self.assertNotIn("passphrase is wrong", self.refuses(attacked, self.code_of_true(attacked), *allowed, **right))
        # 16 times the memory that is allowed, and no more: one of these, sixteen of those.
        for passes, tried in ((16, 1), (1, 16)):
            said = [self.refuses(self.by_nobody(content, self.passphrase_slots(1024, passes, count)), TRIED, *allowed, **right)
                    for count in (tried, tried + 1)]
            self.assertEqual(["more work than one run does" in text for text in said], [False, True])
        # More memory than is allowed: none.
        said = self.refuses(self.by_nobody(content, self.passphrase_slots(1025, 1)), 1, *allowed, **right)
        self.assertIn("2 MiB", said)

    @staticmethod
    def code_of_true(attacked):
        """How the true slot, which wants more memory than is allowed, is met behind the foreign ones; if it is reached at all."""
        return 1 if Parts.of(attacked).generation > 1 else NOT_SOUND

    def test_recovery_slots(self):
        with open(self.folder / "key", "w+b") as key:
            content = self.sealed_for_many("--to", "recovery", "--recovery-fd", key.fileno(), pass_fds=[key.fileno()])
        paper = re.search(rb"(?:\d{6}-){7}\d{6}", (self.folder / "key").read_bytes())[0]
        by_paper, given = ("--identity", "recovery", "--passphrase-fd", 0), {"input": paper + b"\n"}
        self.opens_to(content, *by_paper, **given)
        workshop = without_key(content)
        self.nothing_is_tried(content, [recovery_slot(workshop).encode() for _ in range(MANY)], *by_paper, **given)

    def test_slots_for_a_key_in_a_token(self):
        self.make_key()
        token = self.uri(module=SOFTHSM, more=f"&pin-source=file:{self.pin}")
        content = self.sealed_for_many("--to", token)
        watched = ("--identity", self.uri(module=self.failing, more=f"&pin-source=file:{self.pin}"))
        log = self.folder / "calls"
        asked = {"more_environment": self.failure(log=log)}
        self.opens_to(content, *watched, **asked)
        self.assertIn("C_Login", log.read_text())
        log.unlink()
        true = next(one for one in header_parts.split(Parts.of(content).slots) if body_of(one)[1] == 2)
        key = body_of(true)[2:34]
        other = public_key_slot(without_key(content), curve25519("nobody's"))
        foreign = [slot(3, put(other.body, 2, key)), put(true, len(true) - 1, b"\0")] * (MANY // 2)
        self.nothing_is_tried(content, foreign, *watched, **asked)
        self.assertFalse(log.exists(), "the token's module was asked")

    def online_slots(self, content, restores):
        """Under the true authority's approval, for this very checkpoint."""
        workshop, host = without_key(content), PublicHost(self.a.record())
        point = tuple(int.from_bytes(self.point[at:at + 32], "big") for at in (1, 33))
        asked = policy.Term(bytes([6]) + self.point,
                            policy.online(point=point, restores=restores, checkpoint_id=workshop.checkpoint_id,
                                          origin=workshop.immutable[56:88]).step, False)
        return [tpm_slot.tpm_slot(workshop, host, any_policy=policy.policy(asked)).encode() for _ in range(MANY)]

    def test_slots_under_the_true_authoritys_online_approval(self):
        for restores in (1, 3):
            content = self.sealed_for_many("--to", "self", "--policy", self.online, "--restores", restores)
            part = Parts.of(content).immutable
            checkpoint = online_case.use_of(part[56:88], part[8:24])
            foreign = self.online_slots(content, restores)
            approved = ("--approver", self.approver)
            self.nothing_is_tried(content, foreign, *approved)
            self.assertNotIn(checkpoint, self.counted())
            # Not even where unsigned is allowed, if nobody could have signed it so.
            for attacked, code in self.without_signature(content, foreign).values():
                if code == NOT_SOUND:
                    self.refuses(attacked, code, *approved, "--allow-unsigned")
            self.assertNotIn(checkpoint, self.counted())
            # The twins: what nobody attacked opens, and counts; what a reader allows is asked for once.
            self.opens_to(content, *approved)
            self.assertEqual(self.counted()[checkpoint], 1)
            done = self.run_on(self.by_nobody(content, foreign), *approved, "--allow-unsigned")
            # None behind the one that was asked for: that one was used up, or gave a key of another file.
            self.assertEqual(done.returncode, 6 if restores == 1 else 5, done.stderr)
            self.assertIn(b"was asked for already", done.stderr)
            self.assertEqual(self.counted()[checkpoint], min(2, restores))

    def test_a_removed_slot_put_back(self):
        before = self.sealed_for_many("--to", "self", "--to", "passphrase", "--passphrase-fd", 0, input=PASSPHRASE + b"\n")
        by_passphrase, given = (*BY_PASSPHRASE, "--passphrase-fd", 0), {"input": PASSPHRASE + b"\n"}
        self.opens_to(before, *by_passphrase, **given)
        self.succeeds(self.ckpt_seal("rewrap", "--remove", "passphrase", self.folder / "x.cks"))
        after = (self.folder / "x.cks").read_bytes()
        self.opens_to(after)
        self.refuses(after, 9, *by_passphrase, **given)
        now, slots = Parts.of(after), header_parts.split(Parts.of(before).slots)
        (removed,) = set(slots) - set(header_parts.split(now.slots))
        put_back = [removed, *header_parts.split(now.slots)]
        # As at sealing, but for the MAC of then: those slots were vouched for once, and are tried.
        as_sealed = replace(now, generation=1, change=b"", slots=header_parts.joined(slots))
        in_front, in_its_place = (replace(now, slots=header_parts.joined(all_slots)) for all_slots in (put_back, slots))
        for what, changed, code, word in (("under the change", in_front, NOT_SOUND, "ignature"),
                                          ("in its place", in_its_place, NOT_SOUND, "ignature"),
                                          ("at generation 1", as_sealed, NOT_SOUND, "MAC"),
                                          ("in a change of nobody's", now.later(put_back), UNSIGNED, "not signed"),
                                          ("in a later one", now.later(put_back, generation=3), UNSIGNED, "not signed")):
            with self.subTest(what):
                attacked = with_parts(after, changed)
                for options in (by_passphrase, ()):
                    self.assertIn(word, self.refuses(attacked, code, *options, **given))
                    # Where unsigned is allowed it is the MAC that tells.
                    said = self.refuses(attacked, NOT_SOUND, *options, "--allow-unsigned", **given)
                    self.assertIn("MAC" if code == UNSIGNED else word, said)
        # docs/threat-model.md: an earlier header is still accepted, whole as it was.
        self.opens_to(with_copies(after, block_of(before)), *by_passphrase, **given)

    def test_another_order(self):
        content = self.sealed_for_many("--to", "self", "--to", "passphrase", "--passphrase-fd", 0, input=PASSPHRASE + b"\n")
        self.opens_to(content)
        parts, slots = Parts.of(content), header_parts.split(Parts.of(content).slots)
        listed = parts.with_list(slots[::-1])
        fitting = replace(listed, immutable=put(parts.immutable, LIST_AT, sha256(listed.listed)))
        for what, changed, code in (("not in the list", replace(parts, slots=header_parts.joined(slots[::-1])), NOT_SOUND),
                                    ("in the list", listed, NOT_SOUND), ("in a list that fits", fitting, NOT_SOUND),
                                    ("unsigned", parts.later(slots[::-1]), UNSIGNED),
                                    ("the same order, unsigned", parts.later(slots), UNSIGNED)):
            with self.subTest(what):
                self.refuses(with_parts(content, changed), code)
                self.refuses(with_parts(content, changed), NOT_SOUND, "--allow-unsigned")


class ChangesOfSlots(SlotsInFrontCase):
    """By those who have the data key."""

    def test_a_change_that_nobody_signed(self):
        content = self.sealed_for_many("--to", "self")
        path = self.folder / "x.cks"
        self.succeeds(self.ckpt_seal("rewrap", "--unsigned", "--add", self.hosts["host-c"].record(), path))
        unsigned = path.read_bytes()
        self.refuses(unsigned, UNSIGNED)
        self.opens_to(unsigned, "--allow-unsigned")
        # The twin: the same by this host.
        path.write_bytes(content)
        self.succeeds(self.ckpt_seal("rewrap", "--add", self.hosts["host-c"].record(), path))
        self.opens_to(path.read_bytes())

    def victim(self):
        self.sealed_for_many("--to", "self", "--to", self.hosts["host-c"].record())
        path = self.folder / "x.cks"
        slots = self.json(self.succeeds(self.a.run("--json", "inspect", path)))["slots"]
        identity = origin_of(self.hosts["host-c"].record())[0]
        number = next(number for number, slot in enumerate(slots) if slot.get("recipient") == identity.hex())
        return Victim(path, self.hosts["host-c"].unseal_by_other_means(path, slot=number), self.trust)

    def test_the_last_generation(self):
        # host-c is a recipient whom its reader trusts as origin: the next change wrote generation 0, and nobody opened the file.
        victim, host = self.victim(), self.hosts["host-c"]
        insider = Signer(origin_of(host.record())[0], host.sign)
        trusted = ("--trust", host.record())
        for changer, allowed in ((insider, trusted), (pieces.NOBODY, ("--allow-unsigned",))):
            content = victim.changed(lambda workshop: workshop.slots, changer, LARGEST)
            self.opens_to(content, *allowed)
            for change in (("--add", "recovery"), ("--remove", host.record()), ("--replace", f"{host.record()}=recovery"),
                           ("--unsigned", "--add", "recovery")):
                with self.subTest(change):
                    said = self.refuses(content, 1, *allowed, verb=("rewrap", *change))
                    self.assertIn("as often as a file can be", said)
                    self.assertEqual((self.folder / "attacked.cks").read_bytes(), content)
            self.succeeds(self.run_on(content, *allowed, verb=("rewrap",)))  # without a change
            self.assertEqual((self.folder / "attacked.cks").read_bytes(), content)
            self.opens_to(content, *allowed)
            # The twin: one less, which can be changed once.
            self.succeeds(self.run_on(victim.changed(lambda workshop: workshop.slots, changer, LARGEST - 1), *allowed,
                                      verb=("rewrap", "--add", "recovery")))
            changed = (self.folder / "attacked.cks").read_bytes()
            self.assertEqual(Parts.of(changed).generation, LARGEST)
            self.opens_to(changed, *allowed)

    def test_generations_behind_the_last(self):
        victim, host = self.victim(), self.hosts["host-c"]
        insider = Signer(origin_of(host.record())[0], host.sign)
        for generation in (LARGEST + 1, 2**64 - 1):
            content = victim.changed(lambda workshop: workshop.slots, insider, generation)
            self.refuses(content, NOT_SOUND, "--trust", host.record())
            self.refuses(content, NOT_SOUND, "--trust", host.record(), verb=("rewrap", "--add", "recovery"))
            self.assertEqual((self.folder / "attacked.cks").read_bytes(), content)


if __name__ == "__main__":
    support.main()
