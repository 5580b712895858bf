// The audit log: one row for each act of management, written in the transaction that does it.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/actor.hpp"

extern "C" {
#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/jsonb.h"
}

namespace mirox::store {

// Builds a JSON object in the current memory context. Names and values must stay valid until jsonb(). Values of digest columns
// never enter one.
class Detail {
  public:
    Detail();
    void add_text(const char* key, std::string_view value);
    void add_bool(const char* key, bool value);
    void add_value(const char* key, Datum value, Oid type);
    // add_row() adds a row's values except NULLs and bookkeeping columns. add_changes() adds what an update changed, as
    // {"column": {"from": …, "to": …}}.
    void add_row(HeapTuple row, TupleDesc columns);
    void add_changes(HeapTuple before, HeapTuple after, TupleDesc columns);
    Datum jsonb();

  private:
    void key(const char* name);
    JsonbParseState* state_ = nullptr;
};

struct Subject {
    std::int64_t account_id;  // 0: none
    struct varlena* user_id;  // null: none
    std::int64_t token_id;    // 0: none
    std::int64_t session_id;  // 0: the actor's
};

// Writes the audit row of the current act, which must exist, and returns its key. The transaction's commit waits for the disk
// even with synchronous_commit off.
AuditKey audit(const char* event, const Subject& subject, Detail& detail);

}  // namespace mirox::store
