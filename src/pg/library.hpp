// Loads a function of another library when it is first needed.
#pragma once

#include "pg/transaction.hpp"

namespace mirox::pg {

// The function's address; null when the library or the function is missing or the library cannot be loaded, with the cause in
// `trouble`. Not to be called inside a transaction.
void* load_function(const char* library, const char* function, Trouble& trouble);

}  // namespace mirox::pg
