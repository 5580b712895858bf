// The trigger of table group_policy: it checks direct DML as set_group_policy checks its arguments, and writes the audit log.
//
// Locks: those of its queries.
#include "store/triggers.hpp"

#include "store/group_policy.hpp"
#include "store/groups.hpp"

namespace mirox::store::triggers {

using namespace policy_column;

namespace {

const Interval* interval_of(const Change& change, int column) {
    const Value value = get(change.after, change, column);
    return value.is_null ? nullptr : DatumGetIntervalP(value.datum);
}

void check_direct(const Change& change, const Group* group) {
    if (group == nullptr)
        MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errword(ErrorWord::reference_missing, "group_id"),
                    errmsg("no such permission group"), errhint("Use a group_id of mirox_internal.permission_group."));
    check_policy({group->name, interval_of(change, kMaxLifetime), interval_of(change, kUnusedAfter), {}});
}

}  // namespace

MIROX_FUNCTION(group_policy_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::group_policy, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kGroupId);
    Act act;
    begin(act);
    // A policy goes with its group, whose own audit row tells. Of a second policy of a group, the key or ON CONFLICT decides, and
    // there is nothing to log yet.
    const std::int32_t group_id = DatumGetInt32(get(change.row, change, kGroupId).datum);
    if (act.direct ? change.inserted && has_policy(group_id) : change.deleted) {
        end(act);
        return PointerGetDatum(change.row);
    }
    const Group* group = group_by_id(group_id);
    if (act.direct && !change.deleted) check_direct(change, group);
    Detail detail;
    if (group != nullptr) detail.add_text("name", group->name);
    describe(detail, change, change.updated ? change.after : change.row, {});
    return audited(act, change, change.after, kAuditNode, {"group_policy_set", "group_policy_set", "group_policy_dropped"}, {},
                   detail);
}

}  // namespace mirox::store::triggers
