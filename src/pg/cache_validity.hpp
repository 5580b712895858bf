// Whether a backend's copy of a small table may still be used. A copy is kept only when it was read whole, with no error and no
// invalidation in between; it ends with the next invalidation of its table, or when the extension is made anew.
#pragma once

#include "pg/catalog.hpp"

namespace mirox::pg {

class CacheValidity {
  public:
    bool usable() const { return valid_ && epoch_ == catalog().epoch; }

    // For the relcache callback: `mine` is the table as far as it is known. Before the copy is whole, any invalidation counts.
    void hear(Oid relation, Oid mine) {
        if (valid_ && relation != InvalidOid && relation != mine) return;
        valid_ = false;
        heard_++;
    }

    // begin() comes after the table was opened, which itself hears of invalidations; keep() when all was read.
    std::uint64_t begin() {
        valid_ = false;
        return heard_;
    }
    void keep(std::uint64_t begun) {
        valid_ = heard_ == begun;
        epoch_ = catalog().epoch;
    }

  private:
    bool valid_ = false;
    std::uint64_t heard_ = 0;
    std::uint64_t epoch_ = 0;
};

}  // namespace mirox::pg
