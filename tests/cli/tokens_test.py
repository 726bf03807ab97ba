#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys in PKCS #11 tokens. docs/recipients.md, "Keys in a token"."""

import glob
import os
import subprocess

import support
from process_case import wait_until
from token_case import DEVICE_REMOVED, GENERAL_ERROR, PIN, SOFTHSM, WithFailures, WithTokens

PIN_LOCKED, KEY_FUNCTION_NOT_PERMITTED = 0xa4, 0x68
COUNT_LOW, FINAL_TRY, LOCKED = 0x10000, 0x20000, 0x40000


class TokenCase(WithTokens, support.CliTest):
    def seal(self, *recipients, name="k.cks", more=(), **options):
        to = [word for recipient in recipients for word in ("--to", recipient)]
        return self.ckpt_seal("seal", "--force", "-o", self.folder / name, *to, *more, self.write("plain", b"some content"), **options)

    def open(self, *identities, name="k.cks", pin=PIN, more=(), **options):
        words = [word for identity in identities for word in ("--identity", identity)]
        return self.ckpt_seal("open", "-o", "-", *words, "--passphrase-fd", "0", *more, self.folder / name, host=self.b,
                              input=f"{pin}\n".encode(), **options)

    def opens(self, *identities, **options):
        self.assertEqual(self.succeeds(self.open(*identities, **options)).stdout, b"some content")


