// Notices (see notices.hpp, also for the locks).
#include "store/notices.hpp"

#include "pg/values.hpp"
#include "store/notices.sql.hpp"

namespace mirox::store {

bool post_notice(const char* event, const Subject& subject, Detail& detail, bool once) {
    pg::Args args;
    args.text(event)
        .add_or_null(Int64GetDatum(subject.account_id), subject.account_id != 0)
        .add_or_null(Int64GetDatum(subject.token_id), subject.token_id != 0)
        .add_or_null(Int64GetDatum(subject.session_id), subject.session_id != 0)
        .add(detail.jsonb())
        .add(BoolGetDatum(once));
    return pg::run(insert_notice, args) > 0;
}

TimestampTz acknowledge_notice(std::int64_t notice_id) {
    pg::Args args;
    args.int8(notice_id).text(GetUserNameFromId(current_actor()->role.caller, false));
    if (pg::run(update_acknowledged, args) == 0)
        MIROX_RAISE(ERRCODE_NO_DATA_FOUND, errword(ErrorWord::notice_unknown, "notice_id"), errmsg("no such notice"),
                    errhint("The view mirox.notices lists them."));
    return DatumGetTimestampTz(pg::result_value(0, 1));
}

}  // namespace mirox::store
