// A function of another library (see library.hpp). Takes no locks.
#include "pg/library.hpp"

namespace mirox::pg {
namespace {

struct Load {
    const char *library, *function;
    void* found;
};

void load(void* state) {
    auto* const asked = static_cast<Load*>(state);
    asked->found = reinterpret_cast<void*>(load_external_function(asked->library, asked->function, true, nullptr));
}

}  // namespace

void* load_function(const char* library, const char* function, Trouble& trouble) {
    Load asked = {library, function, nullptr};
    // In a transaction: its abort releases everything that the server held when the load failed.
    return in_transaction(load, &asked, trouble) ? asked.found : nullptr;
}

}  // namespace mirox::pg
