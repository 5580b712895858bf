#!/usr/bin/env python3
"""Makes a small MaxMind DB file from JSON, for tests.

    make_test_mmdb.py [--record-size 24|28|32] SOURCE.json TARGET.mmdb

Written from the public specification of the format, version 2.0
(https://maxmind.github.io/MaxMind-DB/). The same source gives the same bytes on every run. Python 3.8, no packages.

The source is an object with
  "metadata":  "database_type", "ip_version" (4 or 6), "record_size" (24, 28 or 32), "build_epoch",
               and, if wanted, "languages" and "description";
  "networks":  an object from networks ("81.2.69.0/24") to any JSON value; a longer prefix wins over a shorter one.
               In an IPv6 file IPv4 networks go below ::/96;
  "alias_ipv4": true to let ::ffff:0:0/96 and 2002::/16 lead to the IPv4 networks too, as MaxMind's files do.

JSON integers become uint32, uint64 or uint128 by size, or int32 when negative; other numbers become doubles. Values
that come again are written once and pointed to.
"""
import argparse
import ipaddress
import json
import struct
import sys

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)

POINTER, STRING, DOUBLE, UINT16, UINT32, MAP = 1, 2, 3, 5, 6, 7
INT32, UINT64, UINT128, ARRAY, BOOLEAN = 8, 9, 10, 11, 14


class Uint16(int):
    """An integer that the metadata want in 16 bits."""


class Uint64(int):
    """An integer that the metadata want in 64 bits."""


def control(kind, size):
    """The bytes in front of a value: type, then size (section "Data Field Format")."""
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, bytes([size - 29])
    elif size < 65821:
        low, more = 30, (size - 285).to_bytes(2, "big")
    elif size < 65821 + (1 << 24):
        low, more = 31, (size - 65821).to_bytes(3, "big")
    else:
        raise ValueError("a value is too large for the format")
    head = bytes([kind << 5 | low]) if kind <= 7 else bytes([low, kind - 7])
    return head + more


def pointer(target):
    if target < 2048:
        return bytes([POINTER << 5 | target >> 8, target & 0xFF])
    if target < 526336:
        rest = target - 2048
        return bytes([POINTER << 5 | 1 << 3 | rest >> 16]) + (rest & 0xFFFF).to_bytes(2, "big")
    if target < 526336 + (1 << 27):
        rest = target - 526336
        return bytes([POINTER << 5 | 2 << 3 | rest >> 24]) + (rest & 0xFFFFFF).to_bytes(3, "big")
    return bytes([POINTER << 5 | 3 << 3]) + target.to_bytes(4, "big")


class Section:
    """A data section that grows by values, each distinct one written once."""

    def __init__(self):
        self.bytes = bytearray()
        self.places = {}

    def add(self, value):
        """Writes a value that records point to; returns its offset."""
        key = self.key(value)
        if key not in self.places:
            prepared = self.prepare(value)
            self.places[key] = len(self.bytes)
            self.bytes += prepared
        return self.places[key]

    @staticmethod
    def key(value):
        return type(value).__name__ + json.dumps(value, sort_keys=True, ensure_ascii=False)

    def inside(self, value):
        """The bytes of a value within another: a pointer where that is shorter."""
        if isinstance(value, (str, dict, list)) and len(value) > 0:
            plain = self.prepare(value)
            if len(plain) > 5:
                return pointer(self.add(value))
            return plain
        return self.prepare(value)

    def prepare(self, value):
        if isinstance(value, bool):
            return control(BOOLEAN, int(value))
        if isinstance(value, int):
            return self.integer(value)
        if isinstance(value, float):
            return control(DOUBLE, 8) + struct.pack(">d", value)
        if isinstance(value, str):
            raw = value.encode("utf-8")
            return control(STRING, len(raw)) + raw
        if isinstance(value, list):
            return control(ARRAY, len(value)) + b"".join([self.inside(v) for v in value])
        if isinstance(value, dict):
            parts = [self.inside(k) + self.inside(v) for k, v in sorted(value.items())]
            return control(MAP, len(value)) + b"".join(parts)
        raise ValueError("the format has no value for %r" % (value,))

    @staticmethod
    def integer(value):
        if value < 0:
            return control(INT32, 4) + struct.pack(">i", value)
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        if isinstance(value, Uint16):
            kind = UINT16
        elif isinstance(value, Uint64) or 4 < len(raw) <= 8:
            kind = UINT64
        else:
            kind = UINT32 if len(raw) <= 4 else UINT128
        if len(raw) > 16:
            raise ValueError("an integer is too large for the format")
        return control(kind, len(raw)) + raw


