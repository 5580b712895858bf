// Endpoint rules map method and path to a scope. Each backend compiles all of them, since there are few. The compiled rules are
// filled and invalidated like groups (groups.hpp), so standbys and subscribers follow changes too.
//
// Locks: AccessShareLock on the table while it is read; for an act, RowExclusiveLock on the table, then lock_name() on method and
// path. To replace all rules takes ShareRowExclusiveLock on the table, so it waits for every other act and no check.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/endpoint.hpp"
#include "pg/values.hpp"

namespace mirox::store {

// What the rules say of a request. The texts are UTF-8 and valid until the next look-up.
struct RequestScope {
    bool valid;                   // false: method or path is malformed or ambiguous
    core::EndpointAccess access;  // what the request needs
    std::string_view scope;       // if it needs one; `*` if no rule matches
    std::string_view method;      // as it is recorded: in upper case, `other`, or empty if it is malformed
    std::string_view endpoint;    // the rule that matched, "GET /parks/*"; empty: none
    std::string_view path;        // the plain path
};

// Compiles the rules if they are not compiled. Call it before anything is locked, like ready_groups().
void ready_endpoints();

// Call AcceptInvalidationMessages() first.
RequestScope scope_of_request(std::string_view method, std::string_view path);

// A rule whose texts are in the database's encoding.
core::Endpoint rule_of(const pg::OptionalText& method, const pg::OptionalText& path, const pg::OptionalText& scope,
                       bool is_public);

[[noreturn]] void too_many_endpoints();

// The rule in normal form. Raises 22023 if it is malformed.
void normalise_rule(const core::Endpoint& rule, core::EndpointText& out);

// True if the rule is in normal form.
bool is_normal_rule(const core::Endpoint& rule);

// Call these within an act.
void put_endpoint(const core::Endpoint& rule);
// False if there was no such rule.
bool drop_endpoint(std::string_view method, std::string_view path);

// Makes `rules` the whole set, in one act with one audit row. They are a list of {"method", "path", "scope", "public"}, or an
// OpenAPI 3 document. `names` (0: none) maps the document's scopes to ours, null to none. Raises 22023 for what a rule cannot
// express.
struct RulesChanged {
    std::int32_t added, changed, dropped;
};
RulesChanged put_endpoints(Datum rules, Datum names);

}  // namespace mirox::store
