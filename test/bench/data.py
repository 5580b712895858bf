"""The bench's population, written as a psql script of COPY commands: accounts, sessions, tokens and their secrets.

Every secret is a pure function of its number, well formed and with a valid checksum, so that a client can send real ones.
They are known to anybody who reads this file: for a server that holds nothing else. Rows bring audit keys, so that the
triggers take them as a restore's.

    data.py TOKENS ACCOUNTS | psql
"""
import base64
import hashlib
import hmac
import json
import random
import sys
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PAIRS = [a + b for a in BASE62 for b in BASE62]
BATCH = 16  # secrets that a client fetches at once, to send them one by one
SAMPLE = 100_000  # calls of a loop inside the backend
MOST_BATCHED = 1_000_000
SLOW_HASHES = 64  # tokens with a slow hash of their own
PERMISSIONS = "{alarms:read,dashboards,exports,parks.berlin:read,parks:read,reports,timeseries}"
LIMIT, BURST = 100_000_000, 1_000_000  # requests a minute: the limit is drawn on, and not reached
JWT_KEY = b"a key of the bench, 32 bytes long"


def secret(kind, number):
    digest = hashlib.sha256(b"%s %d" % (kind, number)).digest()
    body = kind + b"_" + base64.b64encode(digest, b"Zz")[:43]
    crc = zlib.crc32(body)
    high, low = divmod(crc, 3844 * 3844)
    middle, low = divmod(low, 3844)
    return body.decode() + PAIRS[high] + PAIRS[middle] + PAIRS[low]


def token(number):
    return secret(b"mirox", number)


def session(account):
    return secret(b"miroxs", account)


def jwt(number):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}')
    body = part(json.dumps({"sub": f"user{number}", "jti": str(number), "exp": 4102444800, "scope": "parks:read reports"}).encode())
    signed = head + b"." + body
    return (signed + b"." + part(hmac.new(JWT_KEY, signed, hashlib.sha256).digest())).decode()


def main(tokens, accounts):
    out = sys.stdout
    each = max(1, tokens // accounts)
    if each > 40:
        accounts, each = tokens // 20, 20
    groups = (1, 1, 1, 2, 3)

    def copy(table, columns):
        out.write(f"COPY {table} ({columns}) FROM STDIN;\n")

    def end():
        out.write("\\.\n")

    copy("mirox_internal.account", "account_id, user_id, permissions, rate_limit, burst, audit_node, audit_id")
    for a in range(1, accounts + 1):
        out.write(f"{a}\tuser{a}\t{PERMISSIONS}\t{LIMIT}\t{BURST}\t0\t{a}\n")
    end()
    copy("mirox_internal.session", "digest, session_id, account_id, expires_at, audit_node, audit_id")
    for a in range(1, accounts + 1):
        out.write(f"{hashlib.sha256(session(a).encode()).hexdigest()}\t{a}\t{a}\t2099-01-01\t0\t{a}\n")
    end()
    copy("mirox_internal.token", "token_id, account_id, place, name, group_id, hint, lifetime, expires_at, audit_node, audit_id")
    for n in range(1, tokens + 1):
        out.write(f"{n}\t{(n - 1) // each + 1}\t{(n - 1) % each + 1}\tscript {n}\t{groups[n % 5]}\t{token(n)[:10]}…\t1 year\t2099-01-01\t0\t{n}\n")
    end()
    copy("mirox_internal.token_secret", "digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked, "
         "user_id, permissions, audit_node, audit_id")
    for n in range(1, tokens + 1):
        a = (n - 1) // each + 1
        out.write(f"{hashlib.sha256(token(n).encode()).hexdigest()}\t{n}\t{a}\t2099-01-01\t1\t{groups[n % 5]}\t{LIMIT}\t{BURST}\tf\tuser{a}\t"
                  f"{PERMISSIONS}\t0\t{n}\n")
    end()

    for sequence, last in (("account", accounts), ("session", accounts), ("token", tokens)):
        out.write(f"\\o /dev/null\nSELECT setval('mirox_internal.{sequence}_id_seq', {last});\n\\o\n")

    # What the peers hold: the same tokens, as the field keeps them.
    copy("bench.api_key", "id, key_hash, user_id, scopes, expires_at")
    for n in range(1, tokens + 1):
        out.write(f"{n}\t\\\\x{hashlib.sha256(token(n).encode()).hexdigest()}\tuser{(n - 1) // each + 1}\t{PERMISSIONS}\t2099-01-01\n")
    end()

    # What clients send, in random order.
    order = random.Random(15).sample(range(1, tokens + 1), min(tokens, MOST_BATCHED))
    names = [f"s{i}" for i in range(BATCH)]
    copy("bench.batch", "n, " + ", ".join(names))
    for i in range(len(order) // BATCH):
        out.write("\t".join([str(i + 1)] + [token(n) for n in order[i * BATCH:(i + 1) * BATCH]]) + "\n")
    end()
    copy("bench.jwt_batch", "n, " + ", ".join(names))
    for i in range(min(4096, tokens) // BATCH):
        out.write("\t".join([str(i + 1)] + [jwt(n) for n in range(i * BATCH + 1, (i + 1) * BATCH + 1)]) + "\n")
    end()
    # For management: a session, and a token of the same account.
    copy("bench.manage_batch", "n, " + ", ".join(f"s{i}, t{i}" for i in range(BATCH)))
    for i in range(len(order) // BATCH):
        pairs = [f"{session((n - 1) // each + 1)}\t{n}" for n in order[i * BATCH:(i + 1) * BATCH]]
        out.write("\t".join([str(i + 1)] + pairs) + "\n")
    end()
    copy("bench.sample", "secret")
    for i in range(SAMPLE):
        out.write(token(order[i % len(order)]) + "\n")
    end()
    copy("bench.slow_source", "id, secret")
    for n in order[:SLOW_HASHES]:
        out.write(f"{n}\t{token(n)}\n")
    end()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
