// Fuzzes core/secret.hpp: classifying, redacting and prefix lists, with hostile text. The first byte says
// where the input is split into a prefix list and a candidate secret.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/secret.hpp"

namespace {

using namespace mirox::core;

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void judge(std::string_view text, const PrefixList& prefixes) {
    const SecretKind kind = classify_secret(text, prefixes);
    std::array<char, kMaxHintBytes> hint;
    const std::size_t shown = redact_secret(text, hint);
    check(shown <= hint.size());
    if (kind == SecretKind::malformed) {
        return;
    }
    // What is accepted is what formatting its own random part gives, and is shown in part only.
    check(text.size() <= kMaxSecretChars && shown > kEllipsis.size() && shown < text.size());
    check(std::string_view(hint.data(), shown).ends_with(kEllipsis));
    const std::string_view random = text.substr(text.size() - kSecretRandomChars - kSecretChecksumChars, kSecretRandomChars);
    std::size_t same = 0;
    for (std::size_t i = 0; i < prefixes.count; ++i) {
        PrefixList one{};
        check(parse_prefix_list(prefixes.stem(i), one));
        std::array<char, kMaxSecretChars> again;
        const std::size_t size =
            format_secret(kind, one, std::span<const char, kSecretRandomChars>(random.data(), kSecretRandomChars), again);
        same += std::string_view(again.data(), size) == text ? 1 : 0;
    }
    check(same == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    PrefixList fixed{};
    check(parse_prefix_list("mirox,acme,a", fixed));
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    judge(text, fixed);
    if (size == 0) {
        return 0;
    }
    const std::size_t split = data[0] < size ? data[0] : size - 1;
    PrefixList own{};
    if (parse_prefix_list(text.substr(1, split), own)) {
        check(own.count >= 1 && own.count <= kMaxStems);
        judge(text.substr(1 + split), own);
    }
    // A secret made from the input's own bytes is accepted, and no longer with one byte changed.
    std::array<char, kSecretRandomChars> random;
    std::size_t filled = 0;
    while (filled < random.size()) {
        const std::size_t more = base62_from_random({data, size}, std::span(random).subspan(filled));
        if (more == 0) {
            return 0;
        }
        filled += more;
    }
    const SecretKind kind = (data[0] & 1) != 0 ? SecretKind::token : SecretKind::session;
    std::array<char, kMaxSecretChars> made;
    const std::size_t length = format_secret(kind, fixed, random, made);
    check(classify_secret({made.data(), length}, fixed) == kind);
    const std::size_t at = data[size / 2] % length;
    made[at] = static_cast<char>(made[at] ^ (1 + data[size - 1] % 255));
    check(classify_secret({made.data(), length}, fixed) == SecretKind::malformed);
    return 0;
}
