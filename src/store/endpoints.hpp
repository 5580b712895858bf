// Endpoint rules, method and path to scope, compiled in each backend: there are few. Filled and forgotten as groups are
// (groups.hpp), so that standbys and subscribers obey too.
//
// Locks: AccessShareLock on the table while it is read; for an act, lock_name() on method and path.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/endpoint.hpp"

namespace mirox::store {

struct RequestScope {
    bool valid;              // false: method or path is none, or could be read as two different ones
    std::string_view scope;  // what the request needs, `*` when no rule names it; valid until the next look-up
};

// Compiles the rules where they are not. As ready_groups(): before anything is locked.
void ready_endpoints();

// Call AcceptInvalidationMessages() first.
RequestScope scope_of_request(std::string_view method, std::string_view path);

// A rule in its normal form; 22023 when it is none.
void normalise_rule(std::string_view method, std::string_view path, std::string_view scope, core::EndpointText& out);

// True for a rule that is in its normal form.
bool is_normal_rule(std::string_view method, std::string_view path, std::string_view scope);

// Inside an entered Actor.
void put_endpoint(std::string_view method, std::string_view path, std::string_view scope);
// False when there was none.
bool drop_endpoint(std::string_view method, std::string_view path);

}  // namespace mirox::store
