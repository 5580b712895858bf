// A function of another library, loaded when it is first asked for.
#pragma once

#include "pg/transaction.hpp"

namespace mirox::pg {

// The function's address; null when the library or the function is missing, or the library cannot be loaded: `trouble` says why. Not to
// be called inside a transaction.
void* load_function(const char* library, const char* function, Trouble& trouble);

}  // namespace mirox::pg
