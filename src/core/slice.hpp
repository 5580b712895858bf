// A part of a text, like substr() but without its exception: beyond the end it is empty.
//
// Pure: may include the C++ library only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <string_view>

namespace mirox::core {

constexpr std::string_view slice(std::string_view text, std::size_t from, std::size_t count = std::string_view::npos) noexcept {
    if (from > text.size()) return {};
    const std::size_t left = text.size() - from;
    return {text.data() + from, count < left ? count : left};
}

}  // namespace mirox::core
