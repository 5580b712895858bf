// Whether a backend's copy of a small table may still be used. A copy is kept only when it was read whole, with no error and no
// invalidation in between; it ends with the next invalidation of its table, or when the extension is made anew.
#pragma once

#include "pg/catalog.hpp"

namespace mirox::pg {

class CacheValidity {
  public:
    explicit constexpr CacheValidity(Oid Catalog::*table) : table_(table) {}

    bool usable() const { return valid_ && epoch_ == catalog().epoch; }

    // begin() comes after the table was opened, which itself hears of invalidations; keep() when all was read.
    std::uint64_t begin();
    void keep(std::uint64_t begun) {
        valid_ = heard_ == begun;
        epoch_ = catalog().epoch;
    }

    // For the relcache callback (InvalidOid: any may have changed). Before the copy is whole, any invalidation counts.
    static void tell_all(Oid relation);

  private:
    Oid Catalog::*table_;
    CacheValidity* next_ = nullptr;  // of those that listen
    bool listens_ = false;
    bool valid_ = false;
    std::uint64_t heard_ = 0;
    std::uint64_t epoch_ = 0;
};

}  // namespace mirox::pg
