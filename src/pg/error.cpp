// The out-of-line part of error.hpp. Server code; no locks.
#include "pg/prelude.hpp"
//
#include "pg/error.hpp"

namespace mirox::pg {

// error.hpp names codes without a server header; this is where the two meet.
static_assert(sqlstate("22023") == ERRCODE_INVALID_PARAMETER_VALUE);
static_assert(sqlstate("22P02") == ERRCODE_INVALID_TEXT_REPRESENTATION);
static_assert(sqlstate("XX000") == ERRCODE_INTERNAL_ERROR);
static_assert(sqlstate("57014") == ERRCODE_QUERY_CANCELED);

void raise_out_of_memory(const char* doing) {
    MIROX_RAISE(ERRCODE_OUT_OF_MEMORY, errmsg("out of memory"), errdetail("Failed while %s.", doing),
                errhint("Free memory on the server, or lower what its sessions may use."));
}

}  // namespace mirox::pg
