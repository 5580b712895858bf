// Endpoint rules map method and path to a scope. Each backend compiles all of them, since there are few. The compiled rules are
// filled and invalidated like groups (groups.hpp), so standbys and subscribers follow changes too.
//
// Locks: AccessShareLock on the table while it is read; for an act, lock_name() on method and path.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/endpoint.hpp"

namespace mirox::store {

// What the rules say of a request. The texts are UTF-8 and valid until the next look-up.
struct RequestScope {
    bool valid;                 // false: method or path is malformed or ambiguous
    std::string_view scope;     // what the request needs, `*` if no rule matches
    std::string_view method;    // in upper case; empty if it is malformed
    std::string_view endpoint;  // the rule that matched, "GET /parks/*"; empty: none
};

// Compiles the rules if they are not compiled. Call it before anything is locked, like ready_groups().
void ready_endpoints();

// Call AcceptInvalidationMessages() first.
RequestScope scope_of_request(std::string_view method, std::string_view path);

// The rule in normal form. Raises 22023 if it is malformed.
void normalise_rule(std::string_view method, std::string_view path, std::string_view scope, core::EndpointText& out);

// True if the rule is in normal form.
bool is_normal_rule(std::string_view method, std::string_view path, std::string_view scope);

// Call these within an act.
void put_endpoint(std::string_view method, std::string_view path, std::string_view scope);
// False if there was no such rule.
bool drop_endpoint(std::string_view method, std::string_view path);

}  // namespace mirox::store
