// Idempotency keys (see idempotency.hpp, also for the locks).
#include "store/idempotency.hpp"

#include "pg/query.hpp"
#include "store/idempotency.sql.hpp"

namespace mirox::store {
bool answered_before(const Actor& actor, const IdempotencyKey& call, Issued& out) {
    if (!call.key.given) return false;
    check_line("idempotency_key", call.key.text);
    if (call.key.text.empty())
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::idempotency_key_empty, "idempotency_key"),
                    errmsg("idempotency_key is empty"), errhint("Give a new UUID for each request, or NULL for no key."));
    core::Digest request = digest_of(call.request);
    pg::Args args;
    args.int8(actor.session_id).text(call.key.text).add(PointerGetDatum(request.data()));
    if (pg::run(select_answer, args) == 0) return false;
    if (!DatumGetBool(pg::result_value(0, 1)))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::idempotency_key_reused, "idempotency_key"),
                    errmsg("this session has used the idempotency key for another request"),
                    errhint("Give each request a key of its own, and repeat it only to repeat the request."));
    out.secret = nullptr;
    out.token_id = DatumGetInt64(pg::result_value(0, 2));
    keep_name(pg::text_view(pg::result_value(0, 3)), out.name);
    out.group_id = DatumGetInt32(pg::result_value(0, 4));
    out.place = DatumGetInt32(pg::result_value(0, 5));
    out.expires_at = DatumGetTimestampTz(pg::result_value(0, 6));
    out.created_at = DatumGetTimestampTz(pg::result_value(0, 7));
    return true;
}

void keep_answer(const Actor& actor, const IdempotencyKey& call, const Issued& issued) {
    if (!call.key.given) return;
    core::Digest request = digest_of(call.request);
    pg::Args args;
    args.int8(actor.session_id).text(call.key.text).add(PointerGetDatum(request.data())).int8(issued.token_id);
    pg::run(write_answer, args);
}

}  // namespace mirox::store
