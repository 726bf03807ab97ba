# SPDX-License-Identifier: Apache-2.0
"""Record pages of "Manifest": what is skipped, what is refused, and record 1 of "Chains"."""

from pieces import END, IMAGES, PARENT_RECORD, RECORDS, Page, Record
from scenario import EIGHT_ZEROS, NINE_CHUNKS, bad, change, good, only, put, rearrange
from scenarios_immutable import CHILD, CRIU

CRITICAL = 0x8000
UNKNOWN = Record(77, b"unknown")
LARGEST = 4060
RECORD_PAGE = (1,)


def holding(*records):
    """In place of those that the file would have."""
    return {"records": lambda _w, _right: list(records)}


def opens(name, what, *records, **rest):
    inject = rest.pop("inject", {}) | holding(*records)
    return good("good_record_" + name, "Manifest", what, options={"inject": inject}, **rest)


def record(name, what, *records, inject=None, **rest):
    return bad("record_" + name, "Manifest", what, holding(*records) | (inject or {}), **rest)


def page(name, what, **fields):
    """A fault of the page of one record that would be skipped; page 0 is of images."""
    return record("page_" + name, what, UNKNOWN, inject={"pages": change(1, **fields)})


def moved(name, what, arrangement, **rest):
    return record("page_" + name, what, UNKNOWN, inject={"pages": rearrange(arrangement)}, **rest)


def parent(name, what, change):
    """`change` makes other records of the right one."""
    fault = {"records": lambda _w, right: change(right[0])}
    return bad("parent_record_" + name, "Manifest", what, fault, images=CRIU, options=CHILD)


def kinds(pages, *order):
    """The pages in the order of these kinds."""
    return [page for kind in order for page in pages if page.kind == kind]


EMPTY_PAGE = Page(RECORDS, 0, 0, 0, b"")
BOTH = [Record(2, b"options"), Record(5, b"wish")]

GOOD = [
    opens("unknown", "A record of type 77 is not critical, and is skipped.", UNKNOWN),
    opens("kept", "Records of the types 2 to 5 are skipped.", *(Record(kind, b"kept") for kind in range(2, 6))),
    opens("empty", "A record of type 32767 has no bytes.", Record(0x7FFF, b"")),
    opens("twice", "Two records of one type follow one another.", UNKNOWN, Record(77, b"again"), Record(78, b"")),
    opens("longest", "A record fills its page: 4060 bytes.", Record(77, bytes(LARGEST))),
    opens(
        "pages",
        "Records of one type stand in two pages.",
        Record(76, b""),
        Record(77, bytes(4000)),
        Record(77, bytes(4000)),
    ),
    good(
        "good_record_with_chunk_page",
        "Manifest",
        "A chunk page, an image page, a record page, the end.",
        images=NINE_CHUNKS,
        options=EIGHT_ZEROS | {"inject": holding(UNKNOWN)},
    ),
    good(
        "good_parent_record_tag",
        "Manifest",
        "The tag in the record of the parent is wrong: a reader that follows no chains does not decrypt it.",
        images=CRIU,
        options=CHILD | {"inject": {"records": lambda _w, right: [Record(PARENT_RECORD, bytes(64))]}},
    ),
    good(
        "good_parent_record_and_others",
        "Manifest",
        "Behind the record of the parent stand others that are not critical: types ascend without the bit.",
        images=CRIU,
        options=CHILD | {"inject": {"records": lambda _w, right: [*right, *BOTH]}},
    ),
]

FAULTS = [
    record("critical", "A record of type 77 is critical.", Record(CRITICAL | 77, b"unknown")),
    record("critical_kept", "A record of type 2 is critical.", Record(CRITICAL | 2, b"options")),
    record("critical_behind", "The third record is critical.", *BOTH, Record(CRITICAL | 5, b"")),
    record("disorder", "Type 3 stands before type 2.", Record(3, b"three"), Record(2, b"two")),
    record("disorder_parted", "Two records of one type do not follow one another.", UNKNOWN, Record(78, b""), UNKNOWN),
    record("disorder_pages", "Type 3 stands on a page before type 2.", Record(3, bytes(4000)), Record(2, bytes(4000))),
    record("type_0", "A record has type 0.", Record(0, b"zero")),
    record("type_0_empty", "A record has type 0 and no bytes.", Record(0, b"")),
    record("type_0_critical", "A critical record has type 0.", Record(CRITICAL, b"zero")),
    record("length_beyond", "A record is longer than its page.", Record(77, b"short", LARGEST + 1)),
    record("length_65535", "The length of a record is 65535.", Record(77, b"short", 65535)),
    record(
        "head_cut",
        "The head of a record does not fit into its page.",
        Record(77, bytes(4057)),
        inject={"pages": change(1, count=2)},
    ),
]

PAGES = [
    page("count_too_high", "A record page has a record less than it says; zeros are none.", count=2),
    page("count_65535", "A record page has 65535 records.", count=65535),
    record(
        "page_count_too_low",
        "A record page has a record more than it says.",
        *BOTH,
        inject={"pages": change(1, count=1)},
    ),
    page("owner", "A record page has an image number.", owner=1),
    page("first", "A record page has a first index.", first=1),
    page("encoding", "Byte 1 of a record page is not zero.", encoding=1),
    moved("empty", "A record page without records.", lambda p: p[:2] + [EMPTY_PAGE] + p[2:]),
    moved("before_images", "A record page stands before the image page.", lambda p: kinds(p, RECORDS, IMAGES, END)),
    moved(
        "before_chunks",
        "A record page stands before the chunk page.",
        lambda p: [p[1], p[2], p[0], p[3]],
        images=NINE_CHUNKS,
        options=EIGHT_ZEROS,
    ),
    moved("behind_end", "A record page stands behind the end page.", lambda p: kinds(p, IMAGES, END, RECORDS)),
    record(
        "page_tail",
        "The last byte of a record page is not zero.",
        UNKNOWN,
        inject={"page_plain": only(RECORD_PAGE, put(-1, b"\1"))},
    ),
]

PARENT = [
    parent("missing", "The file has a parent, and no record of it.", lambda right: []),
    parent("twice", "The record of the parent stands twice.", lambda right: [right, right]),
    parent("not_critical", "The record of the parent is not critical.", lambda right: [Record(1, right.body)]),
    parent("short", "The record of the parent has 63 bytes.", lambda right: [Record(PARENT_RECORD, right.body[:63])]),
    parent("long", "The record of the parent has 65 bytes.", lambda right: [Record(PARENT_RECORD, right.body + b"\0")]),
    parent(
        "behind",
        "Another record stands before that of the parent.",
        lambda right: [Record(2, b""), right],
    ),
    bad(
        "parent_record_without_parent",
        "Manifest",
        "There is a record of a parent, and no parent.",
        holding(Record(PARENT_RECORD, bytes(64))),
        images=CRIU,
        options={"content": 1},
    ),
    bad(
        "parent_record_not_critical_without_parent",
        "Manifest",
        "The same, and the record is not critical.",
        holding(Record(1, bytes(64))),
        images=CRIU,
        options={"content": 1},
    ),
]

SCENARIOS = GOOD + FAULTS + PAGES + PARENT