class Tokens(TokenCase):
    def test_each_curve_and_the_key_of_another(self):
        for number, curve, algorithm in (("01", "prime256v1", "ecdh-p256"), ("02", "secp384r1", "ecdh-p384")):
            with self.subTest(curve):
                self.make_key(curve, f"EC:{curve}", number)
                uri = self.uri(f"token=archive;object={curve}")
                self.succeeds(self.seal(uri))
                self.opens(uri)
                self.opens(self.uri(f"token=archive;id=%{number}"))
                slot = self.json(self.a.run("--json", "inspect", self.folder / "k.cks"))["slots"][0]
                self.assertEqual((slot["kind"], slot["algorithm"], slot["source"], slot["label"]),
                                 ("public_key", algorithm, "token", curve))
        self.refused(self.open(self.uri("token=archive;object=prime256v1")), 9)
        self.refused(self.open(), 9)

    def test_the_key_stays_in_the_token(self):
        """The one that docs/recipients.md says how to make."""
        self.make_key()
        said = self.pkcs11_tool("--list-objects", "--type", "privkey")
        self.assertIn("never extractable", said)
        self.assertIn("sensitive", said)

    def test_each_byte_of_a_slot_flipped(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        content = (self.folder / "k.cks").read_bytes()
        at = content.index(b"backup")
        # The label, the length of the point, the point, the encrypted data key, its tag.
        for offset in (*range(0, 8), *range(8, 73, 9), *range(73, 121, 5)):
            self.alter(self.folder / "k.cks", content, at + offset)
            self.refused(self.open(self.uri()), 5)

    def test_a_pin_file(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        for content in (f"{PIN}\n", PIN, f"{PIN}\r\nmore\n"):
            pin = self.write("pin", content.encode())
            done = self.ckpt_seal("open", "-o", "-", "--identity", self.uri(more=f"&pin-source=file:{pin}"), self.folder / "k.cks",
                                  host=self.b, start_new_session=True)
            self.assertEqual(self.succeeds(done).stdout, b"some content")
        for content, code, word in ((b"wrong\n", 3, "is wrong"), (b"\n", 5, "first line"), (b"", 5, "first line")):
            pin = self.write("pin", content)
            self.refused(self.open(self.uri(more=f"&pin-source={pin}")), code, word)
        self.refused(self.open(self.uri(more=f"&pin-source={self.folder}/missing")), 1, "missing")

    def test_a_certificate_in_the_token(self):
        import keys_test
        key = keys_test.KEYS["ecdh-p256"]()
        for days, code in ((30, 0), (-1, 4)):
            label = f"c{days}"
            der = keys_test.certificate(key, days=days).public_bytes(keys_test.serialization.Encoding.DER)
            self.pkcs11_tool("--write-object", self.write("c.der", der), "--type", "cert", "--label", label, "--id", "07")
            done = self.seal(self.uri(f"token=archive;object={label}"))
            if code:
                self.refused(done, code, "expired")
            else:
                self.succeeds(done)
                self.opens(self.write("k.pem", keys_test.key_file(key)), pin="")

    def test_rewrap_adds_and_removes(self):
        self.make_key()
        self.succeeds(self.seal("self"))
        path = self.folder / "k.cks"
        self.succeeds(self.ckpt_seal("rewrap", path, "--add", self.uri()))
        self.assertIn(b"nothing to change", self.succeeds(self.ckpt_seal("rewrap", path, "--add", self.uri())).stdout)
        self.opens(self.uri())
        self.succeeds(self.ckpt_seal("rewrap", path, "--remove", self.uri()))
        self.refused(self.open(self.uri()), 9)
        self.refused(self.ckpt_seal("rewrap", path, "--remove", self.uri()), 2, "no slot")

    def test_a_token_changes_the_recipients(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        self.succeeds(self.ckpt_seal("rewrap", self.folder / "k.cks", "--add", "self", "--remove", self.uri(), "--identity",
                                     self.uri(), "--passphrase-fd", "0", input=f"{PIN}\n".encode()))
        self.assertEqual(self.succeeds(self.a.run("open", "-o", "-", self.folder / "k.cks")).stdout, b"some content")

    def test_two_tokens_of_one_threshold(self):
        self.make_key()
        self.make_token("second")
        self.pkcs11_tool("--keypairgen", "--key-type", "EC:prime256v1", "--usage-derive", "--label", "other", token="second")
        other = self.uri("token=second;object=other")
        self.succeeds(self.seal(self.uri(), other, self.b.record(), more=("--threshold", "2")))
        self.opens(self.uri(), other, pin=f"{PIN}\n{PIN}")
        self.opens("tpm", other)
        self.refused(self.open(other), 9, "2 of 3")
        self.refused(self.open(self.uri(), other, pin=f"{PIN}\nwrong"), 3, "is wrong")


class TokensOfNss(WithFailures, TokenCase):
    """Another implementation: NSS, which has RSA-OAEP with SHA-256. The failing module only hands it what it wants at its start."""

    def setUp(self):
        super().setUp()
        folder = self.folder / "nss"
        folder.mkdir()
        self.tool("certutil", "-N", "-d", f"sql:{folder}", "-f", self.write("pin", f"{PIN}\n".encode()))
        self.environment["CKPT_TEST_PKCS11_MODULE"] = next(iter(glob.glob("/usr/lib/*/libsoftokn3.so") +
                                                                glob.glob("/usr/lib/*/nss/libsoftokn3.so")))
        self.environment["CKPT_TEST_PKCS11_NSS"] = f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="

    def make_key(self, label, kind, number, usage):
        self.tool("pkcs11-tool", "--module", self.failing, "--token-label", "NSS Certificate DB", "--login", "--pin", PIN,
                  "--keypairgen", "--key-type", kind, usage, "--label", label, "--id", number)

    def uri_of(self, label):
        return self.uri(f"token=NSS%20Certificate%20DB;object={label}", self.failing)

    def test_rsa(self):
        self.make_key("numbers", "rsa:2048", "02", "--usage-decrypt")
        self.make_key("others", "rsa:2048", "03", "--usage-decrypt")
        uri = self.uri_of("numbers")
        self.succeeds(self.seal(uri))
        self.opens(uri)
        slot = self.json(self.a.run("--json", "inspect", self.folder / "k.cks"))["slots"][0]
        self.assertEqual((slot["algorithm"], slot["source"]), ("rsa-oaep-sha256", "token"))
        self.refused(self.open(self.uri_of("others")), 9)
        self.refused(self.open(uri, pin="wrong"), 3, "is wrong")
        content = (self.folder / "k.cks").read_bytes()
        start = content.index(b"numbers") + len(b"numbers") + 2
        for offset in (0, 1, 100, 255):
            self.alter(self.folder / "k.cks", content, start + offset)
            self.refused(self.open(uri), 5, "not those from its sealing")

    def test_ecdh(self):
        self.make_key("curve", "EC:prime256v1", "04", "--usage-derive")
        self.succeeds(self.seal(self.uri_of("curve")))
        self.opens(self.uri_of("curve"))


class TokenTrouble(TokenCase):
    def test_uris(self):
        self.succeeds(self.seal("self"))
        for uri, word in (("pkcs11:token=archive;object=backup", "module-path"),
                          ("pkcs11:token=archive?module-path=libsofthsm2.so", "module-path"),
                          ("pkcs11:token=archive?module-name=../x", "module-path"),
                          (self.uri(more="&pin-value=1234"), "PIN"),
                          (self.uri(more="&pin-source=|cat"), "pin-source"),
                          ("pkcs11:token=%zz", "RFC 7512"),
                          ("pkcs11:nonsense", "RFC 7512"),
                          (self.uri("token=archive;colour=red"), "attribute")):
            with self.subTest(uri):
                for done in (self.seal(uri), self.open(uri)):
                    self.refused(done, 2, word)
                    self.assertNotIn(b"1234", done.stderr)

    def test_modules_that_are_none(self):
        text = self.write("text.so", b"no library")
        for module in (self.folder / "missing.so", text, "/usr/lib/x86_64-linux-gnu/libc.so.6"):
            with self.subTest(module):
                self.refused(self.seal(self.uri(module=module)), 8, "module")

    def test_what_fits_none_or_several(self):
        self.make_key()
        self.make_key("second", number="02")
        self.make_key("twin", number="03")
        self.make_key("twin", number="04")
        for path, code, word in (("token=other;object=backup", 8, "put it in"), ("token=archive;object=other", 2, "There is no"),
                                 ("token=archive", 2, "several keys"), ("token=archive;object=twin", 2, "several keys")):
            with self.subTest(path):
                self.refused(self.seal(self.uri(path)), code, word)
        self.succeeds(self.seal(self.uri("token=archive;object=twin;id=%03;type=private")))
        self.opens(self.uri("token=archive;object=twin;id=%03"))
        self.refused(self.open(self.uri("token=archive;object=twin;id=%04")), 9)

    def test_two_tokens_with_one_label(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        serials = self.make_token("archive")
        self.refused(self.open(self.uri()), 2, "2 tokens", "serial=")
        opened = [self.open(self.uri(f"token=archive;serial={serial};object=backup")).returncode for serial in serials]
        self.assertEqual(sorted(opened), [0, 2])

    def test_pins(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        self.refused(self.open(self.uri(), pin="1"), 3, "is wrong", "tries")
        self.refused(self.open(self.uri(), pin="123456789"), 3, "is wrong")
        self.refused(self.open(self.uri(), pin="x" * 1000), 3, "is wrong")
        self.refused(self.open(self.uri(), pin=""), 2, "empty")
        done = self.ckpt_seal("open", "-o", "-", "--identity", self.uri(), self.folder / "k.cks", host=self.b, start_new_session=True)
        self.refused(done, 1, "no terminal", "pin-source")
        self.opens(self.uri())

    def test_a_wrong_pin_is_tried_once_whatever_number_of_keys_are_named(self):
        for label, number in (("backup", "01"), ("second", "02")):
            self.make_key(label, "EC:prime256v1", number)
        first, second = self.uri("token=archive;object=backup"), self.uri("token=archive;object=second")
        self.succeeds(self.seal(first, second))
        # The second line would be the right one, and is nobody's.
        for uris in ((first, first), (first, second), (second, first)):
            self.refused(self.open(*uris, pin=f"wrong\n{PIN}"), 3, "PIN")
            self.opens(*uris)

    def test_a_pin_is_not_asked_for_in_vain(self):
        self.make_key()
        self.succeeds(self.seal(self.b.record()))
        self.refused(self.open(self.uri(), pin="wrong"), 9)
        self.opens("tpm", self.uri(), pin="wrong")

    def test_keys_that_cannot(self):
        self.make_key("signs", usage="--usage-sign")
        self.succeeds(self.seal(self.uri("token=archive;object=signs")))
        self.refused(self.open(self.uri("token=archive;object=signs")), 1, "CKA_DERIVE")
        self.make_key("other", "EC:secp521r1", "05")
        self.refused(self.seal(self.uri("token=archive;object=other")), 1, "P-256")
        self.make_key("numbers", "rsa:2048", "06", "--usage-decrypt")
        self.refused(self.seal(self.uri("token=archive;object=numbers")), 1, "OAEP", "P-256")

    def test_a_token_without_the_private_key(self):
        self.make_key()
        self.succeeds(self.seal(self.uri()))
        self.pkcs11_tool("--delete-object", "--type", "privkey", "--label", "backup")
        self.refused(self.open(self.uri()), 1, "no private one")

    def test_help_for_a_slip(self):
        self.succeeds(self.seal("self"))
        self.refused(self.open("pkcs11"), 2, "pkcs11: URI")


class TokenCalls(WithFailures, TokenCase):
    """What tokens answer that SoftHSM never does."""

    def setUp(self):
        super().setUp()
        self.make_key()
        self.through = self.uri(module=self.failing)

    def with_failure(self, action, **how):
        return action(self.through, more_environment=self.failure(**how))

    def check_each_call(self, action, code, expected):
        calls = self.calls_of(lambda more: action(self.through, more_environment=more))
        self.assertGreater(len(calls), 8)
        for nth, name in enumerate(calls, 1):
            for how in ("nth", "from"):
                with self.subTest(call=nth, name=name, how=how):
                    done = self.with_failure(action, rv=code, **{how: nth})
                    if name in ("C_CloseSession", "C_Finalize"):  # all is done by then
                        self.succeeds(done)
                    else:
                        self.refused(done, 8 if name == "C_Initialize" else expected)
                        self.assertNotIn(b"some content", done.stdout)
        return calls

    def test_each_call_of_an_open(self):
        self.succeeds(self.seal(self.uri()))
        for code, expected in ((DEVICE_REMOVED, 8), (GENERAL_ERROR, 1)):
            calls = self.check_each_call(self.open, code, expected)
            for name in ("C_Initialize", "C_Login", "C_DeriveKey", "C_DestroyObject", "C_Finalize"):
                self.assertIn(name, calls)
            # It is tried once, and everything is closed before content flows.
            self.assertEqual((calls.count("C_Login"), calls[-1]), (1, "C_Finalize"))

    def test_each_call_of_a_seal(self):
        for code, expected in ((DEVICE_REMOVED, 8), (GENERAL_ERROR, 1)):
            self.check_each_call(lambda uri, **options: self.seal(uri, name="new.cks", **options), code, expected)

    def test_nobody_waits_for_a_pin_to_be_typed(self):
        self.succeeds(self.seal(self.uri()))
        log = self.write("calls", b"")
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, write_end)
        command = [support.program(), "--state", self.b.state, "open", "-o", "-", "--identity", self.through, "--passphrase-fd",
                   str(read_end), str(self.folder / "k.cks")]
        typing = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[read_end],
                                  env=dict(support.ENVIRONMENT, **self.environment, **self.failure(log=log)))
        self.addCleanup(typing.kill)
        os.close(read_end)
        wait_until(lambda: "C_GetMechanismInfo" in log.read_text(), "the token is open")
        self.opens(self.through)
        self.assertNotIn("C_Login", log.read_text())
        os.write(write_end, f"{PIN}\n".encode())
        self.assertEqual(typing.communicate(timeout=120), (b"some content", b""))

    def test_a_seal_that_fails_leaves_nothing(self):
        done = self.with_failure(lambda uri, **options: self.seal(uri, name="none.cks", **options), call="C_OpenSession", rv=DEVICE_REMOVED)
        self.refused(done, 8)
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.cks*")), [])

    def test_tries_left_and_locks(self):
        self.succeeds(self.seal(self.uri()))

        def wrong(uri, **options):
            return self.open(uri, pin="wrong", **options)
        self.refused(self.with_failure(wrong, flags=COUNT_LOW), 3, "few tries")
        self.refused(self.with_failure(wrong, flags=FINAL_TRY), 3, "one more")
        self.refused(self.with_failure(wrong, call="C_Login", rv=PIN_LOCKED), 7, "locked")
        # It locks with this try, and says so only afterwards.
        log = self.folder / "calls"
        self.refused(self.with_failure(wrong, flags=LOCKED, log=log), 7, "locked")
        self.assertNotIn("C_Login", log.read_text())  # a locked token is left alone

    def test_a_login_that_fails_is_not_tried_for_the_next_slot(self):
        self.make_key("second", "EC:prime256v1", "02")
        second = self.uri("token=archive;object=second", module=self.failing)
        self.succeeds(self.seal(self.uri(), self.uri("token=archive;object=second")))
        log = self.folder / "calls"
        for rv in (GENERAL_ERROR, 0x6):
            log.unlink(missing_ok=True)
            environment = self.failure(call="C_Login", rv=rv, log=log)
            self.refused(self.open(self.through, second, more_environment=environment), 1)
            self.assertEqual(log.read_text().split().count("C_Login"), 1)

    def test_a_token_that_cannot_agree(self):
        self.succeeds(self.seal(self.uri()))
        self.refused(self.with_failure(self.open, call="C_GetMechanismInfo", rv=0x70), 1, "CKM_ECDH1_DERIVE")
        self.refused(self.with_failure(self.seal, call="C_GetMechanismInfo", rv=0x70), 1, "CKM_ECDH1_DERIVE")
        self.refused(self.with_failure(self.open, call="C_DeriveKey", rv=KEY_FUNCTION_NOT_PERMITTED), 1, "CKA_DERIVE")

    def test_a_damaged_slot_is_not_the_token(self):
        """It is refused before the token is asked."""
        self.succeeds(self.seal(self.uri()))
        content = (self.folder / "k.cks").read_bytes()
        self.alter(self.folder / "k.cks", content, content.index(b"backup") + len(b"backup") + 2 + 10)
        log = self.folder / "calls"
        self.refused(self.with_failure(self.open, log=log), 5)
        self.assertFalse(log.exists(), "the module was loaded")


if __name__ == "__main__":
    support.main()
