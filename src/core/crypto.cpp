// Digest, MAC, random bytes, base64, comparison and wiping, by OpenSSL (see crypto.hpp).
//
// The C++ library, OpenSSL and its own room only. Takes no lock: the contexts below belong to the process, which has one thread.
// They are made on first use, never at load, and are never freed; a fork gets its own copy.
#include "core/crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "core/chars.hpp"
#include "core/secret.hpp"

namespace mirox::core {
namespace {

constinit EVP_MD* the_sha256 = nullptr;
constinit EVP_MD_CTX* the_digest_context = nullptr;
constinit EVP_MAC_CTX* the_mac_context = nullptr;

// Kept for the process, because fetching an algorithm walks the providers and costs more than the digest itself.
[[gnu::hot]] bool have_digest_context() noexcept {
    if (the_digest_context != nullptr) [[likely]] {
        return true;
    }
    if (the_sha256 == nullptr) {
        the_sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
        if (the_sha256 == nullptr) {
            return false;
        }
    }
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    if (context == nullptr) {
        return false;
    }
    if (EVP_DigestInit_ex2(context, the_sha256, nullptr) != 1) {
        EVP_MD_CTX_free(context);
        return false;
    }
    the_digest_context = context;
    return true;
}

bool have_mac_context() noexcept {
    if (the_mac_context != nullptr) [[likely]] {
        return true;
    }
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    if (mac == nullptr) {
        return false;
    }
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);  // the context holds its own reference
    if (context == nullptr) {
        return false;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (EVP_MAC_CTX_set_params(context, params) != 1) {
        EVP_MAC_CTX_free(context);
        return false;
    }
    the_mac_context = context;
    return true;
}

}  // namespace

[[gnu::hot]] bool sha256(std::string_view bytes, Digest& out) noexcept {
    // A null type keeps the context and its buffers. EVP_DigestFinal wipes the block that held the input.
    return have_digest_context() && EVP_DigestInit_ex2(the_digest_context, nullptr, nullptr) == 1 &&
           EVP_DigestUpdate(the_digest_context, bytes.data(), bytes.size()) == 1 &&
           EVP_DigestFinal_ex(the_digest_context, out.data(), nullptr) == 1;
}

bool hmac_sha256(std::span<const std::uint8_t> key, std::string_view bytes, Digest& out) noexcept {
    // A null key would mean "the previous key", so an empty key must not be null.
    static constexpr std::uint8_t kNoKey = 0;
    const std::uint8_t* key_at = key.empty() ? &kNoKey : key.data();
    std::size_t written = 0;
    return have_mac_context() && EVP_MAC_init(the_mac_context, key_at, key.size(), nullptr) == 1 &&
           EVP_MAC_update(the_mac_context, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1 &&
           EVP_MAC_final(the_mac_context, out.data(), &written, out.size()) == 1 && written == out.size();
}

bool random_bytes(std::span<std::uint8_t> out) noexcept {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // OpenSSL counts in int
    while (!out.empty()) {
        const std::size_t now = std::min(out.size(), kMost);
        if (RAND_bytes(out.data(), static_cast<int>(now)) != 1) {
            return false;
        }
        out = out.subspan(now);
    }
    return true;
}

bool random_base62(std::span<char> out) noexcept {
    std::array<std::uint8_t, 64> bytes;
    std::size_t filled = 0;
    bool ok = true;
    while (ok && filled < out.size()) {
        ok = random_bytes(bytes);
        if (ok) {
            filled += base62_from_random(bytes, out.subspan(filled));
        }
    }
    wipe(bytes.data(), bytes.size());
    if (!ok) {
        wipe(out.data(), out.size());  // leave no part of a secret behind
    }
    return ok;
}

std::size_t base64url_encode(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept {
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), static_cast<int>(bytes.size()));
    const std::size_t size = base64url_size(bytes.size());
    std::replace(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size), '+', '-');
    std::replace(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size), '/', '_');
    return size;
}

std::size_t base64_decode(std::string_view text, std::span<std::uint8_t> out) noexcept {
    while (text.ends_with('=')) text.remove_suffix(1);
    std::size_t size = 0;
    unsigned char three[3];
    while (!text.empty()) {
        unsigned char four[4] = {'A', 'A', 'A', 'A'};
        const std::size_t count = std::min(text.size(), sizeof four);
        for (std::size_t i = 0; i < count; ++i) {
            const char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
            if (!is_alphanumeric(c) && c != '+' && c != '/') return 0;
            four[i] = static_cast<unsigned char>(c);
        }
        if (count == 1 || out.size() - size < count - 1) return 0;
        EVP_DecodeBlock(three, four, sizeof four);
        std::memcpy(out.data() + size, three, count - 1);
        size += count - 1;
        wipe(four, sizeof four);
        text.remove_prefix(count);
    }
    wipe(three, sizeof three);
    return size;
}

[[gnu::hot]] bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept {
    return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

void wipe(void* at, std::size_t size) noexcept {
    if (size != 0) {
        OPENSSL_cleanse(at, size);
    }
}

}  // namespace mirox::core
