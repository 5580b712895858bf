// Errors that are raised in several places (see error.hpp). Takes no locks.
#include "pg/prelude.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace mirox::pg {

void raise_out_of_memory(const char* doing) {
    MIROX_RAISE(ERRCODE_OUT_OF_MEMORY, errmsg("out of memory"), errdetail("Failed while %s.", doing),
                errhint("Free memory on the server, or lower what its sessions may use."));
}

void raise_not_preloaded() {
    const char* present = GetConfigOption("shared_preload_libraries", true, false);
    const bool others = present != nullptr && present[0] != '\0';
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("mirox_tokens must be loaded when the server starts"),
                errdetail("It keeps rate limits and recorded usage in shared memory."),
                errhint("Add this line to postgresql.conf and restart the server: "
                        "shared_preload_libraries = '%s%s%s'",
                        others ? present : "", others ? "," : "", "mirox_tokens"));
}

}  // namespace mirox::pg
