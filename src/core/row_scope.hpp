// Rows behind scopes: a row whose value is `v` in a table of resource `r` is the resource `r.v`.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/scopes.hpp"

namespace mirox::core {

// What a set grants of the resources below one, named from there: {parks.berlin} below `parks` is {berlin}; `*` alone
// when it grants the resource itself, and so every value of it. Scopes that are bound to an action are left out.
// `out` must have room for max(set.count(), 1) scopes; the result is in normal form and points into the set.
std::size_t grants_below(const ScopeSet& set, std::string_view resource, std::span<Scope> out) noexcept;

// True for what a row's value must be so that a scope can name it: segments, joined by dots.
bool is_row_value(std::string_view value) noexcept;

// Whether a set that grants_below() made reaches the row with this value. What no scope can name is reached by `*` alone.
bool reaches_row(const ScopeSet& below, std::string_view value) noexcept;

}  // namespace mirox::core
