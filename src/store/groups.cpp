// The backend's cache of permission groups, and the acts that change them (see groups.hpp, also for the locks).
#include "store/groups.hpp"

#include "pg/cache_validity.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/groups.sql.hpp"
#include "store/rows.hpp"

extern "C" {
#include "access/table.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

void check_name(std::string_view name) {
    // One segment of a scope, beginning with a letter (the table's CHECK demands the same).
    if (!core::is_segment(name) || name.front() < 'a' || name.front() > 'z')
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::group_name_invalid, "name"),
                    errmsg("invalid name of a permission group"),
                    errdetail("A name has 1 to 63 characters of a-z, 0-9, '_' and '-' and begins with a letter."),
                    errhint("Use a name such as read_only."));
}

MemoryContext memory = nullptr;
Group* groups = nullptr;
int count = 0;
constinit pg::CacheValidity validity(&pg::Catalog::permission_group);

void add_policies() {
    const Relation table = pg::open_table(pg::catalog().group_policy, AccessShareLock);
    for_all_rows(table, RegisterSnapshot(GetLatestSnapshot()), [](TupleTableSlot* slot) {
        bool is_null;
        const Datum longest = column(slot, policy_column::kMaxLifetime, &is_null);
        const std::int32_t id = DatumGetInt32(column(slot, policy_column::kGroupId));
        for (int i = 0; i < count && !is_null; i++) {
            if (groups[i].id != id) continue;
            groups[i].has_longest = true;
            groups[i].longest = *DatumGetIntervalP(longest);
        }
        return true;
    });
    table_close(table, AccessShareLock);
}

void fill() {
    const pg::Catalog& catalog = pg::catalog();
    if (memory == nullptr) memory = AllocSetContextCreate(TopMemoryContext, "mirox_tokens groups", ALLOCSET_SMALL_SIZES);
    groups = nullptr;
    count = 0;
    MemoryContextReset(memory);
    const Relation table = pg::open_table(catalog.permission_group, AccessShareLock);
    const std::uint64_t begun = validity.begin();
    int room = 0;
    const MemoryContext before = MemoryContextSwitchTo(memory);
    for_all_rows(table, RegisterSnapshot(GetLatestSnapshot()), [&](TupleTableSlot* slot) {
        if (count == room) {
            room = room == 0 ? 16 : room * 2;
            auto* larger = static_cast<Group*>(palloc(sizeof(Group) * room));
            if (count > 0) memcpy(larger, groups, sizeof(Group) * count);
            groups = larger;
        }
        Group& group = groups[count];
        group.id = DatumGetInt32(column(slot, group_column::kGroupId));
        group.name_text = PointerGetDatum(PG_DETOAST_DATUM_COPY(column(slot, group_column::kName)));
        group.name = pg::text_view(group.name_text);
        group.permissions = pg::scope_set(PointerGetDatum(PG_DETOAST_DATUM_COPY(column(slot, group_column::kPermissions))));
        group.everything = group.permissions.covers_everything();
        group.builtin = DatumGetBool(column(slot, group_column::kBuiltin));
        group.has_longest = false;
        count++;
        return true;
    });
    MemoryContextSwitchTo(before);
    // One table after the other: DROP EXTENSION may lock them in another order.
    table_close(table, AccessShareLock);
    add_policies();
    validity.keep(begun);
}

}  // namespace

void ready_groups() {
    if (!validity.usable()) fill();
}

const Group* group_by_id(std::int32_t id) {
    ready_groups();
    for (int i = 0; i < count; i++)
        if (groups[i].id == id) return &groups[i];
    return nullptr;
}

bool longest_lifetime(std::int32_t group_id, Interval& out) {
    const Group* group = group_by_id(group_id);
    if (group == nullptr || !group->has_longest) return false;
    out = group->longest;
    return true;
}

const Group* group_by_name(std::string_view name) {
    ready_groups();
    for (int i = 0; i < count; i++)
        if (groups[i].name == name) return &groups[i];
    return nullptr;
}

const Group& require_group(std::string_view name) {
    // Accept a group that another backend has just committed.
    AcceptInvalidationMessages();
    const Group* group = group_by_name(name);
    if (group != nullptr) return *group;
    StringInfoData names;
    initStringInfo(&names);
    for (int i = 0; i < count; i++)
        appendStringInfo(&names, "%c%.*s", i == 0 ? '{' : ',', static_cast<int>(groups[i].name.size()), groups[i].name.data());
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::group_unknown, "permission_group"),
                errmsg("no such permission group"), errdetail_internal("%s}", names.data),
                errhint("Use one of these, or add a group with mirox.put_group."));
}

void put_group(std::string_view name, Datum permissions, const pg::OptionalText& description) {
    check_name(name);
    lock_name(pg::catalog().permission_group, name);
    pg::Args args;
    args.text(name).add(permissions).text_or_null(description.text, description.given);
    if (pg::run(select_group, args) == 0)
        pg::run(insert_group, args);
    else if (DatumGetBool(pg::result_value(0, 1)))
        pg::run(update_group, args);
}

bool drop_group(std::string_view name) {
    check_name(name);
    lock_name(pg::catalog().permission_group, name);
    pg::Args args;
    args.text(name);
    return pg::run(delete_group, args) > 0;
}

}  // namespace mirox::store
