// Where every check's outcome goes to be counted: one call, at the one place where a check concludes (store/check.cpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"

namespace mirox::shmem {

// Who was checked. A refusal whose token or session is not known is a stranger's.
enum class UseKind : std::uint8_t { stranger, token, session };

struct Use {
    UseKind kind;
    std::uint8_t reason;      // store::Reason
    std::int16_t status;      // HTTP
    std::int32_t generation;  // of a token
    std::int64_t token_id;    // 0: none
    std::int64_t session_id;
    std::int64_t account_id;
    TimestampTz at;
    core::Address client;    // family none: not known
    std::string_view agent;  // as the client sent it, in the database's encoding; empty: none
    std::string_view scope;  // what was needed; empty: nothing
};

// What of a user agent is looked at: a header of megabytes costs nothing. A character is four bytes at most.
std::string_view cut_agent(std::string_view given);

// Lock-free and without an ERROR; when the ring is full it waits 5 ms at most for the worker, then counts the event as dropped.
void record_use(const Use& use);

}  // namespace mirox::shmem
