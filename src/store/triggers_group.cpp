// The trigger of table permission_group: it protects built-in groups and groups in use, and writes the audit log.
//
// Locks: those of its queries.
#include "store/triggers.hpp"

namespace mirox::store::triggers {

using namespace group_column;

namespace {

Query select_group_named = {"SELECT 1 FROM mirox_internal.permission_group WHERE name = $1", {Type::text}};
#define MIROX_FIRST_GROUP 100  // the start of group_id_seq, as in the condition of index token_group
#define MIROX_GROUP_IN_USE "SELECT 1 FROM mirox_internal.token WHERE group_id = $1 "
// The second matches the partial index token_group, which covers all groups that put_group created.
Query select_group_use = {MIROX_GROUP_IN_USE "LIMIT 1", {Type::int4}};
Query select_made_group_use = {MIROX_GROUP_IN_USE "AND group_id >= " CppAsString2(MIROX_FIRST_GROUP) " LIMIT 1", {Type::int4}};

bool is_builtin(HeapTuple row, const Change& change) {
    return row != nullptr && DatumGetBool(get(row, change, kBuiltin).datum);
}

}  // namespace

MIROX_FUNCTION(group_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::permission_group, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kGroupId);
    refuse_move(change, kName);
    check_new_line(change, kDescription, "description");
    if (is_builtin(change.before, change) || is_builtin(change.after, change))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::group_builtin, "name"),
                    errmsg("built-in permission groups cannot be changed"), errhint("Add a permission group of another name."));
    Act act;
    begin(act);
    pg::Args args;
    if (change.deleted) {
        const std::int32_t group_id = DatumGetInt32(get(change.row, change, kGroupId).datum);
        args.int4(group_id);
        if (pg::run(group_id >= MIROX_FIRST_GROUP ? select_made_group_use : select_group_use, args) > 0)
            MIROX_RAISE(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, errword(ErrorWord::group_in_use, "name"),
                        errmsg("the permission group is in use"),
                        errdetail("Some tokens, revoked ones included, are in this group."),
                        errhint("Keep the group, and take its permissions away with mirox.put_group."));
    }
    if (change.inserted && act.direct) {
        const Value name = get(change.after, change, kName);
        args.add_or_null(name.datum, !name.is_null);
        if (pg::run(select_group_named, args) > 0) {
            // As for accounts: the unique index or ON CONFLICT decides, and there is nothing to log yet.
            end(act);
            return PointerGetDatum(change.after);
        }
    }
    Detail detail;
    describe(detail, change, change.updated ? change.after : change.row, {kName});
    return audited(act, change, change.after, kAuditNode, {"group_added", "group_changed", "group_dropped"}, {}, detail);
}

}  // namespace mirox::store::triggers
