#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that arrows.py can fail: each test breaks one rule in a small tree that is right, and expects the sentence about it."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from unittest import mock

import arrows

CC_START = "// SPDX-License-Identifier: Apache-2.0\n"
GOOD_TREE = {
    "CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n",
    "base/bytes.h": CC_START + "#include <span>\n#include <sys/types.h>\n",
    "base/crypto.cc": CC_START + '#include <gnutls/gnutls.h>\n#include "base/bytes.h"\n',
    "proto/record.proto": CC_START + 'import "google/protobuf/empty.proto";\n',
    "policies/pcr.cc": CC_START + '#include <tss2/tss2_mu.h>\n#include "base/bytes.h"\n',
    "hosts/record.cc": CC_START + '#include "policies/pcr.h"\n#include "proto/record.pb.h"\n',
    "keymgr/tpm2/esys_internal.h": CC_START + '#include <tss2/tss2_esys.h>\n#include "hosts/record.h"\n',
    "keymgr/tpm2/ecdh.cc": CC_START + "#include <nettle/ecc.h>\n#include <gmp.h>\n",
    "sealing/sandbox.cc": CC_START + '#include <seccomp.h>\n#include "keymgr/recipient.h"\n',
    "cli/console.h": CC_START + '#include <nlohmann/json.hpp>\n#include "sealing/jobs.h"\n',
    "cli/opening/reading.h": CC_START + '#include "cli/console.h"\n',
    "cli/verbs/open.cc": CC_START + '#include "cli/opening/reading.h"\n',
    "cli/main.cc": CC_START + '#include "cli/verbs/verbs.h"\n',
    "tests/base/bytes_test.cc": CC_START + '#include <gnutls/gnutls.h>\n#include "cli/main.h"\n',
    "scripts/build": "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n",
    "docs/architecture.md": "# Folders\n\n```arrows\nbase\nproto\npolicies -> base\nhosts -> policies proto\nkeymgr -> hosts\n"
    "sealing -> keymgr\ncli -> sealing\ncli/opening -> cli\n"
    "cli/verbs -> cli/opening\ncli/main.cc -> cli/verbs\n```\n",
}


class ArrowsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="arrows.")
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path, text in GOOD_TREE.items():
            self.write(path, text)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def append(self, path, text):
        self.write(path, GOOD_TREE[path] + text)

    def run_checks(self, *options):
        errors = io.StringIO()
        with mock.patch.object(sys, "argv", ["arrows.py", *options, self.root]), contextlib.redirect_stderr(errors):
            status = arrows.main()
        return status, errors.getvalue().splitlines()

    def expect_one(self, place, words, check=None):
        status, lines = self.run_checks(*(["--check", check] if check else []))
        self.assertEqual(status, 1)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(place), lines)
        self.assertIn(words, lines[0])

    def test_good_tree(self):
        self.assertEqual(self.run_checks(), (0, []))

    def test_wrong_arrow(self):
        self.append("base/crypto.cc", '#include "hosts/record.h"\n')
        self.expect_one("base/crypto.cc:4:", "base/ must not include hosts/record.h", "includes")

    def test_wrong_arrow_to_a_neighbor(self):
        self.append("proto/record.proto", 'import "base/bytes.proto";\n')
        self.expect_one("proto/record.proto:3:", "must not include", "includes")

    def test_wrong_arrow_in_angle_brackets(self):
        self.append("policies/pcr.cc", "#  include <keymgr/recipient.h>  // why not\n")
        self.expect_one("policies/pcr.cc:4:", "must not include", "includes")

    def test_wrong_arrow_behind_has_include(self):
        self.append("policies/pcr.cc", '#if __has_include("cli/main.h")\n#endif\n')
        self.expect_one("policies/pcr.cc:4:", "must not include", "includes")

    def test_provisioning_and_sealing_do_not_know_each_other(self):
        self.write("provisioning/provision.cc", CC_START + '#include "sealing/jobs.h"\n')
        self.expect_one("provisioning/provision.cc:2:", "must not include", "includes")

    def test_nobody_includes_cli(self):
        self.append("sealing/sandbox.cc", '#include "cli/console.h"\n')
        self.expect_one("sealing/sandbox.cc:4:", "must not include", "includes")

    def test_folder_inside_another_has_its_own_place(self):
        self.append("cli/console.h", '#include "cli/opening/reading.h"\n')
        self.expect_one("cli/console.h:4:", "cli/ must not include cli/opening/reading.h", "includes")

    def test_folders_inside_another_stand_beside_each_other(self):
        self.append("cli/opening/reading.h", '#include "cli/sealing/recipients.h"\n')
        self.expect_one("cli/opening/reading.h:3:", "must not include", "includes")

    def test_nobody_includes_a_folder_inside_cli(self):
        self.append("sealing/sandbox.cc", '#include "cli/opening/reading.h"\n')
        self.expect_one("sealing/sandbox.cc:4:", "must not include", "includes")

    def test_folder_inside_another_without_a_place_has_that_of_the_other(self):
        self.write("cli/shared/text.cc", CC_START + '#include "cli/verbs/verbs.h"\n')
        self.expect_one("cli/shared/text.cc:2:", "cli/ must not include", "includes")

    def test_comment_is_no_arrow(self):
        self.append("base/crypto.cc", '// #include "hosts/a.h"\n/*\n#include "hosts/b.h"\n*/\n')
        self.assertEqual(self.run_checks(), (0, []))

    def test_line_number_behind_a_comment(self):
        self.append("base/crypto.cc", '/*\n\n*/\n#include "hosts/b.h"\n')
        self.expect_one("base/crypto.cc:7:", "must not include", "includes")

    def test_include_without_folder(self):
        self.append("hosts/record.cc", '#include "names.h"\n')
        self.expect_one("hosts/record.cc:4:", "with its folder", "includes")

    def test_include_by_way_of_the_parent_folder(self):
        self.append("hosts/record.cc", '#include "hosts/../cli/main.h"\n')
        self.expect_one("hosts/record.cc:4:", "with its folder", "includes")

    def test_include_of_a_macro(self):
        self.append("hosts/record.cc", "#include HEADER\n")
        self.expect_one("hosts/record.cc:4:", "not a macro")

    def test_folder_without_a_place(self):
        self.write("helpers/a.cc", CC_START)
        self.expect_one("helpers/a.cc:", "no place", "includes")

    def test_empty_tree(self):
        with tempfile.TemporaryDirectory(prefix="arrows.") as self.root:
            self.expect_one(self.root, "no sources", "includes")

    def test_library_in_a_wrong_folder(self):
        self.append("hosts/record.cc", "#include <gnutls/x509.h>\n")
        self.expect_one("hosts/record.cc:4:", "belongs in base/ alone")

    def test_library_in_a_wrong_folder_below(self):
        self.write("keymgr/x509/x509.cc", CC_START + "#include <tss2/tss2_esys.h>\n")
        self.expect_one("keymgr/x509/x509.cc:2:", "belongs in policies/ and keymgr/tpm2/ alone")

    def test_library_in_quotation_marks(self):
        self.append("hosts/record.cc", '#include "gnutls/x509.h"\n')
        self.expect_one("hosts/record.cc:4:", "belongs in base/ alone", "third-party")

    def test_library_in_a_header(self):
        self.append("base/bytes.h", "#include <gnutls/gnutls.h>\n")
        self.expect_one("base/bytes.h:4:", "must stay in .cc files")

    def test_format_in_a_header(self):
        self.append("base/bytes.h", "#include <fmt/format.h>\n")
        self.expect_one("base/bytes.h:4:", "must stay in .cc files")

    def test_unknown_library(self):
        self.append("base/crypto.cc", "#include <zlib.h>\n")
        self.expect_one("base/crypto.cc:4:", "no known library")

    def test_missing_licence(self):
        for path in ("base/bytes.h", "CMakeLists.txt", "scripts/build", "tests/base/bytes_test.cc"):
            with self.subTest(path):
                self.write(path, GOOD_TREE[path].replace("SPDX-", "XPDS-"))
                self.expect_one(f"{path}:", "must begin with the line", "licence")
                self.write(path, GOOD_TREE[path])

    def test_empty_source_has_no_licence(self):
        self.write("base/empty.cc", "")
        self.expect_one("base/empty.cc:", "must begin with the line")

    def test_build_folder_is_not_read(self):
        self.write("build/debug/x.cc", "")
        self.assertEqual(self.run_checks(), (0, []))

    def redraw(self, old, new):
        self.write("docs/architecture.md", GOOD_TREE["docs/architecture.md"].replace(old, new))

    def test_arrow_drawn_that_is_not_there(self):
        self.redraw("policies -> base", "policies -> base proto")
        self.expect_one("docs/architecture.md:", "no source has it")

    def test_arrow_not_drawn(self):
        self.redraw("policies -> base", "policies")
        self.expect_one("docs/architecture.md:", "policies -> base is in the sources and not drawn")

    def test_folder_not_drawn(self):
        self.redraw("policies -> base\n", "")
        self.expect_one("docs/architecture.md:", "is not drawn")

    def test_folder_drawn_that_is_not_there(self):
        self.redraw("cli ->", "restore -> sealing\ncli ->")
        self.expect_one("docs/architecture.md:", "restore is drawn and has no sources")

    def test_folder_drawn_twice(self):
        self.redraw("base\n", "base\nbase\n")
        self.expect_one("docs/architecture.md:", "twice")

    def test_no_picture(self):
        self.redraw("```arrows", "```text")
        self.expect_one("docs/architecture.md:", "has 0")

    def test_no_page(self):
        os.unlink(os.path.join(self.root, "docs/architecture.md"))
        self.expect_one("docs/architecture.md:", "no such file")

    def test_printed_picture_is_accepted(self):
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", ["arrows.py", "--print-picture", self.root]), contextlib.redirect_stdout(printed):
            self.assertEqual(arrows.main(), 0)
        self.write("docs/architecture.md", f"```arrows\n{printed.getvalue()}```\n")
        self.assertEqual(self.run_checks(), (0, []))


if __name__ == "__main__":
    unittest.main()
