// Rows behind scopes: a row whose value is `v` in a table of resource `r` is the resource `r.v`.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/scopes.hpp"

namespace mirox::core {

// The resources below `resource` that a set grants, named relative to it: {parks.berlin} below `parks` is {berlin}. The result is
// `*` alone when the set grants the resource itself, and so every value of it. Scopes with an action are left out. `out` must
// have room for max(set.count(), 1) scopes. The result is in normal form and points into the set.
std::size_t grants_below(const ScopeSet& set, std::string_view resource, std::span<Scope> out) noexcept;

// True for a row value that a scope can name: segments joined by dots.
bool is_row_value(std::string_view value) noexcept;

// Whether a set from grants_below() reaches the row with this value. Only `*` reaches a value that no scope can name.
bool reaches_row(const ScopeSet& below, std::string_view value) noexcept;

}  // namespace mirox::core
