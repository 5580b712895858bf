// Errors that are raised in several places (see error.hpp). Takes no locks.
#include "pg/prelude.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace mirox {

int errword(ErrorWord word, const char* argument) {
    (void)err_generic_string(PG_DIAG_SCHEMA_NAME, "mirox");
    if (argument != nullptr) (void)err_generic_string(PG_DIAG_COLUMN_NAME, argument);
    return err_generic_string(PG_DIAG_CONSTRAINT_NAME, core::word_of(word));
}

}  // namespace mirox

namespace mirox::pg {

void raise_out_of_memory(const char* doing) {
    MIROX_RAISE(ERRCODE_OUT_OF_MEMORY, errword(ErrorWord::out_of_memory), errmsg("out of memory"),
                errdetail("Failed while %s.", doing), errhint("Free memory on the server, or lower what its sessions may use."));
}

void raise_not_preloaded() {
    const char* present = GetConfigOption("shared_preload_libraries", true, false);
    const bool others = present != nullptr && present[0] != '\0';
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::not_preloaded),
                errmsg("mirox_tokens must be loaded when the server starts"),
                errdetail("It keeps rate limits and recorded usage in shared memory."),
                errhint("Add this line to postgresql.conf and restart the server: "
                        "shared_preload_libraries = '%s%s%s'",
                        others ? present : "", others ? "," : "", "mirox_tokens"));
}

}  // namespace mirox::pg
