// libFuzzer: any bytes as a target and a method. What is plain holds no empty or dot segment, and read again,
// escaped once, it is itself.
#include <array>

#include "core/path.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::array<char, kMaxPathBytes> out;
    static std::array<char, kMaxPathBytes> again;
    static std::array<char, 3 * kMaxPathBytes> escaped;
    const std::string_view target(reinterpret_cast<const char*>(data), size);

    std::size_t length = 0;
    if (normalise_path(target, out, length) == PathStatus::ok) {
        const std::string_view path(out.data(), length);
        if (path.empty() || path.front() != '/' || (path.size() > 1 && path.back() == '/')) __builtin_trap();
        for (const char c : path)
            if ((static_cast<std::uint8_t>(c) < 0x20) || c == 0x7f || c == '\\' || c == '?' || c == '#' || c == ';')
                __builtin_trap();
        std::size_t at = 1;
        while (path.size() > 1 && at <= path.size()) {
            const std::size_t end = std::min(path.find('/', at), path.size());
            const std::string_view segment = path.substr(at, end - at);
            if (segment.empty() || segment == "." || segment == "..") __builtin_trap();
            at = end + 1;
        }
        constexpr char kHex[] = "0123456789ABCDEF";
        std::size_t escaped_size = 0;
        for (const char c : path) {
            if (c == '/') {
                escaped[escaped_size++] = c;
                continue;
            }
            escaped[escaped_size++] = '%';
            escaped[escaped_size++] = kHex[static_cast<std::uint8_t>(c) >> 4];
            escaped[escaped_size++] = kHex[static_cast<std::uint8_t>(c) & 15];
        }
        if (escaped_size <= kMaxPathBytes) {
            std::size_t again_size = 0;
            if (normalise_path({escaped.data(), escaped_size}, again, again_size) != PathStatus::ok) __builtin_trap();
            if (std::string_view(again.data(), again_size) != path) __builtin_trap();
        }
    }

    std::array<char, kMaxMethodChars> method;
    if (normalise_method(target, method, length) && length != size) __builtin_trap();
    return 0;
}