class Node:
    __slots__ = ("children", "number")

    def __init__(self, child=None):
        self.children = [child, child]
        self.number = None


class Leaf:
    __slots__ = ("offset",)

    def __init__(self, offset):
        self.offset = offset


def bits_of(network, ip_version):
    """A network's prefix as a list of bits in the file's tree."""
    value, length, width = int(network.network_address), network.prefixlen, network.max_prefixlen
    if ip_version == 4 and network.version == 6:
        raise ValueError("%s does not fit an IPv4 file" % network)
    if ip_version == 6 and network.version == 4:
        length, width = length + 96, 128
    return [value >> (width - 1 - i) & 1 for i in range(length)]


def put(root, bits, thing):
    """Hangs a leaf or a node below the root; what a leaf on the way said stays true beside it."""
    if not bits:
        raise ValueError("a network needs a prefix of at least one bit")
    node = root
    for bit in bits[:-1]:
        child = node.children[bit]
        if not isinstance(child, Node):
            child = node.children[bit] = Node(child)
        node = child
    node.children[bits[-1]] = thing


def find(root, bits):
    node = root
    for bit in bits:
        if not isinstance(node, Node):
            break
        node = node.children[bit]
    return node


def numbered(root):
    """All nodes, the root first, each once although aliases lead to it twice."""
    order, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Node) or node.number is not None:
            continue
        node.number = len(order)
        order.append(node)
        waiting += [node.children[1], node.children[0]]
    return order


def tree_bytes(order, record_size):
    count = len(order)

    def record(child):
        if child is None:
            value = count
        elif isinstance(child, Node):
            value = child.number
        else:
            value = count + len(SEPARATOR) + child.offset
        if value >> record_size:
            raise ValueError("the file is too large for records of %d bits" % record_size)
        return value

    out = bytearray()
    for node in order:
        left, right = (record(child) for child in node.children)
        if record_size == 28:
            out += (left & 0xFFFFFF).to_bytes(3, "big")
            out.append(left >> 24 << 4 | right >> 24)
            out += (right & 0xFFFFFF).to_bytes(3, "big")
        else:
            out += left.to_bytes(record_size // 8, "big") + right.to_bytes(record_size // 8, "big")
    return bytes(out)


def make(source, record_size=None):
    about = source["metadata"]
    ip_version = about["ip_version"]
    record_size = record_size or about["record_size"]
    if ip_version not in (4, 6) or record_size not in (24, 28, 32):
        raise ValueError("ip_version is 4 or 6, record_size 24, 28 or 32")

    data, root = Section(), Node()
    networks = [(ipaddress.ip_network(name), value) for name, value in source["networks"].items()]
    networks.sort(key=lambda entry: (len(bits_of(entry[0], ip_version)), entry[0].version, entry[0]))
    for network, value in networks:
        put(root, bits_of(network, ip_version), Leaf(data.add(value)))
    if source.get("alias_ipv4"):
        start = find(root, [0] * 96)
        for name in ("::ffff:0:0/96", "2002::/16"):
            put(root, bits_of(ipaddress.ip_network(name), 6), start)

    order = numbered(root)
    metadata = {
        "binary_format_major_version": Uint16(2),
        "binary_format_minor_version": Uint16(0),
        "build_epoch": Uint64(about["build_epoch"]),
        "database_type": about["database_type"],
        "description": about.get("description", {}),
        "ip_version": Uint16(ip_version),
        "languages": about.get("languages", []),
        "node_count": len(order),
        "record_size": Uint16(record_size),
    }
    # Pointers count from the section's start and the map itself must come first: written without pointers.
    plain = Section()
    plain.inside = plain.prepare
    return tree_bytes(order, record_size) + SEPARATOR + bytes(data.bytes) + MARKER + plain.prepare(metadata)


def main():
    parser = argparse.ArgumentParser(description="Makes a small MaxMind DB file from JSON, for tests.")
    parser.add_argument("--record-size", type=int, choices=(24, 28, 32), help="instead of the source's")
    parser.add_argument("source")
    parser.add_argument("target")
    options = parser.parse_args()
    try:
        with open(options.source, encoding="utf-8") as file:
            content = make(json.load(file), options.record_size)
    except (OSError, ValueError, KeyError) as error:
        sys.exit("make_test_mmdb.py: %s: %s" % (options.source, error))
    with open(options.target, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
