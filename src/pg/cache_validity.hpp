// Whether a backend may still use its copy of a small table. A copy is kept only when it was read completely, without an error
// and without an invalidation meanwhile. It ends with the next invalidation of its table, or when the extension is created again.
#pragma once

#include "pg/catalog.hpp"

namespace mirox::pg {

class CacheValidity {
  public:
    explicit constexpr CacheValidity(Oid Catalog::*table) : table_(table) {}

    bool usable() const { return valid_ && epoch_ == catalog().epoch; }

    // Call begin() after the table was opened, since opening it processes invalidations; call keep() when all rows were read.
    std::uint64_t begin();
    void keep(std::uint64_t begun) {
        valid_ = heard_ == begun;
        epoch_ = catalog().epoch;
    }

    // For the relcache callback (InvalidOid: any may have changed). Before the copy is whole, any invalidation counts.
    static void tell_all(Oid relation);

  private:
    Oid Catalog::*table_;
    CacheValidity* next_ = nullptr;  // in the list of listeners
    bool listens_ = false;
    bool valid_ = false;
    std::uint64_t heard_ = 0;
    std::uint64_t epoch_ = 0;
};

}  // namespace mirox::pg
