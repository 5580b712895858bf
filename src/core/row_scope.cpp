// Rows behind scopes (see row_scope.hpp).
#include "core/row_scope.hpp"
#include "core/slice.hpp"

namespace mirox::core {

std::size_t grants_below(const ScopeSet& set, std::string_view resource, std::span<Scope> out) noexcept {
    std::size_t found = 0;
    ScopeSet::Cursor cursor = set.begin();
    Scope scope;
    while (cursor.next(scope)) {
        if (!scope.action.empty()) continue;
        if (covers(scope, {resource, {}})) {
            out[0] = {"*", {}};
            return 1;
        }
        // The scopes are sorted and none covers another. This stays true when the common prefix is cut off.
        if (covers({resource, {}}, scope)) out[found++] = {slice(scope.resource, resource.size() + 1), {}};
    }
    return found;
}

bool is_row_value(std::string_view value) noexcept {
    Scope scope;
    return parse_scope(value, scope) == ScopeStatus::ok && scope.action.empty() && scope.resource != "*";
}

bool reaches_row(const ScopeSet& below, std::string_view value) noexcept {
    if (below.covers_everything()) return true;
    return is_row_value(value) && below.covers({value, {}});
}

}  // namespace mirox::core
