// Fuzzes core/text.hpp: names and user agents from any bytes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/text.hpp"

namespace {

using namespace mirox::core;

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

std::size_t characters(std::string_view text) {
    std::size_t count = 0;
    for (char c : text) {
        count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
    }
    return count;
}

bool has_ascii_control(std::string_view text) {
    for (char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            return true;
        }
    }
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const bool valid = valid_utf8(text);

    std::array<char, kMaxNameBytes> name;
    std::size_t length = 0;
    const NameStatus status = normalise_name(text, name, length);
    check(status != NameStatus::invalid_utf8 || !valid);
    if (status == NameStatus::ok) {
        const std::string_view once(name.data(), length);
        check(valid && valid_utf8(once) && length > 0 && length <= name.size());
        check(characters(once) >= 1 && characters(once) <= kMaxNameChars && !has_ascii_control(once));
        std::array<char, kMaxNameBytes> again;
        std::size_t again_length = 0;
        check(normalise_name(once, again, again_length) == NameStatus::ok);
        check(std::string_view(again.data(), again_length) == once);
    }

    std::array<char, kMaxUserAgentBytes> agent;
    const std::string_view clean(agent.data(), clean_user_agent(text, agent));
    check(clean.size() <= agent.size() && valid_utf8(clean) && !has_ascii_control(clean));
    check(text.empty() == clean.empty());
    std::array<char, kMaxUserAgentBytes> again;
    check(std::string_view(again.data(), clean_user_agent(clean, again)) == clean);
    if (valid && size <= agent.size()) {
        // Each control character becomes one '?', everything else stays.
        check(characters(clean) == characters(text));
    }
    return 0;
}
