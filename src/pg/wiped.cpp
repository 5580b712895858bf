// Memory for what holds a secret (see wiped.hpp). Takes no locks.
#include "pg/wiped.hpp"

#include "core/crypto.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
}

// The name of such a context. A macro, because the server requires a literal.
#define MIROX_WIPED "mirox_tokens secret"

namespace mirox::pg {
namespace {

struct Wiped {
    MemoryContextCallback callback;
    Size size;
    void* bytes;
};

void wipe(void* at) {
    const auto* wiped = static_cast<const Wiped*>(at);
    core::wipe(wiped->bytes, wiped->size);
}

// The largest result that is wiped. A larger one gets a block of its own, which the server gives back to the system when it frees
// it, so wiped_free() could not look at it afterwards. The only secret of that length is a JWT for a user id made up of
// characters that JSON escapes.
constexpr Size kMost = 4096;

void* result_alloc(Size size) {
    return size > kMost ? palloc(size) : wiped_alloc(CurrentMemoryContext, size);
}

}  // namespace

void* wiped_alloc(MemoryContext parent, Size size) {
    // In a context of its own, memory that the server has freed is not given to another caller.
    const MemoryContext own = AllocSetContextCreate(parent, MIROX_WIPED, ALLOCSET_DEFAULT_SIZES);
    auto* const wiped = static_cast<Wiped*>(MemoryContextAllocZero(own, sizeof(Wiped)));
    wiped->bytes = MemoryContextAlloc(own, size);
    wiped->size = size;
    wiped->callback.func = wipe;
    wiped->callback.arg = wiped;
    MemoryContextRegisterResetCallback(own, &wiped->callback);
    return wiped->bytes;
}

void wiped_free(void* memory) {
    const MemoryContext own = GetMemoryChunkContext(memory);
    if (strcmp(own->name, MIROX_WIPED) == 0)
        MemoryContextDelete(own);
    else
        pfree(memory);
}

std::string_view wiped_copy(std::string_view bytes) {
    auto* const out = static_cast<char*>(wiped_alloc(CurrentMemoryContext, Max(bytes.size(), Size{1})));
    memcpy(out, bytes.data(), bytes.size());
    return {out, bytes.size()};
}

Datum secret_text_datum(std::string_view secret) {
    const Size size = VARHDRSZ + secret.size();
    auto* const out = static_cast<struct varlena*>(result_alloc(size));
    SET_VARSIZE(out, size);
    memcpy(VARDATA(out), secret.data(), secret.size());
    return PointerGetDatum(out);
}

Datum secret_row_datum(HeapTuple row) {
    void* const out = result_alloc(row->t_len);
    memcpy(out, row->t_data, row->t_len);
    core::wipe(row->t_data, row->t_len);
    heap_freetuple(row);
    return PointerGetDatum(out);
}

std::string_view detoasted_secret(struct varlena* value) {
    struct varlena* const plain = detoast_attr(value);
    const std::string_view copy = wiped_copy({VARDATA(plain), VARSIZE(plain) - VARHDRSZ});
    core::wipe(plain, VARSIZE(plain));
    pfree(plain);
    return copy;
}

}  // namespace mirox::pg
