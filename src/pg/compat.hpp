// All differences between the server versions 15 to 18. Include through prelude.hpp.
#pragma once

#if PG_VERSION_NUM < 150000
#error "mirox_tokens needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

// From 16 on utils/pg_locale.h includes ICU's headers. They hold C++ templates too, unless they are told to leave them out.
#ifndef U_SHOW_CPLUSPLUS_API
#define U_SHOW_CPLUSPLUS_API 0
#endif
#ifndef U_SHOW_CPLUSPLUS_HEADER_API
#define U_SHOW_CPLUSPLUS_HEADER_API 0
#endif

extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "postmaster/bgworker_internals.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "parser/parse_relation.h"
#endif
}

// The magic block by which the server recognises a library; from 18 on it has a name and a version too.
#ifdef PG_MODULE_MAGIC_EXT
#define MIROX_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "mirox_tokens", .version = MIROX_VERSION)
#else
#define MIROX_MODULE_MAGIC PG_MODULE_MAGIC
#endif

namespace mirox::pg {

// Whether the role owns the table, directly or by membership.
inline bool owns_relation(Oid relation, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, relation, role);
#else
    return pg_class_ownercheck(relation, role);
#endif
}

// Whether the role owns the database or the extension, directly or by membership.
inline bool owns_database(Oid database, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(DatabaseRelationId, database, role);
#else
    return pg_database_ownercheck(database, role);
#endif
}
inline bool owns_extension(Oid extension, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(ExtensionRelationId, extension, role);
#else
    return pg_extension_ownercheck(extension, role);
#endif
}

// Whether the role may call the function, or TRUNCATE the table.
inline bool may_execute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}
inline bool may_truncate(Oid relation, Oid role) {
    return pg_class_aclcheck(relation, role, ACL_TRUNCATE) == ACLCHECK_OK;
}

// Whether the collation orders texts by their bytes.
inline bool collation_orders_bytes(Oid collation) {
#if PG_VERSION_NUM >= 180000
    return pg_newlocale_from_collation(collation)->collate_is_c;
#else
    return lc_collate_is_c(collation);
#endif
}

// A JSON lexer that unescapes strings, and the return value of the parser's callbacks.
inline JsonLexContext* make_json_lexer(char* json, int size, int encoding) {
#if PG_VERSION_NUM >= 170000
    return makeJsonLexContextCstringLen(nullptr, json, size, encoding, true);
#else
    return makeJsonLexContextCstringLen(json, size, encoding, true);
#endif
}
#if PG_VERSION_NUM >= 160000
using JsonAction = JsonParseErrorType;
#define MIROX_JSON_DONE return JSON_SUCCESS
#else
using JsonAction = void;
#define MIROX_JSON_DONE return
#endif

// Gives the executor a range table of one table that is written to. `changed`: the columns that an UPDATE changes.
inline void init_range_table(EState* state, Relation table, Bitmapset* changed) {
    auto* entry = makeNode(RangeTblEntry);
    entry->rtekind = RTE_RELATION;
    entry->relid = RelationGetRelid(table);
    entry->relkind = table->rd_rel->relkind;
    entry->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM >= 160000
    List* permissions = NIL;
    addRTEPermissionInfo(&permissions, entry)->updatedCols = changed;
#if PG_VERSION_NUM >= 180000
    ExecInitRangeTable(state, list_make1(entry), permissions, bms_make_singleton(1));
#else
    ExecInitRangeTable(state, list_make1(entry), permissions);
#endif
#else
    entry->updatedCols = changed;
    ExecInitRangeTable(state, list_make1(entry));
#endif
}

// For a change of a row that nobody else can change meanwhile, so no recheck is needed.
inline void init_recheck(EPQState& out, EState* state) {
#if PG_VERSION_NUM >= 160000
    EvalPlanQualInit(&out, state, nullptr, NIL, -1, NIL);
#else
    EvalPlanQualInit(&out, state, nullptr, NIL, -1);
#endif
}

inline IndexScanDesc begin_index_scan(Relation heap, Relation index, Snapshot snapshot, int conditions) {
#if PG_VERSION_NUM >= 180000
    return index_beginscan(heap, index, snapshot, nullptr, conditions, 0);
#else
    return index_beginscan(heap, index, snapshot, conditions, 0);
#endif
}

// Whether `found` is true of a direct child of this node. It must walk on from there by itself.
using Walker = bool (*)(Node*, void*);
#if PG_VERSION_NUM >= 160000
inline bool walk_expression(Node* node, Walker found, void* context) {
    return expression_tree_walker(node, found, context);
}
#else
inline bool walk_expression(Node* node, Walker found, void* context) {
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(found)), context);
}
#endif

// A copy of the expression in which `change` has replaced each direct child of this node.
using Mutator = Node* (*)(Node*, void*);
#if PG_VERSION_NUM >= 160000
inline Node* change_expression(Node* node, Mutator change, void* context) {
    return expression_tree_mutator(node, change, context);
}
#else
inline Node* change_expression(Node* node, Mutator change, void* context) {
    return expression_tree_mutator(node, reinterpret_cast<Node* (*)()>(reinterpret_cast<void (*)()>(change)), context);
}
#endif

// Memory that a setting's check hook passes to its assign hook; the server frees it. Null when there is no memory.
inline void* allocate_for_setting(std::size_t size) {
#if PG_VERSION_NUM >= 160000
    return guc_malloc(LOG, size);
#else
    return malloc(size);
#endif
}

// The process number `place`, from 1 to pgstat_fetch_stat_numbackends(); null when there is none.
inline const PgBackendStatus* process_at(int place) {
#if PG_VERSION_NUM >= 160000
    const LocalPgBackendStatus* found = pgstat_get_local_beentry_by_index(place);
#else
    const LocalPgBackendStatus* found = pgstat_fetch_stat_local_beentry(place);
#endif
    return found == nullptr ? nullptr : &found->backendStatus;
}

// How many background workers are registered while the server starts, and whether one of them runs this function. (The server's
// own loops over such a list are C.)
inline int registered_workers(const char* function, bool& found) {
    int count = 0;
    found = false;
#if PG_VERSION_NUM >= 180000
    for (dlist_node* at = BackgroundWorkerList.head.next; at != nullptr && at != &BackgroundWorkerList.head; at = at->next) {
#else
    for (slist_node* at = BackgroundWorkerList.head.next; at != nullptr; at = at->next) {
#endif
        auto* worker =
            reinterpret_cast<RegisteredBgWorker*>(reinterpret_cast<char*>(at) - offsetof(RegisteredBgWorker, rw_lnode));
        count++;
        found = found || strcmp(worker->rw_worker.bgw_function_name, function) == 0;
    }
    return count;
}

}  // namespace mirox::pg
