// The backend's cache of permission groups (see groups.hpp). Filling it takes AccessShareLock on the table.
#include "store/groups.hpp"

#include "pg/cache_validity.hpp"
#include "pg/values.hpp"
#include "store/rows.hpp"

extern "C" {
#include "access/table.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

namespace columns {
constexpr int kId = 1, kName = 2, kPermissions = 3, kBuiltin = 5;
}

MemoryContext memory = nullptr;
Group* groups = nullptr;
int count = 0;
constinit pg::CacheValidity validity;

void forget(Oid relation) {
    validity.hear(relation, pg::catalog_known().permission_group);
}

void fill() {
    const pg::Catalog& catalog = pg::catalog();
    if (memory == nullptr)
        memory = AllocSetContextCreate(TopMemoryContext, "mirox_tokens groups", ALLOCSET_SMALL_SIZES);
    groups = nullptr;
    count = 0;
    MemoryContextReset(memory);
    const Relation table = pg::open_table(catalog.permission_group, AccessShareLock);
    const std::uint64_t begun = validity.begin();
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    int room = 0;
    const MemoryContext before = MemoryContextSwitchTo(memory);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        if (count == room) {
            room = room == 0 ? 16 : room * 2;
            auto* larger = static_cast<Group*>(palloc(sizeof(Group) * room));
            if (count > 0) memcpy(larger, groups, sizeof(Group) * count);
            groups = larger;
        }
        bool is_null;
        Group& group = groups[count];
        group.id = DatumGetInt32(column(slot, columns::kId, &is_null));
        group.name_text = PointerGetDatum(PG_DETOAST_DATUM_COPY(column(slot, columns::kName, &is_null)));
        group.name = pg::text_view(group.name_text);
        group.permissions = pg::scope_set(
            PointerGetDatum(PG_DETOAST_DATUM_COPY(column(slot, columns::kPermissions, &is_null))));
        group.everything = group.permissions.covers_everything();
        group.builtin = DatumGetBool(column(slot, columns::kBuiltin, &is_null));
        count++;
    }
    MemoryContextSwitchTo(before);
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, AccessShareLock);
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

const Group* group_by_name(std::string_view name) {
    ready_groups();
    for (int i = 0; i < count; i++)
        if (groups[i].name == name) return &groups[i];
    return nullptr;
}

const Group& require_group(std::string_view name) {
    // A group that was just committed elsewhere counts.
    AcceptInvalidationMessages();
    const Group* group = group_by_name(name);
    if (group != nullptr) return *group;
    StringInfoData names;
    initStringInfo(&names);
    for (int i = 0; i < count; i++)
        appendStringInfo(&names, "%s%.*s", i == 0 ? "" : ", ", static_cast<int>(groups[i].name.size()),
                         groups[i].name.data());
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("no such permission group"),
                errdetail("There are: %s.", names.data),
                errhint("Choose one of these, or add one with mirox.put_group."));
}

void watch_groups() {
    pg::listen_to_relations(forget);
}

}  // namespace mirox::store
