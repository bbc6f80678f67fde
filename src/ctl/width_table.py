#!/usr/bin/env python3
"""Prints width_table.hpp from the Unicode data that Python carries.

    python3 src/ctl/width_table.py | clang-format-14 --assume-filename=src/ctl/width_table.hpp >src/ctl/width_table.hpp

Wide: East_Asian_Width W or F (UAX 11), and what its data file reserves as wide in planes 2 and 3. Without width: marks
that do not space (Mn, Me), format characters (Cf) but for the soft hyphen, and the vowels and finals of Hangul that join
the syllable before them.
"""
import sys
import unicodedata

RESERVED_WIDE = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFD), (0x30000, 0x3FFFD)]
JOINING_JAMO = [(0x1160, 0x11FF), (0xD7B0, 0xD7C6), (0xD7CB, 0xD7FB)]


def within(code, ranges):
    return any(first <= code <= last for first, last in ranges)


def has_no_width(code):
    return code != 0xAD and (unicodedata.category(chr(code)) in ("Mn", "Me", "Cf") or within(code, JOINING_JAMO))


def is_wide(code):
    # Python says F of what is not assigned.
    assigned = unicodedata.category(chr(code)) != "Cn"
    return not has_no_width(code) and (
        assigned and unicodedata.east_asian_width(chr(code)) in ("W", "F") or within(code, RESERVED_WIDE))


def ranges_of(is_member):
    """Ranges of the members; what is not assigned between two of them belongs to the range."""
    found = []
    gap_is_free = False
    for code in range(0xA0, sys.maxunicode + 1):
        if is_member(code):
            if found and gap_is_free:
                found[-1][1] = code
            else:
                found.append([code, code])
            gap_is_free = True
        elif unicodedata.category(chr(code)) != "Cn" or within(code, RESERVED_WIDE):
            gap_is_free = False
    return found


def print_table(name, meaning, ranges):
    print(f"/// {meaning}")
    print(f"inline constexpr CodePoints {name}[] = {{")
    print(", ".join(f"{{0x{first:04X}, 0x{last:04X}}}" for first, last in ranges))
    print("};\n")


print(f"""// Made by width_table.py from Unicode {unicodedata.unidata_version}; change that instead.
#pragma once

namespace fairlead::ctl {{

/// From the first to the last, both included.
struct CodePoints {{
    char32_t first;
    char32_t last;
}};
""")
print_table("wide", "Two columns wide on a terminal. In order.", ranges_of(is_wide))
print_table("without_width", "Drawn over or into what stands before. In order.", ranges_of(has_no_width))
print("}  // namespace fairlead::ctl")
