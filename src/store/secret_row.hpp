// The row of a digest in token_secret, for a check: where it was last found (shmem/core_hints.hpp), or by the index.
//
// Both ways end in the same judgement: the row is visible to a fresh snapshot and holds this digest. A hint only spares the
// index, whose pages are most of what a look-up in a large table waits for.
//
// Locks: AccessShareLock on the table, and on the index when that is read, until close_scan().
#pragma once

#include "pg/prelude.hpp"
//
#include "store/rows.hpp"

namespace mirox::store {

// The cache line in which the hint of a row may stand.
struct HintLine {
    std::uint64_t key;
};

// By what the hint column shows of a secret to everybody who may list tokens (core::shown_chars()), and so before the digest is
// known: it is computed while the line is fetched. Or by the digest, of who has no more; a row may have a hint in either line.
HintLine expect_secret_row(std::string_view shown_chars);
HintLine expect_secret_row(const core::Digest& digest);

// As open_scan(). The digest must stay where it is until close_scan().
bool open_secret_row(RowScan& scan, const core::Digest& digest, HintLine line);

}  // namespace mirox::store
