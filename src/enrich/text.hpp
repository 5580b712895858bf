// The results of the enrichers: a short text, and a status.
//
// Holds no server call, allocates nothing, throws nothing. Trivially copyable, so it may live across server calls.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/text.hpp"

namespace mirox::enrich {

enum class Status : std::uint8_t {
    ok,
    none,        // no file is named
    unreadable,  // no such file, no permission to read it, not a regular file, too large, or a temporary failure
    invalid,     // not in the right format
};

inline constexpr std::size_t kReasonBytes = 256;  // a buffer that holds every reason

// UTF-8 without control characters, and without spaces at its ends. Empty where nothing is known.
struct Text {
    char bytes[128] = {};
    std::uint8_t size = 0;

    std::string_view view() const noexcept { return {bytes, size}; }
    bool empty() const noexcept { return size == 0; }

    // As much of `raw` as fits.
    void assign(std::string_view raw) noexcept { size = clean(raw, bytes); }

    // The same into any buffer; returns the size.
    static std::uint8_t clean(std::string_view raw, std::span<char> out) noexcept {
        while (raw.starts_with(' ')) raw.remove_prefix(1);
        std::size_t size = core::clean_text(raw, out);
        while (size > 0 && out[size - 1] == ' ') --size;
        return static_cast<std::uint8_t>(size);
    }
};

}  // namespace mirox::enrich
